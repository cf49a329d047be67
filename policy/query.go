package policy

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// maxParameters is how many parameters are sorted: a query that is as long as the proxy lets it be has twenty thousand, and while
// these were sorted nothing else of the worker would go on.
const maxParameters = 1000

// appendQuery appends the number of query parameters and each of them, length-prefixed:
// escapes normalized, ignored ones dropped, sorted by name. Parameters of one name keep their order,
// since origins differ in which of them counts, and so do those that are parts of one
// value (a[x]=, a[y]=). A query with ";" is one parameter, as it was sent: some origins
// separate parameters there, and would see what dropping and sorting by "&" don't. So is one with too many.
func appendQuery(dst []byte, query string, ignore []string) []byte {
	if query == "" {
		return append(dst, 0)
	}
	if strings.IndexByte(query, ';') >= 0 || strings.Count(query, "&") >= maxParameters {
		dst = binary.AppendUvarint(dst, 1)
		return appendField(dst, query)
	}
	var text [512]byte
	var few [16][]byte
	parameters := splitQuery(text[:0], few[:0], query, ignore)
	dst = binary.AppendUvarint(dst, uint64(len(parameters)))
	for _, p := range parameters {
		dst = binary.AppendUvarint(dst, uint64(len(p)))
		dst = append(dst, p...)
	}
	return dst
}

// splitQuery writes the normalized parameters to text, and lists those that stay, sorted.
func splitQuery(text []byte, parameters [][]byte, query string, ignore []string) [][]byte {
	for query != "" {
		var parameter string
		parameter, query, _ = strings.Cut(query, "&")
		if parameter == "" {
			continue
		}
		start := len(text)
		text = appendNormalized(text, parameter)
		p := text[start:len(text):len(text)]
		if !isIgnored(p, ignore) {
			parameters = append(parameters, p)
		}
	}
	slices.SortStableFunc(parameters, func(a, b []byte) int {
		return bytes.Compare(sortName(a), sortName(b))
	})
	return parameters
}

func isIgnored(parameter []byte, ignore []string) bool {
	name, _, _ := bytes.Cut(parameter, []byte{'='})
	for _, i := range ignore {
		if string(name) == i {
			return true
		}
	}
	return false
}

// sortName is a parameter's name up to the bracket that begins an index.
func sortName(parameter []byte) []byte {
	name, _, _ := bytes.Cut(parameter, []byte{'='})
	name, _, _ = bytes.Cut(name, []byte{'['})
	name, _, _ = bytes.Cut(name, []byte("%5B"))
	return name
}
