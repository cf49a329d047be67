package failover

import (
	"net"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// pinned tells a bridge to stay with one server, whatever becomes of it.
func pinned(n *stack.RedisNode) map[string]string {
	host, port, _ := net.SplitHostPort(n.Addr())
	return map[string]string{"REDIS_HOST": host, "REDIS_PORT": port}
}

// The primary hangs, another is elected, and the old one comes back and doesn't
// know: a bridge that still asks it serves nothing of what it says.
func TestPrimaryComesBack(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	b := w.bridge(set.Env(), nil)
	w.read(b, 0)
	old := w.bridge(pinned(set.Servers[0]), nil)
	w.load(b)
	w.readers(old, 4)
	w.follow(old, "vm-old")
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })

	paused := time.Now()
	w.check(set.Servers[0].Pause())
	w.eventually("hits of the new primary", func() bool { return w.log.count(hit, paused.Add(time.Second)) > 100 })
	resumed := time.Now()
	w.check(set.Servers[0].Resume())
	w.eventually("the old primary is a replica", func() bool {
		s, ok := w.log.first(lookupError, resumed)
		return ok && s.err != nil && roleOf(w, set.Servers[0]) == "slave"
	})
	w.end()
	w.log.degraded(t, b, paused)
	w.never(t, 0)
}

func roleOf(w *world, n *stack.RedisNode) string {
	info := n.Client.Info(w.ctx, "replication").Val()
	_, role, _ := strings.Cut(info, "role:")
	role, _, _ = strings.Cut(role, "\r")
	return role
}

// never fails the test if a read was behind, or an older epoch believed beside a
// newer one, for longer than that.
func (w *world) never(t *testing.T, bound time.Duration) {
	t.Helper()
	longest, n := w.log.staleness()
	overlap := w.log.overlap()
	t.Logf("%d stale reads, behind by up to %.3f s; the old primary believed for %.3f s beside the new one", n, longest.Seconds(), overlap.Seconds())
	if longest > bound || overlap > bound {
		t.Errorf("that is longer than %v", bound)
	}
}

// Both sides of a split have a primary. The one without replicas is believed for
// the bound at most, and with min-replicas-to-write not even that long.
func TestSplit(t *testing.T) {
	for _, setting := range []string{"0", "1"} {
		t.Run("min-replicas-to-write "+setting, func(t *testing.T) {
			set := stack.ReplicatedT(t, 2, "--min-replicas-to-write", setting)
			w := newWorld(t)
			w.lost = true
			old := w.bridge(pinned(set.Servers[0]), nil)
			other := w.bridge(pinned(set.Servers[1]), nil)
			w.load(old)
			w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })

			began := time.Now()
			w.check(set.Split(w.ctx))
			split := time.Now()
			w.load(other)
			w.eventually("hits of the new primary, and nothing of the old one", func() bool {
				return w.log.count(hit, split.Add(trust)) > 100 && time.Since(split) > 2*trust
			})
			w.end()
			for _, s := range w.log.all() {
				if s.bridge == old && s.err == nil && s.began.After(split.Add(trust)) {
					t.Fatalf("%v of the old primary %v after its last replica left", s, s.began.Sub(split))
				}
			}
			// The second replica left a moment after the first was promoted.
			w.never(t, trust+split.Sub(began))
		})
	}
}

// A primary whose replicas fell silent refuses every script as a whole within
// min-replicas-max-lag (3 s) and two more: replicas report once a second, and it
// counts them as often. A busy machine has some seconds besides; by Redis' own setting it were 10 s and more.
func TestReplicasFallSilent(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	// Not the bridge's trust is looked at here.
	b := w.bridge(pinned(set.Servers[0]), func(o *redisbridge.Options) { patient(o); o.Replicas = 0 })
	w.read(b, 0)
	silent := time.Now()
	for _, replica := range set.Servers[1:] {
		w.check(replica.Pause())
	}
	w.eventually("the primary refuses", func() bool { w.read(b, 0); return w.log.tail(1)[0].err != nil })
	last := w.log.tail(1)[0]
	t.Logf("%v after %.1f s", last.err, last.began.Sub(silent).Seconds())
	if !strings.Contains(last.err.Error(), "NOREPLICAS") {
		t.Errorf("refused with %v, want NOREPLICAS", last.err)
	}
	if took := last.began.Sub(silent); took > 9*time.Second {
		t.Errorf("refused after %v only", took)
	}
	state := "{chatcache:" + scope.Policy + "}:state"
	before := set.Servers[0].Client.HGetAll(w.ctx, state).Val()
	for name, err := range map[string]error{
		"suspend": second(b.Suspend(w.ctx, wire.SuspendRequest{Scope: scope, ID: "w", Groups: groups(0), Deadline: deadline})),
		"close":   second(b.CloseSuspension(w.ctx, wire.CloseRequest{Scope: scope, ID: "w", Groups: groups(0), Raise: true})),
		"feed":    second(b.Feed(w.ctx, wire.FeedRequest{Scope: scope, VM: "vm", Lease: 3000})),
	} {
		if err == nil || !strings.Contains(err.Error(), "NOREPLICAS") {
			t.Errorf("%s: %v, want NOREPLICAS", name, err)
		}
	}
	after := set.Servers[0].Client.HGetAll(w.ctx, state).Val()
	if before["seq"] != after["seq"] || len(before) != len(after) {
		t.Errorf("refused scripts changed the state from %v to %v", before, after)
	}
	for _, replica := range set.Servers[1:] {
		w.check(replica.Resume())
	}
	w.eventually("lookups are answered again", func() bool { w.read(b, 0); return w.log.tail(1)[0].err == nil })
}

func second[T any](_ T, err error) error { return err }
