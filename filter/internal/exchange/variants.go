package exchange

import (
	"hash/maphash"
	"slices"
	"strings"
)

const (
	maxVaried    = 4096 // keys whose variants a VM tells apart
	maxVaryNames = 8    // request fields that a response may depend on, beyond the key
)

// variants are the keys whose responses depend on request fields that aren't part of them
// (RFC 9111 section 4.1), and on which. A read of such a key has a key of its own for its variant:
//
//  1. A response with Vary is stored under the key, and under that of its variant. The VM
//     knows the names from then on.
//  2. Reads that come later look under their variant's key.
//  3. A VM that doesn't know looks under the key: what it finds there says which names there are. Where it
//     isn't the read's variant, the read goes to the origin, and stores under its variant's key.
//
// A variant's key has one byte of a digest, so that a key has 256 variants at most; what is found under
// it is compared whole. What a VM forgets, and keys that share a hash, cost misses.
type variants struct {
	seed  maphash.Seed
	names map[uint64][]string // sorted, by the key's hash
}

func newVariants() variants {
	return variants{seed: maphash.MakeSeed(), names: make(map[uint64][]string)}
}

// of gives the names that responses under the key are known to depend on.
func (v *variants) of(key []byte) []string {
	if len(v.names) == 0 {
		return nil
	}
	return v.names[maphash.Bytes(v.seed, key)]
}

// learn adds names to those of the key. Too many are left out: such a response isn't stored.
func (v *variants) learn(key []byte, names []string) {
	hash := maphash.Bytes(v.seed, key)
	known := v.names[hash]
	all := slices.Concat(known, names)
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == len(known) || len(all) > maxVaryNames {
		return
	}
	if len(v.names) >= maxVaried {
		clear(v.names)
	}
	for i, name := range all {
		all[i] = strings.Clone(name) // not the whole response that it stands in
	}
	v.names[hash] = all
}

// choose sets the read's key to that of its variant, where it is known that there are some.
func (r *read) choose() {
	if names := r.state.variants.of(r.base); len(names) > 0 {
		variant := r.request.fields.Variant(names)
		r.key, r.redisKey = append(slices.Clip(r.base), variant[0]), ""
	}
}

// varies takes notice of a response under the read's key that depends on the names.
func (r *read) varies(names []string) {
	r.state.variants.learn(r.base, names)
	r.choose()
}
