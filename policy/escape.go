package policy

import "strings"

const upperHex = "0123456789ABCDEF"

// unhex reads the escape %XX at position i.
func unhex(s string, i int) (byte, bool) {
	if i+2 >= len(s) {
		return 0, false
	}
	high, ok1 := hexValue(s[i+1])
	low, ok2 := hexValue(s[i+2])
	return high<<4 | low, ok1 && ok2
}

func hexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// appendUnescaped decodes every escape; it isn't valid where one is malformed.
func appendUnescaped(dst []byte, s string) (decoded []byte, valid bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			var ok bool
			if c, ok = unhex(s, i); !ok {
				return dst, false
			}
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, true
}

func unescape(s string) (string, bool) {
	decoded, valid := appendUnescaped(nil, s)
	if !valid {
		return s, false
	}
	return string(decoded), true
}

// unescapeValid decodes the valid escapes and leaves the others as they are.
func unescapeValid(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, ok := s[i], false
		if c == '%' {
			if c, ok = unhex(s, i); ok {
				i += 2
			} else {
				c = '%'
			}
		}
		decoded = append(decoded, c)
	}
	return string(decoded)
}

// appendNormalized writes s with its escapes as RFC 3986 section 6.2.2 has them: upper-case digits,
// and none for unreserved characters. A component with a malformed escape is left
// as it is; since no normalized one has any, the two can't meet.
func appendNormalized(dst []byte, s string) []byte {
	start := len(dst)
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			dst = append(dst, s[i])
			continue
		}
		c, ok := unhex(s, i)
		if !ok {
			return append(dst[:start], s...)
		}
		if isUnreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
		i += 2
	}
	return dst
}

// isUnreserved is RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
