package policy

import (
	"slices"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// defaultPayload is the payload_in_metadata that the examples of jwt_authn use.
const defaultPayload = "jwt_payload"

func (o object) identity() (sources []Source) {
	v := o.value.Get("identity")
	if v == nil {
		return nil
	}
	if v.Kind != strictjson.Array {
		o.wrongType(v, "/identity", "a list of sources is wanted")
		return nil
	}
	if o.tooMany(len(v.Items), maxSources, v, "/identity", "sources") {
		return nil
	}
	seen := map[string]bool{}
	for i := range v.Items {
		element, ok := o.object(&v.Items[i], "identity", strictjson.Pointer("/identity", strconv.Itoa(i)), "")
		if !ok {
			continue
		}
		s := element.source()
		if seen[s.String()] && (s.Name != "" || s.Path != nil) {
			element.fault(DuplicateField, "this source stands in the list twice", "keep one of them")
		}
		seen[s.String()] = true
		sources = append(sources, s)
	}
	return sources
}

// source reads one identity source. Exactly one field says its kind; each other field belongs to one kind.
func (o object) source() (s Source) {
	switch {
	case o.has("jwt_claim"): // before header, which says where its token is
		s = o.claim()
		o.only("jwt_claim", "header", "unverified")
	case o.has("jwt_authn_claim"):
		s.Kind, s.Payload = SourceVerified, defaultPayload
		s.Name, _ = o.text("jwt_authn_claim")
		if payload, ok := o.text("payload"); ok {
			s.Payload = payload
		}
		o.only("jwt_authn_claim", "payload")
	case o.has("header"):
		s.Kind, s.Name = SourceHeader, o.header("header")
		o.only("header")
	case o.has("cookie"):
		s.Kind = SourceCookie
		s.Name, _ = o.text("cookie")
		if s.Name != "" && !isToken(s.Name) {
			o.bad(WrongValue, "cookie", "a cookie's name is wanted (RFC 6265)", "")
		}
		o.only("cookie")
	case o.has("property"):
		s.Kind = SourceProperty
		o.list("property", maxNames, func(element object, name string) {
			if wanted := checkName(name); wanted != "" {
				element.fault(WrongValue, wanted, "")
			}
			s.Path = append(s.Path, name)
		})
		if v := o.value.Get("property"); v.Kind == strictjson.Array && len(v.Items) == 0 {
			o.bad(WrongValue, "property", "it must not be empty", `for example ["connection", "uri_san_peer_certificate"]`)
		}
		o.only("property")
	default:
		o.missing("header", `a source has one of header, cookie, jwt_authn_claim, jwt_claim, property`)
	}
	return s
}

func (o object) claim() (s Source) {
	s.Kind = SourceClaim
	s.Name, _ = o.text("jwt_claim")
	s.Header = "authorization"
	if o.has("header") {
		s.Header = o.header("header")
	}
	if !o.bool("unverified") {
		o.bad(WrongValue, "jwt_claim", "nobody has verified this claim",
			`use "jwt_authn_claim", or say "unverified": true (then the whole token is the identity)`)
	}
	return s
}

// header reads the name of a request header, in lower case as Envoy has it.
func (o object) header(field string) string {
	name, ok := o.text(field)
	if ok && !isToken(name) {
		o.bad(WrongValue, field, "a header's name is wanted", "")
	}
	return strings.ToLower(name)
}

// only notes known fields that don't belong to this kind of source.
func (o object) only(fields ...string) {
	for _, m := range o.value.Members {
		if slices.Contains(language["identity"], m.Name) && !slices.Contains(fields, m.Name) {
			o.add(Problem{ID: UnknownField, Path: strictjson.Pointer(o.path, m.Name), Offset: m.Offset, Found: quote(m.Name),
				Wanted: "it doesn't go together with " + quote(fields[0]), Hint: "make it a source of its own"})
		}
	}
}
