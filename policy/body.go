package policy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// ErrBody says that a request's body can't be part of a key: the request bypasses the cache.
// The error that wraps it says why.
var ErrBody = errors.New("policy: this body can't be keyed")

// Body says how a request's JSON body becomes part of the key.
type Body struct {
	Ignore   []string // members that aren't part of the key, with dots between levels
	MaxBytes int      // of the largest body that is read; a larger one bypasses

	ignored *ignoreTree
}

// ignoreTree holds the ignored members by their levels; a nil tree ignores nothing.
type ignoreTree struct {
	whole  bool
	levels map[string]*ignoreTree
}

func newIgnoreTree(paths []string) *ignoreTree {
	root := &ignoreTree{}
	for _, path := range paths {
		t := root
		for name := range strings.SplitSeq(path, ".") {
			if t.levels == nil {
				t.levels = map[string]*ignoreTree{}
			}
			if t.levels[name] == nil {
				t.levels[name] = &ignoreTree{}
			}
			t = t.levels[name]
		}
		t.whole = true
	}
	return root
}

func (t *ignoreTree) level(name []byte) *ignoreTree {
	if t == nil {
		return nil
	}
	return t.levels[string(name)]
}

// Canonical appends the canonical form of a JSON body: no white space, members sorted by name, strings
// with the fewest escapes, ignored members dropped, numbers as they were sent. Two bodies
// with one canonical form mean the same to every JSON reader. What readers disagree on is
// refused with [ErrBody]: duplicate members (ignored or not), lone surrogates, invalid UTF-8, anything
// after the value, nesting beyond 64 levels; and so is a body larger than MaxBytes.
func (b *Body) Canonical(dst, body []byte) ([]byte, error) {
	if len(body) > b.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrBody, len(body), b.MaxBytes)
	}
	c := canonicalizer{scanner: strictjson.New(body), out: dst}
	err := c.value(b.ignored)
	if err == nil {
		err = c.scanner.End()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return c.out, nil
}

// canonicalizer writes values to out as it reads them. An object whose members come unsorted
// is put in order once it is complete, so that each byte is moved at most once a level.
type canonicalizer struct {
	scanner *strictjson.Scanner
	out     []byte
	spans   []span // of the members of all objects that are being read
	scratch []byte
}

// span is where one member stands in out: its name from start, its end.
type span struct {
	start, nameEnd, end int
	ignored             bool
}

func (c *canonicalizer) value(ignored *ignoreTree) error {
	switch c.scanner.Peek() {
	case strictjson.Object:
		return c.object(ignored)
	case strictjson.Array:
		return c.array()
	case strictjson.String:
		text, err := c.scanner.Text()
		c.out = strictjson.AppendText(c.out, text)
		return err
	}
	text, err := c.scanner.Scalar()
	c.out = append(c.out, text...)
	return err
}

func (c *canonicalizer) array() error {
	c.out = append(c.out, '[')
	err := c.scanner.Array(func(i int) error {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		return c.value(nil)
	})
	c.out = append(c.out, ']')
	return err
}

func (c *canonicalizer) object(ignored *ignoreTree) error {
	start, first := len(c.out), len(c.spans)
	err := c.scanner.Object(func(name []byte, _ int) error {
		s := span{start: len(c.out)}
		c.out = strictjson.AppendText(c.out, name)
		s.nameEnd = len(c.out)
		c.out = append(c.out, ':')
		below := ignored.level(name)
		s.ignored = below != nil && below.whole
		err := c.value(below)
		s.end = len(c.out)
		c.spans = append(c.spans, s)
		return err
	})
	if err != nil {
		return err
	}
	err = c.arrange(start, c.spans[first:])
	c.spans = c.spans[:first]
	return err
}

// arrange rewrites out from start on as one object of the members.
func (c *canonicalizer) arrange(start int, members []span) error {
	name := func(s span) []byte { return c.out[s.start:s.nameEnd] }
	slices.SortFunc(members, func(a, b span) int { return bytes.Compare(name(a), name(b)) })
	c.scratch = append(c.scratch[:0], '{')
	for i, s := range members {
		if i > 0 && bytes.Equal(name(members[i-1]), name(s)) {
			return fmt.Errorf("duplicate member %s", name(s))
		}
		if s.ignored {
			continue
		}
		if len(c.scratch) > 1 {
			c.scratch = append(c.scratch, ',')
		}
		c.scratch = append(c.scratch, c.out[s.start:s.end]...)
	}
	c.out = append(append(c.out[:start], c.scratch...), '}')
	return nil
}
