package httpcache

import (
	"slices"
	"strconv"
	"strings"
)

// Span is a part of a body: the bytes from First up to and without End.
type Span struct{ First, End int }

// RangeOf decides what a request for a part of a stored 200 of size bytes gets (RFC 9110 §14):
// the part; or, whole, everything; or, unsatisfiable, a 416. Everything is also the answer to
// what is malformed, asks for several parts, has another unit, or has an If-Range that
// the stored response doesn't fulfil.
func RangeOf(request, stored Fields, size int, now int64) (span Span, whole, unsatisfiable bool) {
	values := request.Values("range")
	if len(values) != 1 || !inRange(request, stored, now) {
		return Span{}, true, false
	}
	unit, spec, _ := strings.Cut(values[0], "=")
	first, last, isSpan := strings.Cut(trim(spec), "-") // of several parts one has a comma, and is no number
	if !isSpan || !strings.EqualFold(trim(unit), "bytes") {
		return Span{}, true, false
	}
	if first == "" {
		n, ok := offset(last)
		if !ok {
			return Span{}, true, false
		}
		if n == 0 || size == 0 {
			return Span{}, false, true
		}
		return Span{max(size-n, 0), size}, false, false
	}
	from, ok1 := offset(first)
	to, ok2 := maxOffset, true
	if last != "" {
		to, ok2 = offset(last)
	}
	switch {
	case !ok1 || !ok2 || to < from:
		return Span{}, true, false
	case from >= size:
		return Span{}, false, true
	}
	return Span{from, min(to, size-1) + 1}, false, false
}

const maxOffset = 1<<31 - 2

// offset reads a position, at most maxOffset: more than any stored body has.
func offset(digits string) (int, bool) {
	n, ok := parseSeconds(digits)
	return int(min(n, maxOffset)), ok
}

// inRange evaluates If-Range (RFC 9110 §13.1.5): a strong entity tag that is the stored one, or
// the very date of a Last-Modified that is itself strong, a second older than Date at least (§8.8.2.2). Where there may be
// other codings of the same, neither is taken for strong: whatever makes codings between the origin and here may
// leave the origin's tag on all of them, and a part of the one would be put into another.
func inRange(request, stored Fields, now int64) bool {
	values := request.Values("if-range")
	if len(values) == 0 {
		return true
	}
	if names, _ := stored.Vary(); slices.Contains(names, acceptEncoding) {
		return false
	}
	condition := trim(values[0])
	if len(values) > 1 {
		return false
	}
	if strings.HasPrefix(condition, `"`) { // a weak one begins with W, and is no date either
		return condition == stored.Get("etag")
	}
	modified, ok1 := ParseDate(trim(stored.Get("last-modified")), now)
	asked, ok2 := ParseDate(condition, now)
	sent, ok3 := ParseDate(trim(stored.Get("date")), now)
	return ok1 && ok2 && ok3 && modified == asked && sent > modified
}

// ContentRange is the value of that field for a span of size bytes.
func (s Span) ContentRange(size int) string {
	return "bytes " + strconv.Itoa(s.First) + "-" + strconv.Itoa(s.End-1) + "/" + strconv.Itoa(size)
}

// UnsatisfiedRange is the value of Content-Range in a 416.
func UnsatisfiedRange(size int) string { return "bytes */" + strconv.Itoa(size) }

// PartFields gives the fields of a 206 with a part of the stored response, but for its Content-Range: without what is about the
// content that is sent, and was all of it (RFC 9530 section 2), and without a Content-Range, which has no meaning in
// what was stored.
func PartFields(stored Fields) Fields {
	return slices.DeleteFunc(stored, func(f [2]string) bool {
		return f[0] == "content-range" || f[0] == "content-digest" || f[0] == "content-md5"
	})
}
