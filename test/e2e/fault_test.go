package e2e

import (
	"testing"
	"time"

	"chatcache/test/mesh"
)

// resumeWithin bounds how long caching may take to come back after a fault: the longest
// write deadline of the quick policy, the journal's and the feed's back-off, and a margin
// for a loaded machine.
const resumeWithin = 20 * time.Second

// Whatever happens to the cache, every request is answered from the origin; a write made
// meanwhile is honoured once the bridge is back; and caching resumes by itself.
func TestFaultsFailNoRequest(t *testing.T) {
	for name, fault := range map[string]struct {
		part  mesh.Part
		fault mesh.Fault
	}{
		"bridge down":    {mesh.Bridge, mesh.Down},
		"bridge hung":    {mesh.Bridge, mesh.Hung},
		"bridge garbage": {mesh.Bridge, mesh.Garbage},
		"redis down":     {mesh.Redis, mesh.Down},
		"redis hung":     {mesh.Redis, mesh.Hung},
	} {
		t.Run(name, func(t *testing.T) {
			mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, quick)}, func(t *testing.T, m mesh.Mesh) {
				warm(t, m, "ann")
				m.Break(fault.part, fault.fault)
				written := duringFault(t, m)
				m.Break(fault.part, mesh.Healthy)
				m.Settle()
				for _, r := range reads {
					if got := m.Do(1, r.as("ann")); saveMessage.reaches(r) && got.Serial() < written {
						t.Errorf("%v: the write made during the fault is not honoured: %v", r, got)
					}
				}
				m.Until(resumeWithin, "caching resumes", func() bool {
					return m.Do(0, readStats.as("ann")).Hit() && m.Do(1, readStats.as("ann")).Hit()
				})
			})
		})
	}
}

// duringFault reads and writes, and gives the serial of the write.
func duringFault(t *testing.T, m mesh.Mesh) (written int64) {
	t.Helper()
	for _, r := range reads {
		if got := m.Do(0, r.as("ann")); got.Status != 200 || got.Hit() || got.Stored() {
			t.Errorf("%v: %v, want 200 from the origin, not stored", r, got)
		}
	}
	save := m.Do(0, saveMessage.make(m))
	if save.Status != 201 || save.CacheStatus() != "chatcache; fwd=method; detail=invalidation-pending" {
		t.Errorf("save: %v, want 201, marked as pending", save)
	}
	return save.Serial()
}

// Each worker waits for a hanging bridge a few times, and then no longer: reads and
// writes pass it by until it answers again.
func TestHangingBridgeIsSoonNotWaitedFor(t *testing.T) {
	// Longer than one wait of the other worker, whose turn comes in between.
	patient := func(document map[string]any) {
		document["bridge"].(map[string]any)["breaker"] = map[string]any{"open": "5s"}
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, quick, patient)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		m.Break(mesh.Bridge, mesh.Hung)
		const open = "chatcache; fwd=bypass; detail=breaker-open"
		m.Until(settleBreaker, "a worker's breaker opens", func() bool {
			got := m.Do(0, readStats.as("ann"))
			if got.Status != 200 || got.Hit() {
				t.Errorf("%v, want 200 from the origin", got)
			}
			return got.CacheStatus() == open
		})
		save := m.Do(0, saveMessage.make(m))
		if save.Status != 201 || save.CacheStatus() != "chatcache; fwd=method; detail=invalidation-pending" {
			t.Errorf("a write: %v, want 201, marked as pending", save)
		}
		m.Break(mesh.Bridge, mesh.Healthy)
		m.Settle()
		m.Until(resumeWithin, "caching resumes", func() bool { return m.Do(0, readStats.as("ann")).Hit() })
		if got := m.Do(1, readStats.as("ann")); got.Serial() < save.Serial() {
			t.Errorf("the write made meanwhile is not honoured: %v", got)
		}
	})
}

// settleBreaker is more than a timeout of the tests' policies for each failure that a
// worker allows, on each worker of a proxy.
const settleBreaker = 30 * time.Second

