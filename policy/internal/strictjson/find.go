package strictjson

import (
	"errors"
	"strconv"
)

var errFound = errors.New("json: found")

// Find goes to what the tokens of a JSON pointer (RFC 6901) lead to from the next value; the
// scanner then stands before it. Where there is no such value, or the document isn't JSON up to it, found is false,
// and the scanner is of no more use.
func (s *Scanner) Find(tokens []string) (found bool) {
	return s.find(tokens) == errFound
}

func (s *Scanner) find(tokens []string) error {
	if len(tokens) == 0 {
		return errFound
	}
	switch s.Peek() {
	case Object:
		return s.Object(func(name []byte, _ int) error {
			if string(name) == tokens[0] {
				return s.find(tokens[1:])
			}
			return s.Skip()
		})
	case Array:
		return s.Array(func(i int) error {
			if strconv.Itoa(i) == tokens[0] {
				return s.find(tokens[1:])
			}
			return s.Skip()
		})
	}
	return s.Skip()
}
