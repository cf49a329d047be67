// Package strictjson reads JSON as RFC 8259 writes it, and nothing more: no
// duplicate member names, no lone surrogates, no invalid UTF-8, no nesting
// beyond a limit. It exists because two readers that disagree on a lenient
// document are a hole (the filter would key one request and the origin answer
// another), because every problem of a policy has a byte offset here, and
// because it is small in the compiled filter. It reads in one pass, allocates only
// for escapes, and its recursion is bounded by [MaxDepth].
package strictjson

import (
	"strconv"
	"unicode/utf8"
)

// MaxDepth bounds nesting. It keeps a hostile body from growing the stack of a VM
// whose memory never shrinks.
const MaxDepth = 64

// Kind says what the next value is.
type Kind byte

// The kinds of JSON values; Invalid stands for anything else, the end included.
const (
	Invalid Kind = iota
	Object
	Array
	String
	Number
	Bool
	Null
)

func (k Kind) String() string {
	return [...]string{"nothing", "an object", "a list", "a string", "a number", "a boolean", "null"}[k]
}

// SyntaxError says where a document stops being strict JSON.
type SyntaxError struct {
	Offset  int    // bytes from the start of the document
	Message string // what is wrong there
}

func (e *SyntaxError) Error() string {
	return "json: at byte " + strconv.Itoa(e.Offset) + ": " + e.Message
}

// Scanner walks over one document. The zero value reads nothing; use [New].
type Scanner struct {
	src   []byte
	pos   int
	depth int
}

// New gives a scanner at the start of doc.
func New(doc []byte) *Scanner { return &Scanner{src: doc} }

// Offset is the position of the next value, in bytes.
func (s *Scanner) Offset() int {
	s.space()
	return s.pos
}

// Peek tells what the next value is by its first byte; it may still turn out
// to be malformed when it is read.
func (s *Scanner) Peek() Kind {
	switch c := s.next(); {
	case c == '{':
		return Object
	case c == '[':
		return Array
	case c == '"':
		return String
	case c == '-' || c >= '0' && c <= '9':
		return Number
	case c == 't' || c == 'f':
		return Bool
	case c == 'n':
		return Null
	}
	return Invalid
}

// End checks that nothing but white space is left.
func (s *Scanner) End() error {
	if s.next() != 0 || s.pos < len(s.src) {
		return s.fail("unexpected text after the document's end")
	}
	return nil
}

// Object reads an object. The callback gets each member's decoded name, which is
// valid until it returns, with the name's offset, and must read exactly one value.
// Duplicates are the caller's to refuse: only it keeps the names.
func (s *Scanner) Object(member func(name []byte, offset int) error) error {
	if err := s.open('{', "an object"); err != nil {
		return err
	}
	for first := true; ; first = false {
		done, err := s.separator('}', first)
		if done || err != nil {
			return err
		}
		offset := s.pos
		if s.next() != '"' {
			return s.fail("a member name in double quotes is wanted")
		}
		name, err := s.Text()
		if err != nil {
			return err
		}
		if s.next() != ':' {
			return s.fail("a colon is wanted after the member name")
		}
		s.pos++
		if err := member(name, offset); err != nil {
			return err
		}
	}
}

// Array reads a list; the callback must read exactly one value.
func (s *Scanner) Array(item func(i int) error) error {
	if err := s.open('[', "a list"); err != nil {
		return err
	}
	for i := 0; ; i++ {
		done, err := s.separator(']', i == 0)
		if done || err != nil {
			return err
		}
		if err := item(i); err != nil {
			return err
		}
	}
}

// Skip reads one value of any kind. It doesn't look for duplicate names.
func (s *Scanner) Skip() error {
	switch s.Peek() {
	case Object:
		return s.Object(func([]byte, int) error { return s.Skip() })
	case Array:
		return s.Array(func(int) error { return s.Skip() })
	case String:
		_, err := s.Text()
		return err
	}
	_, err := s.Scalar()
	return err
}

// Scalar reads a number, a boolean or null, and gives its bytes as they stand in the document.
func (s *Scanner) Scalar() ([]byte, error) {
	start := s.Offset()
	switch s.Peek() {
	case Number:
		return s.number()
	case Bool, Null:
		for _, word := range [...]string{"true", "false", "null"} {
			if len(s.src)-start >= len(word) && string(s.src[start:start+len(word)]) == word {
				s.pos += len(word)
				return s.src[start:s.pos], nil
			}
		}
	}
	if s.pos >= len(s.src) {
		return nil, s.fail("the document ends where a value is wanted")
	}
	return nil, s.fail("a value is wanted, found " + strconv.QuoteToASCII(firstRune(s.src[s.pos:])))
}

func firstRune(b []byte) string {
	_, n := utf8.DecodeRune(b)
	return string(b[:n])
}

func (s *Scanner) number() ([]byte, error) {
	start := s.pos
	if s.src[s.pos] == '-' {
		s.pos++
	}
	zero := s.pos < len(s.src) && s.src[s.pos] == '0'
	n := s.digits()
	if n == 0 || zero && n > 1 {
		return nil, s.fail("malformed number")
	}
	if s.at('.') {
		s.pos++
		if s.digits() == 0 {
			return nil, s.fail("malformed number: no digit after the point")
		}
	}
	if s.at('e') || s.at('E') {
		s.pos++
		if s.at('+') || s.at('-') {
			s.pos++
		}
		if s.digits() == 0 {
			return nil, s.fail("malformed number: no digit in the exponent")
		}
	}
	return s.src[start:s.pos], nil
}

func (s *Scanner) digits() (n int) {
	for s.pos < len(s.src) && s.src[s.pos] >= '0' && s.src[s.pos] <= '9' {
		s.pos++
		n++
	}
	return n
}

func (s *Scanner) at(c byte) bool { return s.pos < len(s.src) && s.src[s.pos] == c }

// open reads the first byte of an object or a list.
func (s *Scanner) open(c byte, what string) error {
	if s.next() != c {
		return s.fail(what + " is wanted")
	}
	if s.depth++; s.depth > MaxDepth {
		return s.fail("nested deeper than " + strconv.Itoa(MaxDepth) + " levels")
	}
	s.pos++
	return nil
}

// separator reads what stands before the next member or item: nothing before the
// first, a comma before the others, or the closing byte.
func (s *Scanner) separator(closing byte, first bool) (done bool, err error) {
	switch c := s.next(); {
	case c == closing:
		s.pos++
		s.depth--
		return true, nil
	case first && c != 0:
		return false, nil
	case c == ',':
		s.pos++
		if s.next() == closing {
			return false, s.fail("a comma before the closing " + string(closing))
		}
		return false, nil
	}
	return false, s.fail("a comma or the closing " + string(closing) + " is wanted")
}

// next gives the next byte that isn't white space, 0 at the end.
func (s *Scanner) next() byte {
	s.space()
	if s.pos >= len(s.src) {
		return 0
	}
	return s.src[s.pos]
}

func (s *Scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func (s *Scanner) fail(message string) error { return &SyntaxError{Offset: s.pos, Message: message} }
