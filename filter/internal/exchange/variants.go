package exchange

import (
	"hash/maphash"
	"slices"
	"strings"

	"chatcache/filter/internal/httpcache"
)

const (
	maxVaried       = 4096 // keys whose variants a VM tells apart
	maxVaryNames    = 8    // request fields that a response may depend on, beyond the key
	maxVaryName     = 128  // bytes of the name of one
	maxVariants     = 1024 // variants whose digests it remembers
	maxVariantBytes = 512  // of the fields of one of these
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
	seed    maphash.Seed
	names   map[uint64][]string   // sorted, by the key's hash
	digests map[string][16]byte   // of requests' variants, by their fields as they stand
	made    map[[16]byte][]string // which names each of these digests was made of
	scratch []byte
}

func newVariants() variants {
	return variants{seed: maphash.MakeSeed(), names: make(map[uint64][]string), digests: make(map[string][16]byte), made: make(map[[16]byte][]string)}
}

// digest is the variant of a request. Clients have few, and what a client's fields mean costs several times what
// all else of a hit does, so those of the last ones are remembered.
func (v *variants) digest(request httpcache.Fields, names []string) [16]byte {
	v.scratch = request.AppendVariant(v.scratch[:0], names)
	if digest, ok := v.digests[string(v.scratch)]; ok {
		return digest
	}
	digest := request.Variant(names)
	if len(v.scratch) > maxVariantBytes {
		v.scratch = nil // a header section may be large
		return digest
	}
	if len(v.digests) >= maxVariants {
		clear(v.digests)
		clear(v.made)
	}
	v.digests[string(v.scratch)], v.made[digest] = digest, cloned(names)
	return digest
}

// is tells whether a request is known to be of the variant with that digest. It has the names in it, too, so that those
// it was made of once are those of every response that has it.
func (v *variants) is(request httpcache.Fields, variant [16]byte) bool {
	names, ok := v.made[variant]
	return ok && v.digest(request, names) == variant
}

// cloned gives names that stand in no response.
func cloned(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		all = append(all, strings.Clone(name))
	}
	return all
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
	v.names[hash] = cloned(all)
}

// choose sets the read's key to that of its variant, where it is known that there are some.
func (r *read) choose() {
	if names := r.state.variants.of(r.base); len(names) > 0 {
		variant := r.state.variants.digest(r.request.fields, names)
		r.key, r.redisKey = append(r.base, variant[0]), ""
	}
}

// varies takes notice of a response under the read's key that depends on the names.
func (r *read) varies(names []string) {
	r.state.variants.learn(r.base, names)
	r.choose()
}
