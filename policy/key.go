package policy

import (
	"encoding/binary"
	"errors"
)

// AppendKey appends the cache key of a request that [Policy.Match] gave the cache c
// for. partition is empty for a shared cache; body is what [Body.Canonical] gave,
// nil for a cache that isn't body-keyed. Every field is length-prefixed and
// every list counted, so that no value can pose as another ([SplitKey] reads it back).
//
// The key is made of what the request says, never of less than what tells resources
// apart: the authority in lower case with its port, the path with normalized
// escapes, the query as the package documentation says, all values of the selected headers.
func (p *Policy) AppendKey(dst []byte, c *Cache, r Request, partition string, body []byte) []byte {
	dst = appendField(dst, p.Name)
	dst = appendField(dst, c.Name)
	dst = appendField(dst, r.Method())
	dst = c.AppendURI(dst, r.Authority(), r.Path())
	dst = binary.AppendUvarint(dst, uint64(len(c.Headers)))
	for _, name := range c.Headers {
		dst = appendField(dst, name)
		values := r.Header(name)
		dst = binary.AppendUvarint(dst, uint64(len(values)))
		for _, v := range values {
			dst = appendField(dst, v)
		}
	}
	dst = appendField(dst, partition)
	if body == nil {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(append(dst, 1), uint64(len(body)))
	return append(dst, body...)
}

// AppendURI appends what tells the cache's resources apart in a URI, as keys have it: the authority,
// unless the cache ignores it, path and query.
func (c *Cache) AppendURI(dst []byte, authority, path string) []byte {
	if c.IgnoreAuthority {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		dst = binary.AppendUvarint(dst, uint64(len(authority)))
		dst = appendLower(dst, authority)
	}
	var buffer [256]byte
	normal := appendNormalized(buffer[:0], withoutQuery(path))
	dst = binary.AppendUvarint(dst, uint64(len(normal)))
	dst = append(dst, normal...)
	dst = appendQuery(dst, queryOf(path), c.IgnoreQuery)
	return dst
}

func appendField(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// KeyParts is a cache key taken apart, for people and tests.
type KeyParts struct {
	Policy, Cache, Method string
	Authority             string
	HasAuthority          bool // false where the cache ignores it
	Path                  string
	Query                 []string // parameters in the key's order
	Headers               []KeyHeader
	Partition             string // empty for a shared cache
	Body                  string
	HasBody               bool
}

// KeyHeader is a selected header with all its values.
type KeyHeader struct {
	Name   string
	Values []string
}

// ErrKey says that bytes are not a cache key.
var ErrKey = errors.New("policy: not a cache key")

// SplitKey is the inverse of [Policy.AppendKey]. The error is [ErrKey].
func SplitKey(key []byte) (KeyParts, error) {
	r := keyReader{rest: key}
	k := KeyParts{Policy: r.text(), Cache: r.text(), Method: r.text()}
	if k.HasAuthority = r.flag(); k.HasAuthority {
		k.Authority = r.text()
	}
	k.Path = r.text()
	k.Query = r.list()
	for range r.number() {
		k.Headers = append(k.Headers, KeyHeader{Name: r.text(), Values: r.list()})
	}
	k.Partition = r.text()
	if k.HasBody = r.flag(); k.HasBody {
		k.Body = r.text()
	}
	if r.bad || len(r.rest) > 0 {
		return KeyParts{}, ErrKey
	}
	return k, nil
}

type keyReader struct {
	rest []byte
	bad  bool
}

// number reads a count or a length, which can't be more than the bytes that are left.
func (r *keyReader) number() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

func (r *keyReader) flag() bool {
	if len(r.rest) == 0 || r.rest[0] > 1 {
		r.bad, r.rest = true, nil
		return false
	}
	set := r.rest[0] == 1
	r.rest = r.rest[1:]
	return set
}

func (r *keyReader) text() string {
	n := r.number()
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *keyReader) list() (items []string) {
	for range r.number() {
		items = append(items, r.text())
	}
	return items
}
