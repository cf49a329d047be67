package exchange

import (
	"maps"
	"slices"

	"chatcache/redisbridge/wire"
)

// knows is what the VM knows of its policy, and whether the bridge has answered to it: only then
// the VM takes part, see query. Plugins that have gone count until a poll or a join of later has told of their rules:
//
//  1. a plugin comes whose rules are other ones, and a write by it; no poll reaches a bridge meanwhile
//  2. a plugin comes with the rules of before, and the other one goes
//  3. the next poll tells of both: what the cache has of before 1 is raised
type knows struct {
	wire.Knows
	now   said // if it were said now
	heard said // what the bridge has answered to
}

// said is how much of what a VM knows a poll or a join says.
type said struct {
	edition int // of the rules
	left    int // how many plugins have gone
}

// joined tells whether the bridge has answered to the rules that the VM knows now.
func (k *knows) joined() bool { return k.now.edition == k.heard.edition }

// learn takes in that a plugin has come.
func (k *knows) learn(plugins []*Plugin) {
	before := k.Rules
	k.Knows = known(plugins)
	if both := together(before, k.Rules); k.now.left != k.heard.left && len(both) <= wire.MaxRules { // beyond, nothing could be told ever
		k.Rules = both
	}
	if k.now.edition == 0 || !slices.Equal(before, k.Rules) {
		k.now.edition++
	}
}

// leave takes in that one has gone. That needs no answer: what the bridge knows, or is told next, is more than there is.
func (k *knows) leave(plugins []*Plugin) {
	k.Version = known(plugins).Version
	k.now.left++
}

// answered takes in the answer to a poll or a join that has said so much.
func (k *knows) answered(s said, plugins []*Plugin) {
	k.heard = said{max(k.heard.edition, s.edition), max(k.heard.left, s.left)}
	if k.now.left == k.heard.left {
		k.Knows = known(plugins)
	}
}

// known is what a VM with these plugins knows: the version of the newest, and the rules of all of them,
// since an older one goes on to take requests while its proxy drains connections.
func known(plugins []*Plugin) (k wire.Knows) {
	for i, p := range plugins {
		var rules []wire.CacheRules
		for _, cache := range slices.Sorted(maps.Keys(p.rules)) {
			rules = append(rules, wire.CacheRules{Cache: cache, Digest: p.rules[cache]})
		}
		if k.Version = p.version; i == 0 {
			k.Rules = rules
		} else {
			k.Rules = together(k.Rules, rules)
		}
	}
	return k
}

// together has the digests of both: an empty one for a cache that one of them doesn't list.
func together(a, b []wire.CacheRules) (both []wire.CacheRules) {
	caches := make(map[string][]string)
	for _, rules := range [][]wire.CacheRules{a, b} {
		for _, r := range rules {
			caches[r.Cache] = nil
		}
	}
	for _, rules := range [][]wire.CacheRules{a, b} {
		listed := make(map[string]bool)
		for _, r := range rules {
			caches[r.Cache], listed[r.Cache] = append(caches[r.Cache], r.Digest), true
		}
		for cache := range caches {
			if !listed[cache] {
				caches[cache] = append(caches[cache], "")
			}
		}
	}
	for _, cache := range slices.Sorted(maps.Keys(caches)) {
		digests := slices.Compact(slices.Sorted(slices.Values(caches[cache])))
		for _, digest := range digests[:min(len(digests), 2)] { // two are as different as three
			both = append(both, wire.CacheRules{Cache: cache, Digest: digest})
		}
	}
	return both
}
