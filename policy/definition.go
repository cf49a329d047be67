package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// define digests what a cache's responses are keyed by and belong to. Lists whose order
// doesn't matter are sorted first, so that rewriting a policy costs no entries.
func define(c *Cache, p *Policy) string {
	b := appendField(nil, "chatcache definition 1")
	b = appendList(b, c.IgnoreQuery)
	b = appendList(b, c.Headers)
	b = append(b, flag(c.Shared), flag(c.IgnoreAuthority), flag(c.Body != nil))
	if c.Body != nil {
		b = appendList(b, c.Body.Ignore)
	}
	if c.Origin {
		b = appendField(b, "origin") // a lifetime that a rule has given isn't the origin's
	}
	if c.Prefetch != nil {
		b = appendField(b, "prefetch") // where nothing is, nobody looks for the mark of what was
	}
	if len(p.Tags) > 0 {
		// what was stored before they were read lacks the groups by which writes invalidate it
		b = appendList(appendField(b, "groups"), p.Tags)
	}
	return digest(appendIdentity(b, c, p.Identity))
}

// appendIdentity adds what the partitions of a cache are made of.
func appendIdentity(b []byte, c *Cache, identity []Source) []byte {
	if c.Private() {
		claims := 0
		for i, label := range labels(identity) {
			b = appendField(append(b, label...), identity[i].Payload)
			switch kind := identity[i].Kind; {
			case kind == SourceVerified:
				claims++
			case kind == SourceHeader && !identity[i].schemed():
				b = appendField(b, "as it is") // once what looked like a scheme was dropped in any header
			}
		}
		if len(identity) > 1 {
			b = appendField(b, "together 2") // once the first that had a value was all, then a verified claim ended the list
		}
		if claims > 1 {
			b = appendField(b, "every claim") // once a token that said one of them didn't count
		}
	}
	return b
}

// digest is the beginning of a SHA-256: 16 hexadecimal digits.
func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func appendList(dst []byte, list []string) []byte {
	sorted := slices.Sorted(slices.Values(list))
	dst = binary.AppendUvarint(dst, uint64(len(sorted)))
	for _, s := range sorted {
		dst = appendField(dst, s)
	}
	return dst
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}
