package policy

import (
	"bytes"
	"strings"
)

// Verify says what the origin's answer may differ in from a stored one and still be the same.
type Verify struct {
	Ignore []string // JSON pointers (RFC 6901) in which "*" stands for any member and any element

	ignored ignoring
}

// Comparison is what came of comparing a stored body with the origin's.
type Comparison struct {
	Same bool
	JSON bool // both are JSON; otherwise each byte counts
	// Differences are places that differ, as patterns that Verify.Ignore would take: at most
	// MaxDifferences different ones of at most MaxDifference bytes. Nothing of a value is in
	// them: an element's index is "*", and so is a member's name that may be somebody's or something's identifier
	// instead of a word. "" is the document itself.
	Differences []string
	More        bool // there are more
}

// Bounds of a comparison's differences.
const (
	MaxDifferences = 8
	MaxDifference  = 128 // bytes; below that a longer one is left out
)

// Compare compares a stored body with what the origin has sent now. JSON is compared in its canonical form,
// as [Body.Canonical] has it, without what is ignored: an ignored member as if it weren't there, an ignored
// element as if it were null. What isn't JSON, or JSON that readers could disagree on, is compared byte by byte.
func (v *Verify) Compare(stored, fresh []byte) Comparison {
	if bytes.Equal(stored, fresh) {
		return Comparison{Same: true}
	}
	a, err := v.canonical(stored)
	if err != nil {
		return Comparison{}
	}
	b, err := v.canonical(fresh)
	if err != nil {
		return Comparison{}
	}
	d := differences{}
	d.values("", 0, a, b)
	return Comparison{Same: len(d.found) == 0, JSON: true, Differences: d.found, More: d.more}
}

func (v *Verify) canonical(doc []byte) ([]byte, error) {
	c := canonicalizer{lists: true}
	return c.canonical(make([]byte, 0, len(doc)), doc, v.ignored)
}

// parsePointer reads a pointer of Verify.Ignore, as its tokens; wanted says what is wrong with it.
func parsePointer(s string) (tokens []string, wanted string) {
	if !strings.HasPrefix(s, "/") {
		return nil, `a JSON pointer is wanted: "/meta/ts", or "/items/*/ts" for each element of a list`
	}
	tokens = strings.Split(s[1:], "/")
	for i, token := range tokens {
		if strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(token), "~") {
			return nil, `in a JSON pointer "~" is written as "~0", and "/" in a name as "~1"`
		}
		tokens[i] = unescapeToken.Replace(token)
	}
	return tokens, ""
}

// unescapeToken reads a token of a JSON pointer.
var unescapeToken = strings.NewReplacer("~1", "/", "~0", "~")
