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

// orUnruled is for a request that has a rule only by some of the ways in which origins read it, and none by others. What a rule says of
// the origin's answers then counts only as far as the policy says it of requests without a rule, too. So what the request's URI names
// is invalidated where it should be:
//
//  1. a rule says that the origin refuses DELETE /notes/{note} without an identity; anybody may POST there, which has no rule
//  2. somebody sends such a POST, with a field that says DELETE, which the origin doesn't heed
//  3. it does the POST, and answers 303
func (p *Policy) orUnruled(rule *Invalidation) *Invalidation {
	if rule == nil || p.unruled == nil {
		return rule
	}
	either := *rule
	either.RefusesAnonymous = rule.RefusesAnonymous && p.unruled.RefusesAnonymous
	either.UnchangedOn = common(rule.UnchangedOn, p.unruled.UnchangedOn)
	if either.RefusesAnonymous == rule.RefusesAnonymous && len(either.UnchangedOn) == len(rule.UnchangedOn) {
		return rule
	}
	return &either
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
