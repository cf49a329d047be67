package policy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"slices"

	"chatcache/redisbridge/wire"
)

// MinSecret is the length in bytes that a partition secret has at least.
const MinSecret = 16

// ErrSecret says that a partition secret is missing or too short.
var ErrSecret = errors.New("the partition secret must have at least 16 bytes")

// Partition is the identity that stored responses belong to.
type Partition struct {
	// ID is half of an HMAC-SHA256 (32 hexadecimal digits) over the source's kind, its
	// name, a verified claim's issuer (and its payload, where sources have several), and the value, each length-prefixed; of several sources, over what each of them alone would give.
	ID string
	// Expires is when the first of the credentials itself says that it ends, in seconds since
	// 1970: no response may be used after it. 0 where none says so, and for verified
	// claims: a later token of the same subject is the same identity.
	Expires int64
	// Sources are those that count.
	Sources SourceSet

	parts []string // of several sources
}

// SourceSet is a set of a policy's identity sources, by their index.
type SourceSet uint16

// Has tells whether the source with the index is one of them.
func (s SourceSet) Has(index int) bool { return s&(1<<index) != 0 }

// Parts are the IDs that each of the sources alone would give, in their order, and of a source with several values each of these alone and all of them; none of no
// identity. A write invalidates in all of them: so it reaches what was read with some of its credentials, and with others beside them.
func (p Partition) Parts() []string {
	if p.parts == nil && p.ID != "" {
		return []string{p.ID}
	}
	return p.parts
}

// ReadGroups lists the groups that a response of the cache, stored in the partition, belongs to: those of its
// parts, and where there are several its own, by which it is named in the entry's key.
func (p Partition) ReadGroups(cache string) []string {
	groups := wire.ReadGroups(cache, p.Parts()...)
	if p.parts != nil && !slices.Contains(p.parts, p.ID) {
		groups = append(groups, wire.GroupPartition(cache, p.ID))
	}
	return groups
}

// Identifier turns requests into partitions, one after the other: it isn't safe for concurrent use.
type Identifier struct {
	sources []Source
	labels  [][]byte // kind and name of each source, length-prefixed

	mac hash.Hash // after its first Reset it starts from the secret's precomputed states
	sum [sha256.Size]byte
	buf []byte

	// Of one request: what each source gives, those that count, and the verified claims among them.
	each   []identified
	all    []Partition
	claims []verifiedClaim

	known      map[string]identified // what lines of fields have given, see ofLines, and several sources, see together
	knownBytes int
}

// verifiedClaim is one that counts.
type verifiedClaim struct {
	source int
	subject
}

// subject is whom a claim names: its value as Envoy's property has it, and the token's issuer.
type subject struct{ issuer, value string }

// identified is what a source has given; where there is no credential, ok is false.
type identified struct {
	Partition
	ok       bool
	tooMany  bool      // values, see maxValues
	nameless bool      // it names nobody, but is a credential that the origin may go by
	claim    subject   // of a verified claim
	says     []subject // by source: what a credential that is one token says of itself where the source is a verified claim
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
	id := &Identifier{sources: slices.Clone(sources), labels: labels(sources), mac: hmac.New(sha256.New, secret), known: make(map[string]identified)}
	return id, nil
}

// labels are what tells each source's values from those of every other source.
func labels(sources []Source) (labels [][]byte) {
	for _, s := range sources {
		otherPayload := slices.ContainsFunc(sources, func(other Source) bool {
			return s.Kind == SourceVerified && other.Kind == s.Kind && other.Payload != s.Payload
		})
		labels = append(labels, s.label(otherPayload))
	}
	return labels
}

// label is that of one source. Payloads are told apart where there are several: a provider without an issuer lets tokens pass that
// say whatever issuer, so what it has verified is no other's. A single one is only where Envoy was told to put it.
func (s Source) label(payload bool) []byte {
	b := appendField(nil, s.Kind.String())
	switch s.Kind {
	case SourceProperty:
		for _, p := range s.Path {
			b = appendField(b, p)
		}
	case SourceClaim:
		b = appendField(appendField(b, s.Name), s.Header)
	default:
		b = appendField(b, s.Name)
		if payload {
			b = appendField(b, s.Payload)
		}
	}
	return appendField(nil, string(b))
}

