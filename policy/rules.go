package policy

import (
	"encoding/binary"
	"slices"

	"chatcache/redisbridge/wire"
)

// Rules gives, for each cache that writes invalidate, a digest of what the policy says of them: in order
// of cache. Where two proxies have the same one, whatever request invalidates the
// cache at one of them does so at the other, in the same partition.
//
// In a policy that has a cache with "ttl": "origin" every cache has one: what a response names is then invalidated
// whether the request has a rule or not. So it is with group_headers: any rule's writes may name groups of any cache.
func (p *Policy) Rules() []wire.CacheRules { return p.rules }

func (p *Policy) findRules() []wire.CacheRules {
	table, index := p.overlaps()
	writes := p.namingWrites(table)
	var list []wire.CacheRules
	for _, c := range p.Caches {
		concern := concerning(table, index, c)
		var rules, others []string
		for i, one := range table {
			if !concern[i] {
				continue
			}
			rules = append(rules, string(one.define())+one.text)
			for _, other := range one.others {
				if !concern[other] {
					others = append(others, table[other].text)
				}
			}
		}
		named := p.appendNamed(nil, c, writes)
		if len(rules) > 0 || p.unruled != nil || len(named) > 0 {
			b := appendField(nil, "chatcache rules 1")
			b = append(appendIdentity(b, c, p.Identity), flag(c.Shared))
			slices.Sort(others)
			b = appendList(appendList(b, rules), slices.Compact(others))
			b = append(p.appendUnruled(b, c), named...)
			list = append(list, wire.CacheRules{Cache: c.Name, Digest: digest(b)})
		}
	}
	return list
}

// appendUnruled adds what requests without a rule invalidate of a cache, and what tells its URIs apart.
func (p *Policy) appendUnruled(b []byte, c *Cache) []byte {
	if p.unruled == nil {
		return b
	}
	b = append(appendField(b, "unruled"), flag(c.ByURI()))
	if c.ByURI() {
		b = append(b, flag(c.IgnoreAuthority))
		b = appendField(appendList(b, c.IgnoreQuery), string(p.unruled.define()))
	}
	return b
}

// appendNamed adds what decides whether groups that the response to a write names reach those of a cache, beyond
// what its own rules do:
//
//  1. proxy A has a policy with a new rule, or one by which the cache's responses are of every authority; B hasn't
//  2. A stores a response of the cache that belongs to a group
//  3. a write passes B. Its response names the group, but to B that is no write, or the group is another one
//
// That responses belong to groups the policy says by group_headers. Where origins only send Cache-Groups, a change of
// other caches' rules doesn't make the cache wait.
func (p *Policy) appendNamed(b []byte, c *Cache, writes []byte) []byte {
	if c.IgnoreAuthority && !c.ByURI() && (len(p.Invalidations) > 0 || p.unruled != nil) {
		b = appendField(b, "any authority")
	}
	return append(b, writes...)
}

// namingWrites are the writes whose responses may name groups of any cache, by what the policy says.
func (p *Policy) namingWrites(table []*overlapped) []byte {
	if len(p.Invalidations) == 0 || len(p.Tags) == 0 || p.unruled != nil {
		return nil
	}
	var writes []string
	for _, one := range table {
		switch {
		case one.invalidation != nil:
			writes = append(writes, string(binary.AppendVarint([]byte(one.text+" "), int64(one.invalidation.AlsoAfter))))
		case !isSafe(one.method):
			writes = append(writes, one.text) // takes writes away
		}
	}
	return appendList(appendField(nil, "named"), writes)
}

// overlapped is a pattern of the policy, and the places of those of other caches and rules that match some
// of its requests, too: they may take them away, since the most specific one wins.
type overlapped struct {
	*pattern
	target
	others []int
}

// define is what the digest of a cache has of the pattern beside its text.
func (o *overlapped) define() []byte {
	if o.cache != nil {
		return []byte("uri ")
	}
	return o.invalidation.define()
}

// concerning marks the patterns whose requests invalidate the cache: those of the rules that name it. Where a write invalidates
// what is stored for its URI, it is also the cache's own patterns, and those of every rule for a URI
// of its: the write's outcome is judged by that rule.
func concerning(table []*overlapped, index meetings, c *Cache) []bool {
	concern := make([]bool, len(table))
	for i, one := range table {
		switch {
		case one.invalidation != nil:
			concern[i] = concern[i] || slices.Contains(one.invalidation.Caches, c)
		case one.cache == c && c.ByURI():
			concern[i] = true
			for _, j := range index.ofURIs(one.pattern) {
				if table[j].invalidation != nil {
					concern[j] = true
				}
			}
		}
	}
	return concern
}

// overlaps gives the patterns of all caches and rules, and what finds those of a request.
func (p *Policy) overlaps() (table []*overlapped, index meetings) {
	index = meetings{}
	add := func(t target, texts []string) {
		for _, parsed := range parsedPatterns(texts) {
			index.add(parsed, len(table))
			table = append(table, &overlapped{pattern: parsed, target: t})
		}
	}
	for _, c := range p.Caches {
		add(target{cache: c}, c.patterns)
	}
	for _, i := range p.Invalidations {
		add(target{invalidation: i}, i.patterns)
	}
	for _, one := range table {
		if one.cache != nil && !one.cache.ByURI() {
			continue
		}
		for _, j := range index.ofRequests(one.pattern) {
			if one.target != table[j].target {
				one.others = append(one.others, j)
			}
		}
	}
	return table, index
}

// define is what tells a rule from others, as far as what its writes raise goes, and until when
// they are waited for.
func (i *Invalidation) define() []byte {
	b := []byte{flag(i.All), flag(i.RaiseOn4xx) | flag(i.RefusesAnonymous)<<1, flag(i.Refuse)}
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
