package policy

import (
	"slices"
	"strings"
)

// Overrides tells whether many origins take a request with a field of this lower-case name for one of the method that the field names.
func Overrides(name string) bool {
	return strings.HasPrefix(name, "x") && overrides(name) // in two, as the first is asked of each field of every request
}

// overriding are these fields' names.
var overriding = []string{"x-http-method-override", "x-http-method", "x-method-override"}

var overridingLengths = lengths(overriding)

func overrides(name string) bool {
	return overridingLengths>>len(name)&1 != 0 && slices.Contains(overriding, dashed(name))
}

// MatchOverridden is Match for a request that may have fields of which [Overrides] tells; methods are their values. Not every origin
// heeds them, so all rules apply that any of the methods finds, what the policy has for unsafe requests without a rule, too. One that
// may be a write is none of a cache. One whose own method is safe isn't a write: it is POST that clients override, and whoever may only read
// could invalidate, and suspend while the answer lasts:
//
//  1. anybody asks for a public page by GET, with a field that says DELETE
//  2. were that a write, the groups of DELETE's rule would stand suspended until the page has been sent
//  3. its origin doesn't heed the field, and answers with 200: the groups would be raised
func (p *Policy) MatchOverridden(method string, methods []string, authority, path string) (cache *Cache, rule *Invalidation) {
	cache, rule = p.Match(method, authority, path)
	if len(methods) == 0 || isSafe(strings.ToUpper(method)) { // some origins take get for GET
		return cache, rule
	}
	unruled := cache == nil && rule == nil
	for i, value := range methods {
		other := firstOf(value)
		if slices.ContainsFunc(methods[:i], func(before string) bool { return firstOf(before) == other }) {
			continue
		}
		_, found := p.Match(other, authority, path)
		if found == nil {
			found = p.Unruled(other)
		}
		rule = join(rule, found)
	}
	if rule == nil {
		return cache, nil
	}
	if unruled {
		rule = p.orUnruled(rule)
	}
	return nil, rule
}

// firstOf is the first of the methods in a field, which some origins take of several.
func firstOf(value string) string {
	first, _, _ := strings.Cut(value, ",")
	return trim(first)
}
