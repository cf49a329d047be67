package policy

import (
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// Prefetch says where the next page of a list is, so that it can be fetched when a page is read.
type Prefetch struct {
	Parameter string // the query parameter that names the page, normalized
	First     uint64 // the page that a request without it asks for, where pages are numbers
	Step      uint64 // from one page to the next
	Next      string // a JSON pointer to the next page's name; "" where pages are numbers
	More      string // a JSON pointer to what says that there is a next page; Next unless the policy has another

	next, more []string // their tokens
}

// Bounds of a next page.
const (
	maxPage     = 1 << 40 // its number
	maxPageName = 1024    // bytes of its name in the body
	maxPagePath = 8 << 10 // bytes
)

// NextPage gives the path and query of the page that follows the one at path, whose body is given; ok is false
// where there is none, or it can't be told.
func (p *Prefetch) NextPage(path string, body []byte) (next string, ok bool) {
	if !saysYes(body, p.more) {
		return "", false
	}
	path, query, _ := strings.Cut(path, "?")
	before, after, value, ok := p.cut(query)
	if !ok {
		return "", false
	}
	page, ok := p.follow(value, body)
	if !ok {
		return "", false
	}
	b := append([]byte(path), '?')
	b = append(b, before...)
	b = append(append(append(b, p.Parameter...), '='), page...)
	b = append(b, after...)
	return string(b), len(b) <= maxPagePath
}

// cut takes the parameter out of a query: what is before it with "&" at its end, what is behind it with
// "&" at its beginning, and its value, "" if it isn't there. A query with ";", or with the parameter twice, is read
// differently by different origins: ok is false.
func (p *Prefetch) cut(query string) (before, after, value string, ok bool) {
	if strings.IndexByte(query, ';') >= 0 {
		return "", "", "", false
	}
	found := false
	for rest, start := query, 0; rest != ""; {
		parameter, tail, _ := strings.Cut(rest, "&")
		end := start + len(parameter)
		name, text, _ := strings.Cut(parameter, "=")
		if string(appendNormalized(nil, name)) == p.Parameter {
			if found || text == "" {
				return "", "", "", false
			}
			found = true
			before, after, value = query[:start], query[end:], text
		}
		rest, start = tail, end+1
	}
	if !found && query != "" {
		before = strings.TrimSuffix(query, "&") + "&"
	}
	return before, after, value, true
}

// follow names the page behind the one of that name.
func (p *Prefetch) follow(value string, body []byte) (page []byte, ok bool) {
	if p.Next != "" {
		text, ok := textAt(body, p.next)
		return appendEscaped(nil, text), ok
	}
	number := p.First
	if value != "" {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || n > maxPage {
			return nil, false
		}
		number = n
	}
	return strconv.AppendUint(nil, number+p.Step, 10), true
}

// appendEscaped writes a query parameter's value: RFC 3986 section 3.4, all but unreserved characters escaped.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isUnreserved(c) {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// saysYes tells whether there is a value at a place that says yes: not false, null, 0, or an empty text, list
// or object.
func saysYes(doc []byte, tokens []string) bool {
	s := strictjson.New(doc)
	if !s.Find(tokens) {
		return false
	}
	parts := 0
	count := func() error { parts++; return s.Skip() }
	switch s.Peek() {
	case strictjson.Object:
		return s.Object(func([]byte, int) error { return count() }) == nil && parts > 0
	case strictjson.Array:
		return s.Array(func(int) error { return count() }) == nil && parts > 0
	case strictjson.String:
		text, err := s.Text()
		return err == nil && len(text) > 0
	}
	text, err := s.Scalar()
	n, notNumber := strconv.ParseFloat(string(text), 64)
	return err == nil && (string(text) == "true" || notNumber == nil && n != 0)
}

// textAt reads a text or a number at a place.
func textAt(doc []byte, tokens []string) (string, bool) {
	s := strictjson.New(doc)
	if !s.Find(tokens) {
		return "", false
	}
	read := s.Scalar
	switch s.Peek() {
	case strictjson.String:
		read = s.Text
	case strictjson.Number:
	default:
		return "", false
	}
	text, err := read()
	return string(text), err == nil && len(text) <= maxPageName
}
