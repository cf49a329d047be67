package policy

import "strings"

// withoutQuery cuts a raw :path before its query.
func withoutQuery(path string) string {
	if mark := strings.IndexByte(path, '?'); mark >= 0 {
		return path[:mark]
	}
	return path
}

// queryOf gives what follows the first question mark.
func queryOf(path string) string {
	return strings.TrimPrefix(path[len(withoutQuery(path)):], "?")
}

// isPlain tells whether every origin reads the path as the same segments: it
// is clean, its escapes are valid, and nothing in it, decoded or not, is
// a separator or a dot segment to anyone (backslashes, the path parameters of servlet
// containers, encoded slashes and percent signs), nor its end: where a proxy before the origin
// decodes a path and passes that on, as Apache's RewriteRule and nginx's $uri do, %3F begins a query, and %23 a fragment.
func isPlain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '/':
			if rest := path[i+1:]; rest != "" && (rest[0] == '/' || rest[0] == '.') && hasBadSegment(rest) {
				return false
			}
		case c == '%':
			decoded, ok := unhex(path, i)
			if !ok || decoded < ' ' || decoded == 0x7f || strings.IndexByte(`/\.%;?#`, decoded) >= 0 {
				return false
			}
			i += 2
		case c == '\\' || c == ';' || c == '#' || c <= ' ' || c == 0x7f:
			return false
		}
	}
	return true
}

// hasBadSegment tells whether rest begins with a dot segment or with another slash.
func hasBadSegment(rest string) bool {
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		return rest == "." || rest == ".."
	}
	return end == 0 || rest[:end] == "." || rest[:end] == ".."
}

// strictPath reads a path as Go's net/url and ServeMux do: segments are told apart before their
// escapes are decoded, unless the path holds bytes that a URL can't; then it is decoded first.
func strictPath(path string) string {
	if decoded, valid := unescape(path); valid && hasForeign(path) {
		path = strings.ReplaceAll(decoded, "%", "%25")
	}
	return cleanPath(path)
}

// hasForeign tells whether path holds a byte that RFC 3986 section 3.3 (and net/url, which adds brackets)
// has no place for.
func hasForeign(path string) bool {
	for i := 0; i < len(path); i++ {
		if !isUnreserved(path[i]) && strings.IndexByte("!$&'()*+,;=:@[]%/", path[i]) < 0 {
			return true
		}
	}
	return false
}

// lenientPath reads a path as the most lenient origin does, or a proxy before it: escapes
// decoded (also twice encoded ones), backslashes as slashes, fragments and path parameters dropped, then cleaned. begins is the
// same of what is before a question mark or a number sign that an escape stands for, and otherwise the whole.
func lenientPath(path string) (whole, begins string) {
	const rounds = 3
	path, _, _ = strings.Cut(path, "#")
	for range rounds {
		path = unescapeValid(path)
	}
	whole = cleanLeniently(path)
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		return whole, cleanLeniently(path[:end])
	}
	return whole, whole
}

func cleanLeniently(path string) string {
	path = strings.ReplaceAll(path, `\`, "/")
	if strings.IndexByte(path, ';') < 0 {
		return cleanPath(path)
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return cleanPath(strings.Join(segments, "/"))
}

// stripPort removes ":port", as ServeMux does for its host patterns, but for brackets around an
// IPv6 address: they stay.
func stripPort(authority string) string {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 {
		return authority
	}
	host := authority[:colon]
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		return host
	}
	if strings.ContainsAny(host, ":[]") { // an address without a port
		return authority
	}
	return host
}

func appendLower[text string | []byte](dst []byte, s text) []byte {
	for i := 0; i < len(s); i++ {
		dst = append(dst, lower(s[i]))
	}
	return dst
}

// equalLower tells whether two texts differ in nothing but the case of ASCII's letters: in Unicode's, as strings.EqualFold has it, an ſ is an s.
func equalLower(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