// A rule may prefer to refuse what can't be invalidated.
func TestRefusedWrite(t *testing.T) {
	refuse := func(document map[string]any) {
		for _, rule := range document["invalidations"].([]any) {
			rule.(map[string]any)["unreachable"] = "refuse"
		}
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, refuse)}, func(t *testing.T, m mesh.Mesh) {
		m.Break(mesh.Bridge, mesh.Down)
		before := m.Origin().Serial()
		got := m.Do(0, createSession.make(m))
		if got.Status != 503 || got.CacheStatus() != "chatcache; detail=bridge-unreachable" || m.Origin().Serial() != before {
			t.Errorf("%v; the origin was asked %d times", got, m.Origin().Serial()-before)
		}
	})
}

// With the bridge gone, L1 answers for as long as its lease and not longer; and likewise where
// only the bridge's link to Redis is silent: what a bridge answers without having read the
// primary must not keep leases alive.
func TestL1OutlivesTheBridgeByItsLeaseAtMost(t *testing.T) {
	for name, fault := range map[string]struct {
		part  mesh.Part
		fault mesh.Fault
	}{"bridge down": {mesh.Bridge, mesh.Down}, "redis silent": {mesh.Redis, mesh.Hung}} {
		t.Run(name, func(t *testing.T) {
			mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
				warm(t, m, "ann")
				m.Break(fault.part, fault.fault)
				took := m.Until(10*time.Second, "no worker answers from L1", func() bool {
					return everyWorker(m, readStats.as("ann"), func(r mesh.Response) bool { return !r.Hit() })
				})
				t.Logf("the last hit was at most %v after the fault; max_staleness is 3s", took)
			})
		})
	}
}

// After a FLUSHDB from outside nothing old is served; reads bypass for the longest write
// deadline, then caching resumes.
func TestFlush(t *testing.T) {
	t.Run("no L1", func(t *testing.T) {
		const deadline = 5 * time.Second // longer than a lease
		mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, suspendedFor(deadline.String()))}, func(t *testing.T, m mesh.Mesh) {
			warm(t, m, "ann")
			flushed := false
			took := m.Until(resumeWithin, "caching resumes", func() bool {
				if !flushed {
					flushed = true
					m.Flush()
					if got := m.Do(0, readStats.as("ann")); got.CacheStatus() != "chatcache; fwd=bypass; detail=write-in-flight" {
						t.Errorf("at once after FLUSHDB: %v", got)
					}
				}
				return m.Do(0, readStats.as("ann")).Hit()
			})
			if took < deadline-500*time.Millisecond {
				t.Errorf("caching resumed after %v, before a write in flight had its deadline of %v", took, deadline)
			}
		})
	})
	t.Run("L1", func(t *testing.T) {
		mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, quick)}, func(t *testing.T, m mesh.Mesh) {
			warm(t, m, "ann")
			m.Flush()
			written := m.Do(0, saveMessage.make(m)).Serial()
			m.Settle()
			m.Until(3*time.Second, "every worker has forgotten", func() bool {
				return everyWorker(m, readStats.as("ann"), notBefore(written))
			})
			m.Until(resumeWithin, "caching resumes", func() bool { return m.Do(0, readStats.as("ann")).Hit() })
		})
	})
}

func TestPurge(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann", "bob")
		m.Purge("stats", "")
		for _, user := range []string{"ann", "bob"} {
			for _, r := range reads {
				if got := m.Do(1, r.as(user)); got.Hit() != (r.cache != "stats") {
					t.Errorf("after a purge of stats, %s's %v: %v", user, r, got)
				}
			}
		}
		m.Settle()
		m.Purge("", "")
		for _, r := range reads {
			wantStored(t, "after a purge of everything, "+r.String(), m.Do(0, r.as("ann")))
		}
	})
}

// The bridge derives the same partition as the filter: a write that didn't pass a proxy
// invalidates its user's caches and nobody else's.
func TestInvalidateByRuleAndUser(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann", "bob")
		m.Invalidate("save message", "ann")
		for _, r := range reads {
			if got := m.Do(1, r.as("ann")); got.Hit() == saveMessage.reaches(r) {
				t.Errorf("ann's %v: %v", r, got)
			}
			wantHit(t, "bob's "+r.String(), m.Do(1, r.as("bob")))
		}
	})
}
