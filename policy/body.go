package policy

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBody says that a request's body can't be part of a key: the request bypasses the cache.
// The error that wraps it says why.
var ErrBody = errors.New("policy: this body can't be keyed")

// Body says how a request's JSON body becomes part of the key.
type Body struct {
	Ignore   []string // members that aren't part of the key, with dots between levels
	MaxBytes int      // of the largest body that is read; a larger one bypasses

	ignored ignoring
}

// IsJSON tells whether the lines of a request's Content-Type say that its body is JSON in UTF-8. By RFC 8259 section 11
// no parameter changes that; but there are origins that read the body in the charset that it names.
func IsJSON(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	media, parameter, _ := strings.Cut(strings.ToLower(contentType[0]), ";")
	if trim(media) != "application/json" {
		return false
	}
	switch trim(parameter) {
	case "", "charset=utf-8", `charset="utf-8"`:
		return true
	}
	return false
}

// Canonical appends the canonical form of a JSON body: no white space, members sorted by name, strings
// with the fewest escapes, ignored members dropped, numbers as they were sent. Two bodies
// with one canonical form mean the same to every JSON reader that doesn't go by the order of members. What readers disagree on is
// refused with [ErrBody]: duplicate members (ignored or not, and also if they differ in case), lone surrogates, invalid UTF-8, anything
// after the value, nesting beyond 64 levels; and so is a body larger than MaxBytes.
func (b *Body) Canonical(dst, body []byte) ([]byte, error) {
	if len(body) > b.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrBody, len(body), b.MaxBytes)
	}
	canonical, err := new(canonicalizer).canonical(dst, body, b.ignored)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return canonical, nil
}

// ignoreMembers gives the place that a body's reading begins at.
func ignoreMembers(paths []string) ignoring {
	if len(paths) == 0 {
		return nil
	}
	root := &ignoreTree{}
	for _, path := range paths {
		root.add(strings.Split(path, "."), false)
	}
	return ignoring{root}
}
