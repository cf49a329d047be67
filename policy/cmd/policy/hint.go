package main

import (
	"path"
	"strings"

	"chatcache/policy"
)

// hint names a rule that a request which none matches was perhaps meant for, or is empty: methods are
// case-sensitive (RFC 9110 section 9.1), a path with empty or dot segments is no cache's, and
// the path may have a rule of another method.
func hint(p *policy.Policy, r *request) string {
	whose := func(method, path string) string {
		switch cache, rule := p.Match(method, r.authority, path); {
		case cache != nil:
			return "the cache " + cache.Name
		case rule != nil:
			return "the rule " + rule.Name
		}
		return ""
	}
	before, query, _ := strings.Cut(r.path, "?")
	clean := path.Clean(before)
	if strings.HasSuffix(before, "/") && clean != "/" {
		clean += "/"
	}
	upper := strings.ToUpper(r.method)
	if found := whose(upper, r.path); found != "" && upper != r.method {
		return "methods are upper case: " + upper + " is in " + found
	}
	if found := whose(upper, clean+"?"+query); found != "" && clean != before {
		return "no cache takes a path with empty or dot segments unless the proxy cleans it first: " + clean + " is in " + found
	}
	for _, method := range []string{"GET", "QUERY", "POST", "PUT", "PATCH", "DELETE"} {
		if found := whose(method, clean); found != "" {
			return "another method has a rule there: " + method + " is in " + found
		}
	}
	return ""
}
