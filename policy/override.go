package policy

import "slices"

var overriding = [...]string{"x-http-method", "x-http-method-override", "x-method-override"}

// Overriding are the request fields by which many origins take a request for one of another method than it has, in lower case.
func Overriding() []string { return slices.Clone(overriding[:]) }

// Overrides tells whether a request field, its name in lower case, is one of them.
func Overrides(name string) bool { return slices.Contains(overriding[:], name) }

// MatchOverridden is Match for a request that may have fields of which [Overrides] tells; methods are their values. Not every origin
// heeds them, so all rules apply that any of the methods finds, what the policy has for unsafe requests without a rule, too. One that
// may be a write is none of a cache.
func (p *Policy) MatchOverridden(method string, methods []string, authority, path string) (cache *Cache, rule *Invalidation) {
	cache, rule = p.Match(method, authority, path)
	for i, other := range methods {
		if slices.Contains(methods[:i], other) {
			continue
		}
		_, found := p.Match(other, authority, path)
		if found == nil {
			found = p.Unruled(other)
		}
		rule = join(rule, found)
	}
	if rule != nil {
		return nil, rule
	}
	return cache, nil
}
