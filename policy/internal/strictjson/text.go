package strictjson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string and gives it decoded. It aliases the document where the
// string has no escapes.
func (s *Scanner) Text() ([]byte, error) {
	if s.next() != '"' {
		return nil, s.fail("a string is wanted")
	}
	s.pos++
	start := s.pos
	var decoded []byte // nil until the first escape
	for {
		if s.pos >= len(s.src) {
			return nil, s.fail("the document ends within a string")
		}
		switch c := s.src[s.pos]; {
		case c == '"':
			plain := s.src[start:s.pos]
			s.pos++
			if decoded == nil {
				return plain, nil
			}
			return append(decoded, plain...), nil
		case c == '\\':
			decoded = append(decoded, s.src[start:s.pos]...)
			var err error
			if decoded, err = s.escape(decoded); err != nil {
				return nil, err
			}
			start = s.pos
		case c == '\n' || c == '\r':
			return nil, s.fail("the string isn't closed on this line: a quotation mark is missing, or write the line break as \\n")
		case c < 0x20:
			return nil, s.fail("a control character within a string: write it as an escape")
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, n := utf8.DecodeRune(s.src[s.pos:])
			if r == utf8.RuneError && n == 1 {
				return nil, s.fail("invalid UTF-8 within a string")
			}
			s.pos += n
		}
	}
}

// escape reads one escape and appends what it stands for. The result is never nil.
func (s *Scanner) escape(dst []byte) ([]byte, error) {
	if s.pos+1 >= len(s.src) {
		return nil, s.fail("the document ends within a string")
	}
	c := s.src[s.pos+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return s.unicode(dst)
	default:
		return nil, s.fail("unknown escape")
	}
	s.pos += 2
	return append(dst, c), nil
}

func (s *Scanner) unicode(dst []byte) ([]byte, error) {
	r, ok := s.hex(s.pos)
	if !ok {
		return nil, s.fail("\\u wants four hexadecimal digits")
	}
	size := 6
	if utf16.IsSurrogate(r) {
		low, ok := s.hex(s.pos + size)
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return nil, s.fail("half a surrogate pair")
		}
		size = 12
	}
	s.pos += size
	return utf8.AppendRune(dst, r), nil
}

// hex reads the \uXXXX at position at.
func (s *Scanner) hex(at int) (r rune, ok bool) {
	if at+6 > len(s.src) || s.src[at] != '\\' || s.src[at+1] != 'u' {
		return 0, false
	}
	for _, c := range s.src[at+2 : at+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const hexDigits = "0123456789abcdef"

// AppendText appends text as a JSON string with the fewest escapes.
func AppendText(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
