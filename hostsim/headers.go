package hostsim

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Headers is an ordered list of header fields with lower-case names, as
// Envoy's header map is: repeated names stay apart, pseudo-headers come first.
type Headers [][2]string

// Get is the first value of name, or "".
func (h Headers) Get(name string) string {
	v, _ := h.lookup(name)
	return v
}

// Has reports whether name is there, be it with an empty value.
func (h Headers) Has(name string) bool {
	_, ok := h.lookup(name)
	return ok
}

func (h Headers) lookup(name string) (string, bool) {
	name = strings.ToLower(name)
	for _, f := range h {
		if f[0] == name {
			return f[1], true
		}
	}
	return "", false
}

// Values are all values of name, in order.
func (h Headers) Values(name string) []string {
	var values []string
	name = strings.ToLower(name)
	for _, f := range h {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return values
}

// Add appends a field.
func (h *Headers) Add(name, value string) { *h = append(*h, [2]string{strings.ToLower(name), value}) }

// Set leaves one field of name, at the place of the first.
func (h *Headers) Set(name, value string) {
	name = strings.ToLower(name)
	for i, f := range *h {
		if f[0] == name {
			rest := Headers((*h)[i+1:]).without(name)
			*h = append(append((*h)[:i:i], [2]string{name, value}), rest...)
			return
		}
	}
	h.Add(name, value)
}

// Del removes every field of name.
func (h *Headers) Del(name string) { *h = h.without(strings.ToLower(name)) }

func (h Headers) without(name string) Headers {
	kept := make(Headers, 0, len(h))
	for _, f := range h {
		if f[0] != name {
			kept = append(kept, f)
		}
	}
	return kept
}

// String shows the fields on one line, credentials cut short: {:path: /x, accept: */*}.
func (h Headers) String() string {
	const shown = 12 // bytes of a credential: enough to tell "Bearer alice" from "Bearer bob"
	parts := make([]string, len(h))
	for i, f := range h {
		parts[i] = f[0] + ": " + f[1]
		if f[0] == "authorization" && len(f[1]) > shown {
			parts[i] = f[0] + ": " + f[1][:shown] + "…"
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Clone is a copy that shares nothing.
func (h Headers) Clone() Headers { return append(Headers(nil), h...) }

// byteSize is what Envoy's HeaderMap::byteSize counts: names and values.
func (h Headers) byteSize() int {
	n := 0
	for _, f := range h {
		n += len(f[0]) + len(f[1])
	}
	return n
}

// fromHTTP flattens net/http's map, sorted by name as its server writes it.
func fromHTTP(m http.Header) Headers {
	var h Headers
	for _, name := range slices.Sorted(maps.Keys(m)) {
		for _, v := range m[name] {
			h.Add(name, v)
		}
	}
	return h
}

// toHTTP gives the fields that are not pseudo-headers as net/http's map.
func (h Headers) toHTTP() http.Header {
	m := make(http.Header, len(h))
	for _, f := range h {
		if !strings.HasPrefix(f[0], ":") {
			m.Add(f[0], f[1])
		}
	}
	return m
}
