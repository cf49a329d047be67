package policy

import (
	"encoding/binary"
	"slices"

	"chatcache/redisbridge/wire"
)

// Version is a digest (16 hexadecimal digits) of what the policy says of requests: its caches,
// rules and identities. Two proxies with the same one do the same. The order of rules,
// how they reach the bridge and what memory they use don't enter it.
func (p *Policy) Version() string {
	var parts []string
	for _, c := range p.Caches {
		b := appendField(nil, c.Name)
		b = appendField(b, c.Definition)
		b = binary.AppendVarint(b, int64(c.TTL))
		b = binary.AppendVarint(b, int64(c.MaxResponse))
		b = append(b, flag(c.L1), flag(c.Collapse))
		b = appendList(b, c.Verify.Ignore)
		b = c.Prefetch.define(b)
		parts = append(parts, string(appendList(b, c.patterns)))
	}
	if p.unruled != nil && len(p.unruled.UnchangedOn) > 0 {
		parts = append(parts, string(appendStatuses(appendField(nil, "unsafe"), p.unruled.UnchangedOn)))
	}
	for _, r := range p.Rules() {
		parts = append(parts, string(appendField(appendField(nil, r.Cache), r.Digest)))
	}
	return digest(appendList(appendField(nil, "chatcache version 1"), parts))
}

// Rules gives, for each cache that a rule concerns, a digest of what the policy says of writes that
// invalidate it: in order of cache. Where two proxies have the same one, whatever request invalidates the
// cache at one of them does so at the other, in the same partition.
func (p *Policy) Rules() []wire.CacheRules { return p.rules }

func (p *Policy) findRules() []wire.CacheRules {
	table := p.overlaps()
	var list []wire.CacheRules
	for _, c := range p.Caches {
		var rules, others []string
		for _, one := range table {
			if !one.concerns(c) {
				continue
			}
			rules = append(rules, string(one.rule.define())+one.text)
			for _, other := range one.others {
				if !table[other].concerns(c) {
					others = append(others, table[other].text)
				}
			}
		}
		if len(rules) > 0 {
			b := appendField(nil, "chatcache rules 1")
			b = append(appendIdentity(b, c, p.Identity), flag(c.Shared))
			slices.Sort(others)
			b = appendList(appendList(b, rules), slices.Compact(others))
			list = append(list, wire.CacheRules{Cache: c.Name, Digest: digest(b)})
		}
	}
	return list
}

// overlapped is a pattern of the policy, and the places of those of other rules that match some
// of its requests, too: they may take them away, since the most specific one wins.
type overlapped struct {
	*pattern
	rule   *Invalidation // nil: of a cache
	others []int
}

func (o *overlapped) concerns(c *Cache) bool {
	return o.rule != nil && slices.Contains(o.rule.Caches, c)
}

func (p *Policy) overlaps() []*overlapped {
	var table []*overlapped
	add := func(rule *Invalidation, texts []string) {
		for _, text := range texts {
			if parsed, err := parsePattern(text); err == nil { // it was when the policy was read
				table = append(table, &overlapped{pattern: parsed, rule: rule})
			}
		}
	}
	for _, c := range p.Caches {
		add(nil, c.patterns)
	}
	for _, i := range p.Invalidations {
		add(i, i.patterns)
	}
	for i, one := range table {
		for j, other := range table {
			if one.rule != nil && one.rule != other.rule && overlap(one.pattern, other.pattern) {
				table[i].others = append(table[i].others, j)
			}
		}
	}
	return table
}

// define is what tells a rule from others, as far as what its writes raise goes, and until when
// they are waited for.
func (i *Invalidation) define() []byte {
	b := []byte{flag(i.All), flag(i.RaiseOn4xx), flag(i.Refuse)}
	b = binary.AppendVarint(b, int64(i.Settle))
	b = binary.AppendVarint(b, int64(i.AlsoAfter))
	return appendStatuses(b, i.UnchangedOn)
}

func appendStatuses(b []byte, statuses []int) []byte {
	for _, s := range statuses {
		b = binary.AppendVarint(b, int64(s))
	}
	return b
}

// overlap tells whether some request matches both patterns.
func overlap(a, b *pattern) bool {
	sameHost := a.host == b.host || a.host == "" || b.host == ""
	return sameHost && combine(compareMethods(a.method, b.method), comparePaths(a, b)) != disjoint
}
