package redisbridge

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"chatcache/redisbridge/wire"
)

// maxCaches bounds the caches of one policy that are counted by name; the rest
// is counted as "other".
const maxCaches = 256

// counters are what a policy's status and metrics show, since the bridge started.
type counters struct {
	mu     sync.Mutex
	caches map[string]*cacheCounters
	held   atomic.Int64 // polls that wait right now
}

// cacheCounters are the counters of one cache.
type cacheCounters struct {
	hits        atomic.Int64 // lookups that gave a valid entry
	misses      atomic.Int64 // lookups that gave none
	suspended   atomic.Int64 // lookups that met a suspension
	leased      atomic.Int64 // lookups that were told that somebody else fetches
	errors      atomic.Int64 // lookups, stores, suspensions and closes that failed in Redis
	stores      atomic.Int64 // entries kept
	suspensions atomic.Int64 // suspensions opened or renewed, counted for each cache that they concern
	raises      atomic.Int64 // raises by a close or an administrator, counted likewise
}

// allCaches is the name under which a suspension or raise of everything, or of
// groups that a rule or the origin named, is counted.
const allCaches = "*"

func (c *counters) cache(name string) *cacheCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caches == nil {
		c.caches = make(map[string]*cacheCounters)
	}
	if c.caches[name] == nil && len(c.caches) >= maxCaches {
		name = "other"
	}
	if c.caches[name] == nil {
		c.caches[name] = new(cacheCounters)
	}
	return c.caches[name]
}

// names lists the caches that were counted.
func (c *counters) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.caches))
}

func (c *cacheCounters) countLookup(state wire.LookupState, err error) {
	switch {
	case err != nil:
		c.errors.Add(1)
	case state == wire.LookupHit:
		c.hits.Add(1)
	case state == wire.LookupSuspended:
		c.suspended.Add(1)
	case state == wire.LookupLeased:
		c.leased.Add(1)
	default:
		c.misses.Add(1)
	}
}

func (c *cacheCounters) countStore(err error) {
	if err != nil {
		c.errors.Add(1)
		return
	}
	c.stores.Add(1)
}

func (c *counters) countSuspend(groups []string, err error) {
	c.countWrite(groups, err, func(c *cacheCounters) { c.suspensions.Add(1) })
}

func (c *counters) countClose(groups []string, raise bool, err error) {
	c.countWrite(groups, err, func(c *cacheCounters) {
		if raise {
			c.raises.Add(1)
		}
	})
}

func (c *counters) countWrite(groups []string, err error, count func(*cacheCounters)) {
	done := make(map[string]bool)
	for _, g := range groups {
		name := wire.CacheOfGroup(g)
		if name == "" {
			name = allCaches
		}
		if done[name] {
			continue
		}
		done[name] = true
		if cache := c.cache(name); err != nil {
			cache.errors.Add(1)
		} else {
			count(cache)
		}
	}
}

// cacheOfKey gives the cache that an entry's key names.
func cacheOfKey(key string) string {
	cache, _, _ := strings.Cut(key, ":")
	return cache
}
