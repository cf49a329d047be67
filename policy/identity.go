package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"slices"
	"sync"
)

// MinSecret is the length in bytes that a partition secret has at least.
const MinSecret = 16

// ErrSecret says that a partition secret is missing or too short.
var ErrSecret = errors.New("policy: the partition secret must have at least 16 bytes")

// Partition is the identity that stored responses belong to.
type Partition struct {
	// ID is half of an HMAC-SHA256 (32 hexadecimal digits) over the source's kind, its
	// name, the issuer and the value, each length-prefixed.
	ID string
	// Expires is when the credential itself says that it ends, in seconds since
	// 1970: no response may be used after it. 0 where it doesn't say so, and for verified
	// claims: a later token of the same subject is the same identity.
	Expires int64
	// Source is the index of the source that gave a value.
	Source int
}

// Identifier turns requests into partitions. It is safe for concurrent use.
type Identifier struct {
	sources []Source
	labels  [][]byte // kind and name of each source, length-prefixed

	mu  sync.Mutex
	mac hash.Hash // after its first Reset it starts from the secret's precomputed states
	sum [sha256.Size]byte
	buf []byte

	known      map[string]identified // what lines of fields have given, see ofLines
	knownBytes int
}

// identified is what the lines of a source's field have given; without a partition they name nobody.
type identified struct {
	Partition
	ok bool
}

// Bounds of what an identifier remembers. Beyond them it begins anew.
const (
	maxKnown      = 4096
	maxKnownBytes = 1 << 20
	maxKnownLine  = 8 << 10 // longer credentials are digested each time
)

// NewIdentifier gives an identifier for the sources of a policy. The error is [ErrSecret]
// where the secret is shorter than [MinSecret].
func NewIdentifier(sources []Source, secret []byte) (*Identifier, error) {
	if len(secret) < MinSecret {
		return nil, ErrSecret
	}
	id := &Identifier{sources: slices.Clone(sources), mac: hmac.New(sha256.New, secret), known: make(map[string]identified)}
	for _, s := range sources {
		id.labels = append(id.labels, s.label())
	}
	return id, nil
}

// label is what tells a source's values from those of every other source.
func (s Source) label() []byte {
	b := appendField(nil, s.Kind.String())
	switch s.Kind {
	case SourceProperty:
		for _, p := range s.Path {
			b = appendField(b, p)
		}
	case SourceClaim:
		b = appendField(appendField(b, s.Name), s.Header)
	default:
		// A verified claim's payload is only where Envoy was told to put it.
		b = appendField(b, s.Name)
	}
	return appendField(nil, string(b))
}

// Identify gives the partition of the first source that has a value in the request;
// ok is false where none has: then only shared caches may answer.
func (id *Identifier) Identify(r Request) (p Partition, ok bool) {
	id.mu.Lock()
	defer id.mu.Unlock()
	for i := range id.sources {
		field := id.sources[i].field()
		if field == "" {
			p, ok = id.partition(i, id.sources[i].fromProxy(r))
		} else if lines := r.Header(field); len(lines) > 0 {
			p, ok = id.ofLines(i, lines)
		}
		if ok {
			return p, true
		}
	}
	return Partition{}, false
}

// ofLines remembers what the lines of a field gave: a digest costs more than all else that a hit in a
// proxy's memory does.
func (id *Identifier) ofLines(source int, lines []string) (Partition, bool) {
	id.buf = append(id.buf[:0], byte(source))
	for _, line := range lines {
		id.buf = appendField(id.buf, line)
	}
	if found, known := id.known[string(id.buf)]; known {
		return found.Partition, found.ok
	}
	key := string(id.buf)
	p, ok := id.partition(source, id.sources[source].fromFields(lines))
	if len(key) > maxKnownLine {
		return p, ok
	}
	if len(id.known) >= maxKnown || id.knownBytes+len(key) > maxKnownBytes {
		clear(id.known)
		id.knownBytes = 0
	}
	id.known[key] = identified{p, ok}
	id.knownBytes += len(key)
	return p, ok
}

// partition is that of a credential, if there is one.
func (id *Identifier) partition(source int, c credential) (p Partition, ok bool) {
	if len(c.values) == 0 {
		return Partition{}, false
	}
	return Partition{ID: id.digest(source, c), Expires: c.expires, Source: source}, true
}

// KeyDigest is a digest of a cache key that tells nobody without the secret what the key is made of: half of an
// HMAC-SHA256, 32 hexadecimal digits. No partition's is the same.
func (id *Identifier) KeyDigest(key []byte) string {
	id.mu.Lock()
	defer id.mu.Unlock()
	id.buf = append(appendField(id.buf[:0], "cache key"), key...)
	return id.sumUp()
}

func (id *Identifier) digest(source int, c credential) string {
	id.buf = append(id.buf[:0], id.labels[source]...)
	id.buf = appendField(id.buf, c.issuer)
	for _, v := range c.values {
		id.buf = appendField(id.buf, v)
	}
	return id.sumUp()
}

// sumUp digests what is in buf.
func (id *Identifier) sumUp() string {
	id.mac.Reset()
	id.mac.Write(id.buf)
	clear(id.buf)
	sum := id.mac.Sum(id.sum[:0])
	return hex.EncodeToString(sum[:16])
}
