package policy

import "strings"

// SourceKind says where an identity comes from.
type SourceKind byte

// The kinds of identity sources.
const (
	SourceHeader   SourceKind = iota + 1 // a request header, its credential scheme stripped
	SourceCookie                         // a cookie
	SourceVerified                       // a claim that Envoy's jwt_authn filter verified
	SourceClaim                          // a claim of a token that nobody verified; the whole token enters
	SourceProperty                       // a property of Envoy's
)

func (k SourceKind) String() string {
	return [...]string{"none", "header", "cookie", "jwt_authn_claim", "jwt_claim", "property"}[k]
}

// Source is one place where the identity of a request may be found.
type Source struct {
	Kind    SourceKind
	Name    string   // of the header (lower case), cookie or claim
	Header  string   // SourceClaim: the header (lower case) that carries the token
	Payload string   // SourceVerified: payload_in_metadata of the jwt_authn provider
	Path    []string // SourceProperty: as Envoy's attributes name it
}

// String is the source for people: its kind and place, never a value.
func (s Source) String() string {
	switch s.Kind {
	case SourceVerified:
		return s.Kind.String() + " " + s.Name + " (payload " + s.Payload + ")"
	case SourceClaim:
		return s.Kind.String() + " " + s.Name + " (header " + s.Header + ", unverified)"
	case SourceProperty:
		return s.Kind.String() + " " + strings.Join(s.Path, ".")
	}
	return s.Kind.String() + " " + s.Name
}
