package redisbridge

import (
	"cmp"
	"fmt"
	"maps"
	"strings"

	"chatcache/policy"
)

// Identity is who made a write, in the words of the policy's identity sources:
// what a request of theirs would have carried. Value stands for the
// policy's source where it has one only.
type Identity struct {
	Value    string            `json:"value,omitempty"`
	Header   map[string]string `json:"header,omitempty"`          // by field name
	Cookie   map[string]string `json:"cookie,omitempty"`          // by cookie name
	Claim    map[string]string `json:"jwt_authn_claim,omitempty"` // by claim; with "iss" where tokens have one
	Property map[string]string `json:"property,omitempty"`        // by path, joined with dots
}

// Identified tells as what an identity was taken; never whose it is.
type Identified struct {
	Sources []string `json:"sources"`        // of the policy, those that count
	Note    string   `json:"note,omitempty"` // what may be missing
}

// withoutIssuer is the note on a verified claim: one of a token with an issuer is another partition.
const withoutIssuer = `without its issuer: where the tokens have one, give it, too: --identity jwt_authn_claim:iss=https://idp.example`

// identifier is the filters' of a policy. The error is policy.ErrSecret.
func (b *Bridge) identifier(p *policy.Policy) (*policy.Identifier, error) {
	return policy.NewIdentifier(p.Identity, []byte(cmp.Or(p.PartitionSecret, b.options.PartitionSecret)))
}

// identify derives an identity's partition as the filters do; nobody's is none. The error
// matches ErrRequest.
func (b *Bridge) identify(p *policy.Policy, who *Identity) (policy.Partition, *Identified, error) {
	none := policy.Partition{}
	if who == nil {
		return none, nil, nil
	}
	identifier, err := b.identifier(p)
	if err != nil {
		return none, nil, fmt.Errorf("%w: the bridge can't derive partitions: %w; start it with the filters' CHATCACHE_PARTITION_SECRET", ErrRequest, err)
	}
	i := *who
	if i.Value != "" {
		if i, err = i.ofOnlySource(p.Identity); err != nil {
			return none, nil, err
		}
	}
	found, ok := identifier.Identify(identityRequest{i, p.Identity})
	if !ok {
		return none, nil, fmt.Errorf("%w: the identity has nothing that policy %q looks for: %s", ErrRequest, p.Name, sourceNames(p.Identity))
	}
	as := new(Identified)
	for index, s := range p.Identity {
		if !found.Sources.Has(index) {
			continue
		}
		as.Sources = append(as.Sources, s.Kind.String()+" "+placeOf(s))
		if s.Kind == policy.SourceVerified && i.Claim["iss"] == "" {
			as.Note = withoutIssuer
		}
	}
	return found, as, nil
}

// ofOnlySource gives the identity with its value where the policy's source looks. Where there are several it
// is refused: it would be taken for one that the requests don't have, and nobody's responses be invalidated.
func (i Identity) ofOnlySource(sources []policy.Source) (Identity, error) {
	switch len(sources) {
	case 0:
		return Identity{}, fmt.Errorf("%w: the policy has no identity sources", ErrRequest)
	case 1:
	default:
		forms := make([]string, len(sources))
		for n, s := range sources {
			kind := s.Kind
			if kind == policy.SourceClaim {
				kind = policy.SourceHeader // which has the token
			}
			forms[n] = fmt.Sprintf("%s:%s=VALUE", kind, placeOf(s))
		}
		return Identity{}, fmt.Errorf("%w: the policy has %d identity sources, and a bare value doesn't say which: want %s", ErrRequest, len(sources), strings.Join(forms, ", "))
	}
	s := sources[0]
	place := map[policy.SourceKind]*map[string]string{
		policy.SourceHeader: &i.Header, policy.SourceClaim: &i.Header, policy.SourceCookie: &i.Cookie,
		policy.SourceVerified: &i.Claim, policy.SourceProperty: &i.Property,
	}[s.Kind]
	if place == nil {
		return Identity{}, fmt.Errorf("%w: an identity from %s can't be given as a value", ErrRequest, s)
	}
	all := map[string]string{}
	maps.Copy(all, *place)
	all[placeOf(s)] = i.Value
	*place = all
	return i, nil
}

// placeOf is what --identity names a source by.
func placeOf(s policy.Source) string {
	switch s.Kind {
	case policy.SourceClaim:
		return s.Header
	case policy.SourceProperty:
		return strings.Join(s.Path, ".")
	}
	return s.Name
}

func sourceNames(sources []policy.Source) string {
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

// identityRequest is the request that somebody with the identity would send, as
// far as the sources look at it.
type identityRequest struct {
	Identity
	sources []policy.Source
}

func (identityRequest) Method() string           { return "" }
func (identityRequest) Scheme() string           { return "" }
func (identityRequest) Authority() string        { return "" }
func (identityRequest) Path() string             { return "" }
func (identityRequest) Steered() policy.Steering { return policy.Disguised }

func (r identityRequest) Header(name string) []string {
	var values []string
	for field, value := range r.Identity.Header {
		if strings.EqualFold(field, name) {
			values = append(values, value)
		}
	}
	if name == "cookie" {
		for cookie, value := range r.Cookie {
			values = append(values, cookie+"="+value)
		}
	}
	return values
}

func (r identityRequest) Property(path ...string) ([]byte, bool) {
	if value, ok := r.Identity.Property[strings.Join(path, ".")]; ok {
		return []byte(value), true
	}
	for _, s := range r.sources {
		if s.Kind == policy.SourceVerified && len(path) == 5 && path[3] == s.Payload {
			value, ok := r.Claim[path[4]]
			return []byte(value), ok
		}
	}
	return nil, false
}
