package hostsim

import (
	"fmt"
	"strconv"
	"strings"
)

// normalizePath is what the connection manager makes of a request's path
// before any filter sees it; ok is false where it answers 400 instead.
func (o *Options) normalizePath(path string) (normal string, ok bool) {
	if !strings.HasPrefix(path, "/") && path != "*" || strings.ContainsFunc(path, isNoPathRune) {
		return path, false
	}
	plain, query, hasQuery := strings.Cut(path, "?")
	if o.NormalizePath {
		if plain, ok = canonicalPath(plain); !ok {
			return path, false
		}
	}
	if o.MergeSlashes {
		plain = mergeSlashes(plain)
	}
	if hasQuery {
		plain += "?" + query
	}
	return plain, true
}

// isNoPathRune: fragments, blanks, control characters and bytes above ASCII are refused.
func isNoPathRune(r rune) bool { return r == '#' || r <= ' ' || r >= 0x7f }

// mergeSlashes makes one of neighbouring slashes. A path of nothing else keeps two.
func mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	parts := strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
	merged := strings.Join(parts, "/")
	if strings.HasPrefix(path, "/") {
		merged = "/" + merged
	}
	if strings.HasSuffix(path, "/") {
		merged += "/"
	}
	return merged
}

// canonicalPath resolves dot segments, takes backslashes for slashes, escapes
// what URLs may not hold and unescapes what needs no escape, as Envoy's URL
// library does. It fails on an escaped zero byte.
func canonicalPath(path string) (string, bool) {
	out := []byte{}
	for i := 0; i < len(path); {
		if n := dotAt(path, i); n > 0 {
			out, i = appendDot(out, path, i, n)
			continue
		}
		c := path[i]
		i++
		switch {
		case c == '\\':
			out = append(out, '/')
		case c == '%':
			escaped, ok := hexByte(path, i)
			switch {
			case !ok:
				out = append(out, '%')
			case escaped == 0:
				return "", false
			case isUnreserved(escaped):
				out = append(out, escaped)
				i += 2
			default:
				out = append(append(out, '%'), path[i:i+2]...)
				i += 2
			}
		case isPathByte(c):
			out = append(out, c)
		default:
			out = fmt.Appendf(out, "%%%02X", c)
		}
	}
	return string(out), true
}

// dotAt is the length of a dot at i, plain or escaped; 0 when there is none.
func dotAt(path string, i int) int {
	switch {
	case strings.HasPrefix(path[i:], "."):
		return 1
	case len(path) >= i+3 && strings.EqualFold(path[i:i+3], "%2e"):
		return 3
	}
	return 0
}

// appendDot handles a dot of length n at i; it gives where to go on.
func appendDot(out []byte, path string, i, n int) ([]byte, int) {
	after := i + n
	if len(out) == 0 || out[len(out)-1] != '/' {
		return append(out, '.'), after
	}
	if end, ok := segmentEnd(path, after); ok {
		return out, end
	}
	second := dotAt(path, after)
	if end, ok := segmentEnd(path, after+second); ok && second > 0 {
		return parentOf(out), end
	}
	return append(out, '.'), after
}

// segmentEnd reports whether a segment ends at i, and where the next begins.
func segmentEnd(path string, i int) (int, bool) {
	switch {
	case i == len(path):
		return i, true
	case path[i] == '/' || path[i] == '\\':
		return i + 1, true
	}
	return i, false
}

// parentOf drops the last segment of a path that ends with a slash.
func parentOf(out []byte) []byte {
	i := len(out) - 1
	for i > 0 {
		if i--; out[i] == '/' {
			break
		}
	}
	return out[:i+1]
}

// hexByte reads the two hexadecimal digits at i.
func hexByte(s string, i int) (byte, bool) {
	if len(s) < i+2 {
		return 0, false
	}
	b, err := strconv.ParseUint(s[i:i+2], 16, 8)
	return byte(b), err == nil
}

// isUnreserved: escaping them changes nothing (RFC 3986, section 2.3).
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isPathByte(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("!$&'()*+,/:;=@[]", c) >= 0
}
