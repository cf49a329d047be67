package httpcache

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"chatcache/policy/directive"
)

// Vary gives the lower-case names of the request fields that a response depends on, sorted
// and once each (RFC 9110 §12.5.5). star: it depends on more than the request, or on more fields than are read, or it isn't known on which, as where an origin
// writes semicolons or spaces between them; then it matches none. One with a content coding
// depends on Accept-Encoding, whether it says so or not: not everybody can read it.
func (f Fields) Vary() (names []string, star bool) {
	if f.coded() {
		names = []string{acceptEncoding}
	}
	f.listItems("vary", func(item string) {
		star = star || item == "*" || strings.ContainsAny(item, " \t\"(),/:;<=>?@[\\]{}") // no token (RFC 9110 §5.6.2)
		names = appendNew(names, strings.ToLower(item))
	})
	slices.Sort(names)
	return names, star || len(names) > maxNames
}

const acceptEncoding = "accept-encoding"

// coded tells whether a response has a content coding.
func (f Fields) coded() (coded bool) {
	f.listItems("content-encoding", func(item string) { coded = coded || !strings.EqualFold(item, "identity") })
	return coded
}

// VaryBeyond gives the names of Vary that aren't part of the key.
func (f Fields) VaryBeyond(keyHeaders []string) (names []string, star bool) {
	names, star = f.Vary()
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(keyHeaders, name) }), star
}

// Variant digests what a request has in the fields of those names: equal for two requests
// that match by RFC 9111 §4.1. A field's lines are joined, whitespace around commas doesn't
// count, nor does case in Accept-Encoding and Accept-Language, nor the order of the former's codings. What an
// origin might tell apart, if only because it reads the field badly, is told apart. The digest is no
// one's credential, but a short value can be guessed from it.
func (f Fields) Variant(names []string) [16]byte {
	h := sha256.New()
	for _, name := range names {
		name = asProxied(name)
		var items []string
		if joined := strings.Join(f.Values(name), ","); joined != "" {
			directive.Split(joined, func(item string) { items = append(items, item) }) // with the empty ones: not every field is a list
		}
		switch name {
		case acceptEncoding:
			items = codings(plain(items))
		case "accept-language":
			items = plain(items) // in their order, which some servers go by
		}
		count := uint64(len(items)) << 1
		if f.Has(name) {
			count++ // an empty field and none are two things
		}
		h.Write(binary.AppendUvarint(nil, count))
		for _, s := range append(items, name) {
			h.Write(binary.AppendUvarint(nil, uint64(len(s))))
			h.Write([]byte(s))
		}
	}
	return [16]byte(h.Sum(nil))
}

// AppendVariant appends all that Variant makes its digest of, as the request has it: where that is the same, the digest is.
func (f Fields) AppendVariant(dst []byte, names []string) []byte {
	for _, name := range names {
		dst = appendText(dst, name)
		name = asProxied(name)
		for _, field := range f {
			if field[0] == name {
				dst = appendText(append(dst, 1), field[1])
			}
		}
		dst = append(dst, 0)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// asProxied is the name of a field as the proxy has it, whatever the protocol.
func asProxied(name string) string {
	if name == "host" {
		return ":authority"
	}
	return name
}

// plain gives names and weights in lower case, without whitespace around the semicolons.
func plain(items []string) []string {
	for i, item := range items {
		parts := strings.Split(strings.ToLower(item), ";")
		for n := range parts {
			parts[n] = trim(parts[n])
		}
		items[i] = strings.Join(parts, ";")
	}
	return items
}

// codings normalises the plain items of Accept-Encoding, to one list for all that mean the same to a server (RFC 9110 §12.5.3):
// sorted, without weights of 1, and with the present name of x-gzip and x-compress (§8.4.1). What isn't acceptable stays in the
// list, since many servers look for the name alone.
func codings(items []string) []string {
	for i, item := range items {
		name, weight, weighted := strings.Cut(item, ";q=")
		if name == "x-gzip" || name == "x-compress" {
			name = name[2:]
		}
		if weighted && strings.Contains(weight, ".") {
			weight = strings.TrimRight(strings.TrimRight(weight, "0"), ".")
		}
		switch {
		case !weighted, weight == "1":
			items[i] = name
		default:
			items[i] = name + ";q=" + weight
		}
	}
	if len(items) == 1 && items[0] == "identity" {
		items = nil
	}
	slices.Sort(items)
	return slices.Compact(items)
}
