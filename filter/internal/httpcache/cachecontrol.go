package httpcache

import "strings"

// Directives are those of a Cache-Control field that this cache acts on.
// Qualified forms (no-cache="set-cookie", private="x-user") count as the
// unqualified ones, which RFC 9111 §5.2.2.4 and §5.2.2.7 allow.
type Directives struct {
	NoStore bool
	NoCache bool
	Private bool
}

// CacheControl reads the Cache-Control field (RFC 9111 §5.2) over all of its
// lines. Directive names are case-insensitive; unknown ones are ignored.
func (f Fields) CacheControl() Directives {
	var d Directives
	f.listItems("cache-control", func(item string) {
		name, _, _ := strings.Cut(item, "=")
		switch strings.ToLower(trim(name)) {
		case "no-store":
			d.NoStore = true
		case "no-cache":
			d.NoCache = true
		case "private":
			d.Private = true
		}
	})
	return d
}