// Identify gives the partition of all sources that have a value in the request, but for a token behind a verified claim that says of itself
// all that was verified, which may have been taken from it. ok is false where no source has a value: then only shared caches may answer.
//
// Only the origin knows which of several credentials it goes by. A partition of some of them could be had by
// whoever makes a client send one that isn't its own, a verified one included:
//
//  1. a page of somebody else's asks for /stats?access_token=…, which has that one's token; jwt_authn looks there unless it is told otherwise
//  2. the browser adds the session's cookie; jwt_authn verifies the token, and takes it away
//  3. the origin goes by the cookie: were the answer in the partition of the claim, its owner would get it
func (id *Identifier) Identify(r Request) (p Partition, ok bool) {
	id.each, id.all, id.claims = id.each[:0], id.all[:0], id.claims[:0]
	for i := range id.sources {
		one := id.of(i, r)
		if one.claim.value != "" && !one.nameless && !id.repeated(i, one) {
			id.claims = append(id.claims, verifiedClaim{i, one.claim})
		}
		id.each = append(id.each, one)
	}
	for i, one := range id.each {
		if one.tooMany {
			return Partition{}, false
		}
		if one.ok && !id.repeated(i, one) {
			id.all = append(id.all, one.Partition)
			ok = ok || !one.nameless
		}
	}
	switch {
	case !ok:
		return Partition{}, false
	case len(id.all) == 1:
		return id.all[0], true
	}
	if p = id.together(); len(p.parts) > maxCredentials {
		return Partition{}, false
	}
	return p, true
}

// Verified tells whether a verified claim has a value: the request had credentials, whatever is left of them in its fields.
func (id *Identifier) Verified(r Request) bool {
	return slices.ContainsFunc(id.sources, func(s Source) bool { return s.Kind == SourceVerified && len(s.verified(r).values) > 0 })
}

// repeated tells whether a source says no more than verified claims have said already: the same claim under another payload's
// name, or a token that says all of them. One that says only some is somebody else's, of the same organisation perhaps.
func (id *Identifier) repeated(source int, one identified) bool {
	if one.says != nil {
		return len(id.claims) > 0 && id.claims[0].source < source &&
			!slices.ContainsFunc(id.claims, func(v verifiedClaim) bool { return one.says[v.source] != v.subject })
	}
	return slices.ContainsFunc(id.claims, func(v verifiedClaim) bool {
		return v.source < source && one.claim == v.subject && id.sources[source].Name == id.sources[v.source].Name
	})
}

// of gives what one source has.
func (id *Identifier) of(source int, r Request) identified {
	field := id.sources[source].field()
	if field == "" {
		c := id.sources[source].fromProxy(r)
		one := id.partition(source, c)
		if one.ok && id.sources[source].Kind == SourceVerified {
			one.claim = subject{c.issuer, c.values[0]}
		}
		return one
	}
	lines := r.Header(field)
	if len(lines) == 0 {
		return identified{}
	}
	return id.ofLines(source, lines)
}

// together gives the partition of all, and remembers it. When it expires follows from the parts' IDs, as they are made of
// the whole credentials.
func (id *Identifier) together() Partition {
	id.buf = appendField(append(id.buf[:0], 0xff), "identities") // no source's index, and no label's length
	for _, one := range id.all {
		id.buf = appendField(id.buf, one.ID)
	}
	if found, known := id.known[string(id.buf)]; known {
		return found.Partition
	}
	var p Partition
	for _, one := range id.all {
		p.parts = append(p.parts, one.Parts()...)
		p.Sources |= one.Sources
		if one.Expires != 0 && (p.Expires == 0 || one.Expires < p.Expires) {
			p.Expires = one.Expires
		}
	}
	key := string(id.buf)
	p.ID = id.sumUp()
	id.remember(key, identified{Partition: p, ok: true})
	return p
}

