package httpcache

import (
	"strings"

	"chatcache/policy/directive"
)

// Fields is a header section in the order received. Names are lower case, as
// Envoy hands them over; pseudo header fields (":status") are part of it.
type Fields [][2]string

// Get gives the first value of the lower-case name, or "".
func (f Fields) Get(name string) string {
	for _, field := range f {
		if field[0] == name {
			return field[1]
		}
	}
	return ""
}

// Has tells whether the section has a field of that name, even an empty one.
func (f Fields) Has(name string) bool {
	for _, field := range f {
		if field[0] == name {
			return true
		}
	}
	return false
}

// Values gives all values of the lower-case name in order.
func (f Fields) Values(name string) []string { return f.AppendValues(nil, name) }

// AppendValues appends all values of the lower-case name in order.
func (f Fields) AppendValues(dst []string, name string) []string {
	for _, field := range f {
		if field[0] == name {
			dst = append(dst, field[1])
		}
	}
	return dst
}

// listItems calls yield for each element of a comma-separated list, over all
// lines of the field, trimmed, empty ones left out (RFC 9110 §5.6.1). Commas in
// quoted strings don't separate.
func (f Fields) listItems(name string, yield func(item string)) {
	for _, field := range f {
		if field[0] != name {
			continue
		}
		directive.Split(field[1], func(item string) {
			if item != "" {
				yield(item)
			}
		})
	}
}

// trim removes optional whitespace (RFC 9110 §5.6.3).
func trim(s string) string { return strings.Trim(s, " \t") }
