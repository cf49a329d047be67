package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"chatcache/policy/internal/strictjson"
)

// canonicalizer writes values to out as it reads them. An object whose members come unsorted
// is put in order once it is complete, so that each byte is moved at most once a level.
type canonicalizer struct {
	// lists tells whether elements of lists may be ignored: they become null, so that the
	// others keep their places. Otherwise what is ignored isn't looked for in lists.
	lists bool

	scanner *strictjson.Scanner
	out     []byte
	spans   []span   // of the members of all objects that are being read
	places  ignoring // of all values that are being read
	scratch []byte
	folds   []byte // of the names of one object
}

// span is where one member stands in out: its name from start, its end; and its name's folded form in folds.
type span struct {
	start, nameEnd, end int
	fold, foldEnd       int
	ignored             bool
}

// canonical appends the canonical form of a JSON document, as [Body.Canonical] describes it.
func (c *canonicalizer) canonical(dst, doc []byte, ignored ignoring) ([]byte, error) {
	c.scanner, c.out = strictjson.New(doc), dst
	err := c.value(ignored)
	if err == nil {
		err = c.scanner.End()
	}
	return c.out, err
}

func (c *canonicalizer) value(at ignoring) error {
	switch c.scanner.Peek() {
	case strictjson.Object:
		return c.object(at)
	case strictjson.Array:
		return c.array(at)
	case strictjson.String:
		text, err := c.scanner.Text()
		c.out = strictjson.AppendText(c.out, text)
		return err
	}
	text, err := c.scanner.Scalar()
	c.out = append(c.out, text...)
	return err
}

// below reads a value to which the token leads from the place at; it tells whether it is ignored.
func (c *canonicalizer) below(at ignoring, token []byte) (ignored bool, err error) {
	if len(at) == 0 {
		return false, c.value(nil)
	}
	first := len(c.places)
	c.places = at.appendBelow(c.places, token)
	below := c.places[first:]
	err = c.value(below)
	c.places = c.places[:first]
	return below.whole(), err
}

func (c *canonicalizer) array(at ignoring) error {
	if !c.lists {
		at = nil
	}
	c.out = append(c.out, '[')
	var index [20]byte
	err := c.scanner.Array(func(i int) error {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		start := len(c.out)
		ignored, err := c.below(at, strconv.AppendInt(index[:0], int64(i), 10))
		if ignored {
			c.out = append(c.out[:start], "null"...)
		}
		return err
	})
	c.out = append(c.out, ']')
	return err
}

func (c *canonicalizer) object(at ignoring) error {
	start, first := len(c.out), len(c.spans)
	err := c.scanner.Object(func(name []byte, _ int) error {
		s := span{start: len(c.out)}
		c.out = strictjson.AppendText(c.out, name)
		s.nameEnd = len(c.out)
		c.out = append(c.out, ':')
		var err error
		s.ignored, err = c.below(at, name)
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

// arrange rewrites out from start on as one object of the members, ordered so that those names stand together which readers that
// don't look at case take for one, as Go's encoding/json does. Names are folded once: a body may have thousands of long ones.
func (c *canonicalizer) arrange(start int, members []span) error {
	name := func(s span) []byte { return c.out[s.start:s.nameEnd] }
	fold := func(s span) []byte { return c.folds[s.fold:s.foldEnd] }
	c.folds = c.folds[:0]
	for i := range members {
		members[i].fold = len(c.folds)
		c.folds = appendFolded(c.folds, name(members[i]))
		members[i].foldEnd = len(c.folds)
	}
	slices.SortFunc(members, func(a, b span) int {
		return cmp.Or(bytes.Compare(fold(a), fold(b)), bytes.Compare(name(a), name(b)))
	})
	c.scratch = append(c.scratch[:0], '{')
	for i, s := range members {
		if i > 0 && bytes.Equal(fold(members[i-1]), fold(s)) {
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

// appendFolded appends a name without case (Unicode's simple folding).
func appendFolded(dst, name []byte) []byte {
	for len(name) > 0 {
		r, n := utf8.DecodeRune(name)
		dst, name = utf8.AppendRune(dst, folded(r)), name[n:]
	}
	return dst
}

// folded is the least of the letters that differ from one in case alone.
func folded(r rune) rune {
	if r < utf8.RuneSelf {
		return unicode.ToUpper(r)
	}
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
