package policy

import "slices"

// findUnruled sets what unsafe requests that no rule matches are subject to in a policy with a cache that leaves
// freshness to the origin (RFC 9111 section 4.4). They invalidate no cache, but what their URI names.
func (p *Policy) findUnruled(origin originsWord) {
	if slices.ContainsFunc(p.Caches, func(c *Cache) bool { return c.Origin }) {
		p.unruled = &Invalidation{
			Name: "unsafe", Deadline: defaultDeadline, Settle: defaultSettle,
			UnchangedOn: origin.unchangedOn, RefusesAnonymous: origin.refusesAnonymous,
		}
	}
}

// Unruled gives what an unsafe request without a rule is subject to, nil if nothing.
func (p *Policy) Unruled(method string) *Invalidation {
	if isSafe(method) || method == "CONNECT" {
		return nil
	}
	return p.unruled
}

// Resource finds the cache whose responses for a URI an unsafe request to it makes stale: one
// with "ttl": "origin" that isn't body-keyed. nil: there is none.
func (p *Policy) Resource(authority, path string) *Cache {
	c, _ := p.Match("GET", authority, path)
	if c == nil || !c.ByURI() {
		return nil
	}
	return c
}

// ByURI tells whether an unsafe request to the URI of one of the cache's responses invalidates it.
func (c *Cache) ByURI() bool { return c.Origin && c.Body == nil }
