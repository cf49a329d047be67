package policy

import (
	"slices"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// Version is a digest (16 hexadecimal digits) of the policy's document, for people. Two proxies with the same one
// do the same. Secrets, how the bridge is reached and how much memory L1 has don't enter it, nor
// do white space, the order of members, and that of lists where it means nothing.
func (p *Policy) Version() string { return p.version }

// unversioned are the fields, by where they stand, that don't enter the version.
var unversioned = []string{"/bridge", "/partition_secret", "/l1/max_bytes"}

// unordered are the lists, by name, whose order means nothing. One that isn't named here gives two
// versions to what may be one policy, which harms nobody.
var unordered = []string{"match", "invalidations", "invalidate", "ignore", "ignore_query", "headers", "group_headers", "unchanged_on"}

func version(document *strictjson.Value) string {
	return digest(appendVersioned(appendField(nil, "chatcache version 2"), document, ""))
}

// appendVersioned appends a value that stands at path. What it appends for two values is the same only where they are:
// each has its kind, and its length or number of parts.
func appendVersioned(b []byte, v *strictjson.Value, path string) []byte {
	b = append(b, byte(v.Kind))
	var parts []string
	switch v.Kind {
	case strictjson.Object:
		for _, m := range v.Members {
			if at := path + "/" + m.Name; !slices.Contains(unversioned, at) {
				parts = append(parts, string(appendVersioned(appendField(nil, m.Name), &m.Value, at)))
			}
		}
		return appendList(b, parts)
	case strictjson.Array:
		for i := range v.Items {
			parts = append(parts, string(appendVersioned(nil, &v.Items[i], path)))
		}
		if slices.Contains(unordered, path[strings.LastIndexByte(path, '/')+1:]) {
			slices.Sort(parts)
		}
		return appendField(b, strings.Join(parts, ""))
	case strictjson.Number:
		if n, err := strconv.ParseFloat(v.Text, 64); err == nil { // Envoy hands 1 through as 1.0
			return appendField(b, strconv.FormatFloat(n, 'g', -1, 64))
		}
	}
	return appendField(b, v.Text)
}
