package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// MaxKey is the most bytes of a cache key with which the filter asks the cache: it holds them in memory.
const MaxKey = 16 << 10

// StoredMethod is the method of the requests whose stored responses answer one with this method: GET answers HEAD too
// (RFC 9110 section 9.3.2). The request that a key is made of has it.
func StoredMethod(method string) string {
	if method == "HEAD" {
		return "GET"
	}
	return method
}

// AppendKey appends the cache key of a request that [Policy.Match] gave the cache c
// for. partition is empty for a shared cache; body is what [Body.Canonical] gave,
// nil for a cache that isn't body-keyed; of a long one the key has a digest. Every field is length-prefixed and
// every list counted, so that no value can pose as another ([SplitKey] reads it back).
//
// The key is made of what the request says, never of less than what tells resources
// apart: the scheme, the authority and the path as they were sent, since some origins tell hosts apart by case, and
// route a path before they decode it, the query as the package documentation says, all values of the selected headers, and of those that
// steer ([Steers]).
func (p *Policy) AppendKey(dst []byte, c *Cache, r Request, partition string, body []byte) []byte {
	dst = appendField(dst, p.Name)
	dst = appendField(dst, c.Name)
	dst = appendField(dst, r.Method())
	dst = c.appendOrigin(dst, r)
	dst = appendField(dst, withoutQuery(r.Path()))
	dst = appendQuery(dst, queryOf(r.Path()), c.IgnoreQuery)
	count := len(dst)
	dst = append(dst, byte(len(c.Headers))) // a uvarint: with those that steer less than 128
	for _, name := range c.Headers {
		dst = appendHeader(dst, name, r.Header(name))
	}
	steered := r.Steered()
	if steered >= Steered {
		for _, name := range steering {
			if values := c.steeringValues(r, name); len(values) > 0 {
				dst = appendHeader(dst, name, values)
				dst[count]++
			}
		}
	}
	if steered == Disguised {
		for _, name := range underscored {
			if values := r.Header(name); len(values) > 0 {
				dst = appendHeader(dst, name, values)
				dst[count]++
			}
		}
	}
	return appendBody(appendField(dst, partition), body)
}

// What a key says of the request's body.
const (
	keyOfNoBody = iota
	keyOfBody
	keyOfDigest
)

// longestBody is the size up to which a body stands in a key as it is, bytes; of a longer one the key has the SHA-256. Keys are kept
// in memory with what they find, and are bounded there.
const longestBody = 4 << 10

func appendBody(dst, body []byte) []byte {
	switch {
	case body == nil:
		return append(dst, keyOfNoBody)
	case len(body) > longestBody:
		sum := sha256.Sum256(body)
		return append(append(dst, keyOfDigest), sum[:]...)
	}
	dst = binary.AppendUvarint(append(dst, keyOfBody), uint64(len(body)))
	return append(dst, body...)
}

func appendHeader(dst []byte, name string, values []string) []byte {
	dst = appendField(dst, name)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for _, v := range values {
		dst = appendField(dst, v)
	}
	return dst
}

// What a key says first of a URI's origin. A third was in keys without a scheme: 1.
const (
	keyOfAnyOrigin  = 0
	keyOfOneOrigin  = 2
	forwardedScheme = "x-forwarded-proto"
)

// appendOrigin appends the target URI's scheme and authority (RFC 9111 section 2), unless the cache ignores them. Most
// origins take the scheme from X-Forwarded-Proto, and so does Envoy where a request has none. A client may send both, at least
// by HTTP/2: where they differ, both are in the key, and be it in case, since not every origin takes HTTPS for https.
func (c *Cache) appendOrigin(dst []byte, r Request) []byte {
	if c.IgnoreAuthority {
		return append(dst, keyOfAnyOrigin)
	}
	forwarded := r.Header(forwardedScheme)
	scheme := r.Scheme()
	switch {
	case len(forwarded) == 1 && (scheme == "" || scheme == forwarded[0]):
		scheme, forwarded = forwarded[0], nil
	case scheme == "":
		scheme = "http"
	}
	dst = appendField(append(dst, keyOfOneOrigin), scheme)
	dst = binary.AppendUvarint(dst, uint64(len(forwarded)))
	for _, f := range forwarded {
		dst = appendField(dst, f)
	}
	return appendField(dst, r.Authority())
}

// AppendURI appends what tells the cache's resources apart for unsafe requests, which invalidate what is stored for their URI by
// either scheme: the authority, unless the cache ignores it, path and query, with normalized escapes.
func (c *Cache) AppendURI(dst []byte, authority, path string) []byte {
	if c.IgnoreAuthority {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		dst = appendLower(binary.AppendUvarint(dst, uint64(len(authority))), authority)
	}
	var buffer [256]byte
	normal := appendNormalized(buffer[:0], withoutQuery(path))
	dst = binary.AppendUvarint(dst, uint64(len(normal)))
	dst = append(dst, normal...)
	return appendQuery(dst, queryOf(path), c.IgnoreQuery)
}

func appendField(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// KeyParts is a cache key taken apart, for people and tests.
type KeyParts struct {
	Policy, Cache, Method string
	HasOrigin             bool // false where the cache ignores scheme and authority
	Scheme                string
	Forwarded             []string // X-Forwarded-Proto, where it says something else than the scheme
	Authority             string
	Path                  string
	Query                 []string    // parameters in the key's order
	Headers               []KeyHeader // the cache's own, then those that steer
	Partition             string      // empty for a shared cache
	Body                  string      // of a long one "sha256:" and its digest in hexadecimal digits
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
	if k.HasOrigin = r.origin(); k.HasOrigin {
		k.Scheme = r.text()
		k.Forwarded = r.list()
		k.Authority = r.text()
	}
	k.Path = r.text()
	k.Query = r.list()
	for range r.number() {
		k.Headers = append(k.Headers, KeyHeader{Name: r.text(), Values: r.list()})
	}
	k.Partition = r.text()
	k.Body, k.HasBody = r.body()
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

// bytes reads so many; where fewer are left, those.
func (r *keyReader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.bad, n = true, len(r.rest)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// kind reads the byte that says of what kind comes next.
func (r *keyReader) kind() byte {
	if b := r.bytes(1); len(b) > 0 {
		return b[0]
	}
	return 0
}

func (r *keyReader) body() (text string, has bool) {
	switch r.kind() {
	case keyOfNoBody:
		return "", false
	case keyOfBody:
		return r.text(), true
	case keyOfDigest:
		return "sha256:" + hex.EncodeToString(r.bytes(sha256.Size)), true
	}
	r.bad = true
	return "", false
}

// origin reads whether scheme and authority come next.
func (r *keyReader) origin() bool {
	switch r.kind() {
	case keyOfAnyOrigin:
		return false
	case keyOfOneOrigin:
		return true
	}
	r.bad = true
	return false
}

func (r *keyReader) text() string { return string(r.bytes(r.number())) }

func (r *keyReader) list() (items []string) {
	for range r.number() {
		items = append(items, r.text())
	}
	return items
}
