package exchange

import (
	"maps"
	"slices"

	"chatcache/redisbridge/wire"
)

// knows is what the VM knows of its policy, and whether the bridge has answered to it: only then
// the VM takes part, see query.
type knows struct {
	wire.Knows
	edition int // of the rules
	heard   int // the edition that the bridge last answered to
}

// joined tells whether the bridge has answered to the rules that the VM knows now.
func (k *knows) joined() bool { return k.edition == k.heard }

// learn takes in that a plugin has come. That one has gone needs no answer: what the
// bridge then knows is more than there is.
func (k *knows) learn(plugins []*Plugin) {
	before := k.Rules
	if k.Knows = known(plugins); k.edition == 0 || !slices.Equal(before, k.Rules) {
		k.edition++
	}
}

// known is what a VM with these plugins knows: the version of the newest, and the rules of all of them,
// since an older one goes on to take requests while its proxy drains connections.
func known(plugins []*Plugin) (k wire.Knows) {
	caches := make(map[string][]string)
	for _, p := range plugins {
		k.Version = p.version
		for cache := range p.rules {
			caches[cache] = nil
		}
	}
	for _, cache := range slices.Sorted(maps.Keys(caches)) {
		digests := make(map[string]bool)
		for _, p := range plugins {
			digests[p.rules[cache]] = true // "" without one
		}
		list := slices.Sorted(maps.Keys(digests))
		for _, digest := range list[:min(len(list), 2)] { // two are as different as three
			k.Rules = append(k.Rules, wire.CacheRules{Cache: cache, Digest: digest})
		}
	}
	return k
}
