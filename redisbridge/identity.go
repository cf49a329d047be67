package redisbridge

import (
	"fmt"
	"strings"

	"chatcache/policy"
)

// Identity is who made a write, in the words of the policy's identity sources:
// what a request of theirs would have carried. Value stands for the
// policy's first source, beside the others.
type Identity struct {
	Value    string            `json:"value,omitempty"`
	Header   map[string]string `json:"header,omitempty"`          // by field name
	Cookie   map[string]string `json:"cookie,omitempty"`          // by cookie name
	Claim    map[string]string `json:"jwt_authn_claim,omitempty"` // by claim; with "iss" where tokens have one
	Property map[string]string `json:"property,omitempty"`        // by path, joined with dots
}

// partition derives the identity's partition as the filters do. The error
// matches ErrRequest.
func (i Identity) partition(p *policy.Policy, secret string) (policy.Partition, error) {
	none := policy.Partition{}
	identifier, err := policy.NewIdentifier(p.Identity, []byte(secret))
	if err != nil {
		return none, fmt.Errorf("%w: the bridge can't derive partitions: %w; start it with the filters' CHATCACHE_PARTITION_SECRET", ErrRequest, err)
	}
	if i.Value != "" {
		if i, err = i.ofFirstSource(p.Identity); err != nil {
			return none, err
		}
	}
	found, ok := identifier.Identify(identityRequest{i, p.Identity})
	if !ok {
		return none, fmt.Errorf("%w: the identity has nothing that policy %q looks for: %s", ErrRequest, p.Name, sourceNames(p.Identity))
	}
	return found, nil
}

// ofFirstSource gives the identity with its value where the first source looks.
func (i Identity) ofFirstSource(sources []policy.Source) (Identity, error) {
	if len(sources) == 0 {
		return Identity{}, fmt.Errorf("%w: the policy has no identity sources", ErrRequest)
	}
	with := func(place map[string]string, name string) map[string]string {
		all := map[string]string{name: i.Value}
		for other, value := range place {
			if other != name {
				all[other] = value
			}
		}
		return all
	}
	switch s := sources[0]; s.Kind {
	case policy.SourceHeader:
		i.Header = with(i.Header, s.Name)
	case policy.SourceCookie:
		i.Cookie = with(i.Cookie, s.Name)
	case policy.SourceVerified:
		i.Claim = with(i.Claim, s.Name)
	case policy.SourceClaim:
		i.Header = with(i.Header, s.Header)
	case policy.SourceProperty:
		i.Property = with(i.Property, strings.Join(s.Path, "."))
	default:
		return Identity{}, fmt.Errorf("%w: an identity from %s can't be given as a value", ErrRequest, s)
	}
	return i, nil
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

func (identityRequest) Method() string    { return "" }
func (identityRequest) Scheme() string    { return "" }
func (identityRequest) Authority() string { return "" }
func (identityRequest) Path() string      { return "" }

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