// ofLines remembers what the lines of a field gave: a digest costs more than all else that a hit in a
// proxy's memory does.
func (id *Identifier) ofLines(source int, lines []string) identified {
	id.buf = append(id.buf[:0], byte(source))
	for _, line := range lines {
		id.buf = appendField(id.buf, line)
	}
	if found, known := id.known[string(id.buf)]; known {
		return found
	}
	key := string(id.buf)
	c := id.sources[source].fromFields(lines)
	one := id.partition(source, c)
	if len(c.values) == 1 {
		one.says = id.saidBy(stripScheme(c.values[0]))
	}
	id.remember(key, one)
	return one
}

// saidBy gives what a token says of itself, by source; nil where no source is a verified claim, or it isn't one.
func (id *Identifier) saidBy(token string) (says []subject) {
	if !slices.ContainsFunc(id.sources, func(s Source) bool { return s.Kind == SourceVerified }) {
		return nil
	}
	claims, isToken := tokenClaims(token)
	if !isToken || claims == nil {
		return nil
	}
	says = make([]subject, len(id.sources))
	for i, s := range id.sources {
		if s.Kind == SourceVerified {
			says[i] = subject{asProperty(claims.Get("iss")), asProperty(claims.Get(s.Name))}
		}
	}
	return says
}

func (id *Identifier) remember(key string, what identified) {
	if len(key) > maxKnownLine {
		return
	}
	if len(id.known) >= maxKnown || id.knownBytes+len(key) > maxKnownBytes {
		clear(id.known)
		id.knownBytes = 0
	}
	id.known[key] = what
	id.knownBytes += len(key)
}

// partition is that of a credential, if there is one.
func (id *Identifier) partition(source int, c credential) identified {
	if len(c.values) == 0 {
		return identified{}
	}
	one := identified{Partition: Partition{ID: id.digest(source, c), Expires: c.expires, Sources: 1 << source}, ok: true, nameless: c.nameless}
	if len(c.values) > 1 {
		one.parts = id.alone(source, c)
		one.tooMany = one.parts == nil
		one.parts = append(one.parts, one.ID) // by which a VM of an older version knows all of them
	}
	return one
}

// A browser has several cookies of a name, one for each path, and sends those that the request's path is beneath. Whoever has more of them than
// maxValues of one source, or more credentials than maxCredentials together, is nobody.
const (
	maxValues      = 4
	maxCredentials = 2 * maxSources
)

// alone gives what each of several values would, but for empty ones; nil where they are too many.
func (id *Identifier) alone(source int, c credential) (parts []string) {
	values := c.distinct(maxValues + 1)
	if len(values) > maxValues {
		return nil
	}
	for _, v := range values {
		parts = append(parts, id.digest(source, credential{values: []string{v}, issuer: c.issuer}))
	}
	return parts
}

// Credentials is for a write by the rule whose request makes no identity. It gives the ID that each of the request's credentials alone would
// have as an identity, also of one that names nobody; nothing where there is no credential. There are no more of them than an identity may
// have, and mostly few enough that [Invalidation.Groups] doesn't name whole caches instead: nobody is to reach those with made-up credentials.
func (id *Identifier) Credentials(r Request, i *Invalidation) (parts []string) {
	most := min(maxCredentials, max(maxValues, (wire.MaxGroups-1)/max(len(i.Caches), 1)))
	for source := range id.sources {
		c := id.sources[source].credential(r)
		for _, v := range c.distinct(most - len(parts)) {
			parts = append(parts, id.digest(source, credential{values: []string{v}, issuer: c.issuer}))
		}
	}
	return parts
}

// RulesDigest is the digest of a cache's rules, see Policy.Rules, together with what makes the partitions that they invalidate: with
// another secret the same write invalidates others. Without an identifier there are no partitions.
func (id *Identifier) RulesDigest(rules string) string {
	if id == nil {
		return rules
	}
	return id.KeyDigest([]byte("rules " + rules))[:len(rules)]
}

// KeyDigest is a digest of a cache key that tells nobody without the secret what the key is made of: half of an
// HMAC-SHA256, 32 hexadecimal digits. No partition's is the same.
func (id *Identifier) KeyDigest(key []byte) string {
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
