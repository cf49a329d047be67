package redisbridge

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chatcache/redisbridge/wire"
)

// reports polls for a VM with a report of the cache's hits.
func (w *world) reports(vm string, number uint64, cache string, hits uint64) error {
	m := wire.FollowRequest{FeedRequest: w.pollRequest(wire.Ticket{}, 0)}
	m.VM = vm
	m.Report = wire.Report{Number: number, Caches: []wire.Counts{{Cache: cache}}}
	m.Report.Caches[0].Values[wire.CountHitsL1] = hits
	_, err := w.Follow(w.ctx, m)
	return err
}

// proxies is what the status says of a cache.
func (w *world) proxies(cache string) ProxyCounts {
	w.t.Helper()
	for _, c := range w.Status(w.ctx).Policies[0].Caches {
		if c.Name == cache {
			return c.Proxies
		}
	}
	w.t.Fatalf("no cache %s in the status", cache)
	return ProxyCounts{}
}

func TestReports(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.check(w.reports("vm-1", 1, "stats", 5))
		w.check(w.reports("vm-1", 1, "stats", 5)) // repeated: its answer was lost
		w.check(w.reports("vm-2", 1, "stats", 70))
		w.check(w.reports("vm-1", 2, "stats", 100))
		w.check(w.reports("vm-1", 0, "stats", 1000)) // none
		if got := w.proxies("stats").HitsL1; got != 175 {
			t.Errorf("%d hits, want 175", got)
		}
		// Any bridge tells of all of them.
		other := newBridge(t, w.options)
		if _, err := other.Feed(w.ctx, w.pollRequest(wire.Ticket{}, 0)); err != nil {
			t.Fatal(err)
		}
		s := other.Status(w.ctx)
		if len(s.Policies) != 1 || len(s.Policies[0].Caches) != 1 || s.Policies[0].Caches[0].Proxies.HitsL1 != 175 {
			t.Errorf("another bridge's status: %+v", s.Policies)
		}
	})
}

// A poll that is held reads more than once; its report counts once.
func TestHeldPollReportsOnce(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		now := w.poll(wire.Ticket{}, 0).Last
		m := wire.FollowRequest{FeedRequest: w.pollRequest(now, 1000)}
		m.Report = wire.Report{Number: 7, Caches: []wire.Counts{{Cache: "stats", Values: [wire.Counters]uint64{3}}}}
		answer := make(chan error, 1)
		go func() {
			_, err := w.Follow(w.ctx, m)
			answer <- err
		}()
		select {
		case <-clock.waiting:
		case err := <-answer:
			t.Fatalf("the poll was answered at once: %v", err)
		}
		w.suspend("w", 60_000, "c:user")
		if err := <-answer; err != nil {
			t.Fatal(err)
		}
		if got := w.proxies("stats").HitsL1; got != 3 {
			t.Errorf("%d hits, want 3", got)
		}
	})
}

// What comes and goes with policies can't fill Redis.
func TestCountsAreBounded(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.check(w.reports("vm-1", 1, "stats", 1))
	for i := range maxCounts {
		w.raw.HSet(w.ctx, "{chatcache:chat}:counts", fmt.Sprint("c", i, " hitsL1"), 1)
	}
	w.check(w.reports("vm-1", 2, "stats", 1))
	w.check(w.reports("vm-1", 3, "more", 1))
	if n := w.raw.HLen(w.ctx, "{chatcache:chat}:counts").Val(); n != int64(maxCounts)+1 {
		t.Errorf("%d counts, want %d", n, maxCounts+1)
	}
	if got := w.proxies("stats").HitsL1; got != 2 {
		t.Errorf("a cache that is counted has %d hits, want 2", got)
	}
}

func TestReportsRefused(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for _, cache := range []string{"", "two words", "a:b"} {
		if err := w.reports("vm-1", 1, cache, 1); !errors.Is(err, ErrRequest) {
			t.Errorf("cache %q: %v, want ErrRequest", cache, err)
		}
	}
}

func TestProxyCounts(t *testing.T) {
	var v [wire.Counters]uint64
	v[wire.CountHitsL1], v[wire.CountHitsL2], v[wire.CountCollapsed] = 50, 20, 10
	v[wire.CountMisses], v[wire.CountBypasses], v[wire.CountWouldHits] = 5, 5, 10
	v[wire.CountForwarded], v[wire.CountForwardedMicros], v[wire.CountAnsweredMicros] = 20, 20*500_000, 80*1000
	c := newProxyCounts(v)
	if c.HitRatio != 0.8 || c.WouldHitRatio != 0.9 || c.AnsweredMicros != 1000 || c.ForwardedMicros != 500_000 || c.SavedMS != 80*499 {
		t.Errorf("%+v", c)
	}
	if c := newProxyCounts([wire.Counters]uint64{1}); c.SavedMS != 0 {
		t.Errorf("saved %v ms although nothing is known of the origin", c.SavedMS)
	}
}

// What Redis holds may be anything.
func TestCountsThatCannotBeRead(t *testing.T) {
	got := parseCounts(map[string]string{"stats hitsL1": "7", "stats hits": "8", "user misses": "-1", "": "", "x": strings.Repeat("9", 40)})
	if len(got) != 1 || got["stats"][wire.CountHitsL1] != 7 {
		t.Errorf("%v", got)
	}
	w := newMemoryWorld(t, nil)
	w.look()
	w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:counts", "\xff hitsL1", 1, "stats hitsL1", 1).Err())
	if status, body := call(w, "GET", "/metrics", "", nil); status != 200 || !strings.Contains(body, `saved_seconds{cache="stats"`) {
		t.Errorf("/metrics: %d %.200s", status, body)
	}
}
