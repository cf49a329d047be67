package policy

import (
	"bytes"
	"errors"
	"slices"

	"chatcache/policy/internal/strictjson"
)

// differences looks for the places where two documents in canonical form differ.
type differences struct {
	found []string
	more  bool
}

// part is a member or an element of a value in canonical form.
type part struct {
	name  []byte // as it stands in the document; nil for an element
	value []byte
}

// Bounds of the search, beyond which the place reached is what differs.
const (
	maxSearched = 16   // levels; each reads what is below it once
	maxParts    = 4096 // of one object or list
)

// values compares what stands at path. Where lists have different lengths it isn't known which
// elements belong together, so the list itself is what differs.
func (d *differences) values(path string, level int, a, b []byte) {
	if d.more || bytes.Equal(a, b) {
		return
	}
	kind := strictjson.New(a).Peek()
	if strictjson.New(b).Peek() != kind || level > maxSearched {
		d.add(path)
		return
	}
	x, ok1 := parts(kind, a)
	y, ok2 := parts(kind, b)
	switch {
	case !ok1 || !ok2, kind == strictjson.Array && len(x) != len(y):
		d.add(path)
	case kind == strictjson.Object:
		d.members(path, level+1, x, y)
	default:
		element := below(path, "*")
		for i := range x {
			d.values(element, level+1, x[i].value, y[i].value)
		}
	}
}

// members compares members that are sorted by name. One that the other object lacks differs.
func (d *differences) members(path string, level int, x, y []part) {
	for len(x) > 0 || len(y) > 0 {
		switch order := compareNames(x, y); {
		case order < 0:
			d.add(below(path, shown(x[0].name)))
			x = x[1:]
		case order > 0:
			d.add(below(path, shown(y[0].name)))
			y = y[1:]
		default:
			d.values(below(path, shown(x[0].name)), level, x[0].value, y[0].value)
			x, y = x[1:], y[1:]
		}
	}
}

// compareNames compares the first names; a list that has ended comes last.
func compareNames(x, y []part) int {
	switch {
	case len(x) == 0:
		return 1
	case len(y) == 0:
		return -1
	}
	return bytes.Compare(x[0].name, y[0].name)
}

func (d *differences) add(path string) {
	switch {
	case slices.Contains(d.found, path):
	case len(d.found) == MaxDifferences:
		d.more = true
	default:
		d.found = append(d.found, path)
	}
}

// below is the path of a part, or path itself where that would be too long.
func below(path, token string) string {
	if len(path)+1+len(token) > MaxDifference {
		return path
	}
	return path + "/" + token
}

// shown is a member's name, as it stands in the document, as a token of a path.
func shown(name []byte) string {
	if text, err := strictjson.New(name).Text(); err == nil && isWord(text) {
		return string(text)
	}
	return "*"
}

// isWord tells whether a member's name is that of a field rather than an identifier: it is short, made of
// letters, "_", "-" and at most two digits.
func isWord(name []byte) bool {
	const longest, mostDigits = 32, 2
	digits := 0
	for _, c := range name {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c != '_' && c != '-' && (c|0x20 < 'a' || c|0x20 > 'z'):
			return false
		}
	}
	return len(name) > 0 && len(name) <= longest && digits <= mostDigits
}

// parts gives the members or the elements of an object or a list in canonical form, which has no white
// space; not of another kind, and not if there are too many.
func parts(kind strictjson.Kind, value []byte) (list []part, ok bool) {
	s := strictjson.New(value)
	read := func(name []byte) error {
		if len(list) == maxParts {
			return errTooMany
		}
		start := s.Offset()
		err := s.Skip()
		list = append(list, part{name: name, value: value[start:s.Offset()]})
		return err
	}
	var err error
	switch kind {
	case strictjson.Object:
		err = s.Object(func(_ []byte, offset int) error { return read(value[offset : s.Offset()-1]) })
	case strictjson.Array:
		err = s.Array(func(int) error { return read(nil) })
	default:
		return nil, false
	}
	return list, err == nil
}

var errTooMany = errors.New("policy: too many parts")
