package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

const maxReadablePath = 96

// EntryKey builds an entry's key in Redis:
//
//	<cache>:<policy>:{<partition>}:<method> <path>:<digest>
//
// The digest of the whole cache key is what tells entries apart; method and
// path are there for people (KEYS stats:*). The query isn't: it may carry
// credentials. The braces are Redis Cluster's hash tag, so that entries spread
// over the nodes by partition; shared entries (empty partition) spread by
// their digest.
func EntryKey(cache, policy, partition, method, path, digest string) string {
	tag := partition
	if tag == "" {
		tag = digest
	}
	var b strings.Builder
	b.Grow(len(cache) + len(policy) + len(tag) + len(method) + maxReadablePath + len(digest) + 8)
	b.WriteString(cache)
	b.WriteByte(':')
	b.WriteString(policy)
	b.WriteString(":{")
	b.WriteString(tag)
	b.WriteString("}:")
	b.WriteString(method)
	b.WriteByte(' ')
	writeReadable(&b, path)
	b.WriteByte(':')
	b.WriteString(digest)
	return b.String()
}

// KeyDigest gives the digest of a whole cache key, as EntryKey wants it.
func KeyDigest(key []byte) string {
	digest := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(digest[:24])
}

// writeReadable writes at most maxReadablePath bytes of s, with everything that isn't
// plain in a terminal or could close the hash tag as '_'.
func writeReadable(b *strings.Builder, s string) {
	for i := 0; i < len(s) && i < maxReadablePath; i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || c == '{' || c == '}' {
			c = '_'
		}
		b.WriteByte(c)
	}
}

// LeaseKey names the key of an entry's fetch lease. It has the entry's hash tag, so
// that both are on one node.
func LeaseKey(entryKey string) string { return "lease:" + entryKey }

// UploadKey names the key under which an entry's pieces are gathered, likewise.
func UploadKey(entryKey, id string) string { return "upload:" + id + ":" + entryKey }

// KeyOfPolicy tells whether key is one that [EntryKey] builds for the policy.
// The bridge refuses every other one, so that a filter can't reach keys of its
// neighbours in a shared Redis.
func KeyOfPolicy(key, policy string) bool {
	cache, rest, ok := strings.Cut(key, ":")
	if !ok || cache == "" || len(key) > MaxKey {
		return false
	}
	rest, ok = strings.CutPrefix(rest, policy+":{")
	return ok && strings.Contains(rest, "}:")
}
