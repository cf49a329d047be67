package linear

import (
	"chatcache/policy"
)

// Groups gives the function that names the groups of a response stored for a register:
// those whose raise makes it invalid.
func Groups(p *policy.Policy, secret string) (func(Register) []string, error) {
	identifier, err := policy.NewIdentifier(p.Identity, []byte(secret))
	return func(r Register) []string {
		partition := policy.Partition{}
		if r.User != "" {
			partition, _ = identifier.Identify(bearer(r.User))
		}
		return partition.ReadGroups(r.Cache)
	}, err
}

// bearer is a request that shows nothing but this token.
type bearer string

func (b bearer) Header(name string) []string {
	if name != "authorization" {
		return nil
	}
	return []string{"Bearer " + string(b)}
}

func (bearer) Method() string                    { return "GET" }
func (bearer) Scheme() string                    { return "" }
func (bearer) Authority() string                 { return "" }
func (bearer) Path() string                      { return "/" }
func (bearer) Steered() policy.Steering          { return policy.NotSteered }
func (bearer) Property(...string) ([]byte, bool) { return nil, false }
