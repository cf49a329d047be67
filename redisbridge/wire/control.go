package wire

import (
	"hash/fnv"
	"time"
)

// Whole is everything, where a share is counted in basis points (hundredths of a percent).
const Whole = 10_000

// Control is what operators have set for one cache of a policy, or for all of them. The
// zero value is what nothing was set for.
type Control struct {
	// Off: its responses are neither used nor stored. Writes invalidate as before.
	Off bool
	// TTL is how long its responses may be used and are stored, in milliseconds, whatever
	// the policy says; of all caches, at most how long. 0: as the policy says.
	TTL int64
	// Percent is the share of partitions that are served, in basis points, see [Control.Within];
	// 0: all of them.
	Percent int
	// Observe: requests go to the origin, and what would have been answered is counted.
	Observe bool
	// Verify is the share of would-be hits that are forwarded and compared with what the
	// origin answers, in basis points; 0: none.
	Verify int
	// Rollout is the bridge's word, not an operator's: the proxies that follow the feed
	// know different rules for the cache, so nobody may use or store its responses.
	Rollout bool

	atMost int64 // the TTL of all caches, in what Merge gives
}

// CacheControl is the control of one cache.
type CacheControl struct {
	Cache string
	Control
}

// Controls are those of a policy, whole.
type Controls struct {
	// Version grows with each change, also over the loss of everything in Redis: it is
	// a time there, in ms. 0: nothing was ever set.
	Version uint64
	All     Control
	Caches  []CacheControl // in order of name, those only that something is set for
}

// Of gives what counts for a cache.
func (c Controls) Of(cache string) Control {
	for _, one := range c.Caches {
		if one.Cache == cache {
			return c.All.Merge(one.Control)
		}
	}
	return c.All.Merge(Control{})
}

// Merge gives what counts for a cache, where all is set for all of them: the stricter of
// each. It is off if either says so; the shorter TTL, the smaller share and the greater sample count.
func (all Control) Merge(cache Control) Control {
	cache.Off = cache.Off || all.Off
	cache.Observe = cache.Observe || all.Observe
	cache.Rollout = cache.Rollout || all.Rollout
	if cache.Percent == 0 || all.Percent != 0 && all.Percent < cache.Percent {
		cache.Percent = all.Percent
	}
	cache.Verify = max(cache.Verify, all.Verify)
	cache.atMost = all.TTL
	return cache
}

// Lifetime is how long the cache's responses may be used, where the policy's TTL is that
// long. What the policy has off (0) stays so.
func (c Control) Lifetime(policy time.Duration) time.Duration {
	if policy == 0 {
		return 0
	}
	if c.TTL > 0 {
		policy = time.Duration(c.TTL) * time.Millisecond
	}
	return c.Bounded(policy)
}

// Bounded is how long responses may be used that the policy has a TTL of their own for.
func (c Control) Bounded(policy time.Duration) time.Duration {
	for _, most := range [...]int64{c.TTL, c.atMost} {
		if most > 0 {
			policy = min(policy, time.Duration(most)*time.Millisecond)
		}
	}
	return policy
}

// Within tells whether a partition, or of a shared cache a key, is served. Whoever is at
// some percentage is at every greater one, in each cache and in each proxy.
func (c Control) Within(partition []byte) bool {
	return c.Percent == 0 || c.Percent >= Whole || place(partition) < uint64(c.Percent)
}

// place is where a partition stands among the basis points.
func place(partition []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(partition)
	sum := h.Sum64()
	return (sum ^ sum>>32) % Whole
}

func (w *writer) controls(c Controls) {
	w.uint(c.Version)
	w.control(c.All)
	w.uint(uint64(len(c.Caches)))
	for _, one := range c.Caches {
		w.string(one.Cache)
		w.control(one.Control)
	}
}

// Flags of a control.
const (
	flagOff = 1 << iota
	flagObserve
	flagRollout
	flagsKnown = 1<<iota - 1
)

func (w *writer) control(c Control) {
	flags := byte(0)
	for _, f := range []struct {
		set bool
		bit byte
	}{{c.Off, flagOff}, {c.Observe, flagObserve}, {c.Rollout, flagRollout}} {
		if f.set {
			flags |= f.bit
		}
	}
	w.byte(flags)
	w.uint(uint64(c.TTL))
	w.uint(uint64(c.Percent))
	w.uint(uint64(c.Verify))
}

func (r *reader) controls() Controls {
	c := Controls{Version: r.uint(), All: r.control()}
	for range r.upTo(MaxCaches) {
		c.Caches = append(c.Caches, CacheControl{r.string(MaxCacheName), r.control()})
		if r.err != nil {
			break
		}
	}
	return c
}

func (r *reader) control() Control {
	flags := r.byte()
	if flags > flagsKnown {
		r.fail(ErrFrame) // something is set that this version can't obey
	}
	return Control{
		Off: flags&flagOff != 0, Observe: flags&flagObserve != 0, Rollout: flags&flagRollout != 0,
		TTL: r.millis(MaxTTL), Percent: int(r.upTo(Whole)), Verify: int(r.upTo(Whole)),
	}
}
