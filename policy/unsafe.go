package policy

// unruled is what an unsafe request that no rule matches is subject to in a policy with a cache
// that leaves freshness to the origin (RFC 9111 section 4.4). It invalidates no cache, but
// what the request's URI names.
var unruled = &Invalidation{Name: "unsafe", Deadline: defaultDeadline, Settle: defaultSettle}

// Unruled gives what an unsafe request without a rule is subject to, nil if nothing.
func (p *Policy) Unruled(method string) *Invalidation {
	if !p.leavesToOrigin() || isSafe(method) || method == "CONNECT" {
		return nil
	}
	return unruled
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

func (p *Policy) leavesToOrigin() bool {
	for _, c := range p.Caches {
		if c.Origin {
			return true
		}
	}
	return false
}
