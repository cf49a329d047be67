package main

import (
	"path"
	"slices"
	"strings"

	"chatcache/policy"
)

// hint names a rule that a request which none matches was perhaps meant for, or is empty: methods are
// case-sensitive (RFC 9110 section 9.1), a path that origins may read differently is no cache's, nor is one with a slash
// more or less, and the path may have a rule of another host or method.
func hint(p *policy.Policy, r *request) string {
	at := func(method, authority, path string) string { return title(p.Match(method, authority, path)) }
	whose := func(method, path string) string { return at(method, r.authority, path) }
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
	if found := whose(upper, plainer(before)); found != "" && plainer(before) != before {
		return `no cache takes a path with ";", "\", or an escaped "/", ".", "%" or the like, which origins read differently; otherwise it would be in ` + found
	}
	if found := whose(upper, otherSlash(before)); found != "" {
		return "a slash at the end makes another path: " + otherSlash(before) + " is in " + found
	}
	if found := title(p.Alike(upper, r.authority, clean)); found != "" {
		return "no cache takes a path that origins which don't look at case, or at what follows a dot, route as another one: by them it is in " + found
	}
	for _, host := range hosts(p) {
		if found := at(upper, host, r.path); found != "" {
			return "another host has a rule there: " + host + before + " is in " + found
		}
	}
	for _, method := range []string{"GET", "QUERY", "POST", "PUT", "PATCH", "DELETE"} {
		if found := whose(method, clean); found != "" {
			return "another method has a rule there: " + method + " is in " + found
		}
	}
	return ""
}

// title names what a request is in, "" for nothing.
func title(cache *policy.Cache, rule *policy.Invalidation) string {
	switch {
	case cache != nil:
		return "the cache " + cache.Name
	case rule != nil:
		return "the rule " + rule.Name
	}
	return ""
}

// plainer is a path in which a letter stands for what keeps it from caches: escapes, malformed ones too, and characters that some
// origins take for separators.
func plainer(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		s, _, _ = strings.Cut(s, ";")
		segments[i] = strings.Map(func(c rune) rune {
			if c <= ' ' || c == 0x7f || strings.ContainsRune(`%\#`, c) {
				return 'x'
			}
			return c
		}, s)
	}
	return strings.Join(segments, "/")
}

// otherSlash is a path with a slash at its end, or without the one that it has.
func otherSlash(path string) string {
	if before, has := strings.CutSuffix(path, "/"); has && before != "" {
		return before
	}
	return path + "/"
}

// hosts lists those of the policy's patterns, in their order.
func hosts(p *policy.Policy) (list []string) {
	add := func(patterns []string) {
		for _, text := range patterns {
			_, rest, _ := strings.Cut(text, " ")
			if host, _, _ := strings.Cut(strings.TrimLeft(rest, " "), "/"); host != "" && !slices.Contains(list, host) {
				list = append(list, host)
			}
		}
	}
	for _, c := range p.Caches {
		add(c.Patterns())
	}
	for _, i := range p.Invalidations {
		add(i.Patterns())
	}
	return list
}
