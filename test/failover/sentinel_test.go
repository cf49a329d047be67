package failover

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// The primary is killed under load: another is elected, begins a new epoch in
// quarantine, and nobody reads anything stale.
func TestPrimaryIsKilled(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	a, b := w.bridge(set.Env(), nil), w.bridge(set.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })
	before := w.log.tail(1)[0].epoch

	killed := time.Now()
	w.check(set.Servers[0].Kill())
	w.eventually("another epoch's hits", func() bool {
		s, ok := w.log.first(hit, killed.Add(time.Second))
		return ok && s.epoch != before && w.log.count(hit, killed.Add(time.Second)) > 100
	})
	w.end()
	w.log.degraded(t, b, killed)
	if first, ok := w.log.first(suspended, killed.Add(time.Second)); !ok || first.epoch == before {
		t.Errorf("first in the new epoch: %v, want its quarantine", first)
	}
	w.never(t, 0)
}

// A raise that the primary acknowledged and no replica heard of is lost with it.
// What it invalidated stays invalid.
func TestAcknowledgedWritesAreLost(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	b := w.bridge(set.Env(), nil)
	w.read(b, 0) // miss, and stored
	w.read(b, 0)
	if got := w.log.tail(1)[0]; got.what != hit {
		t.Fatalf("before the write: %v", got)
	}
	stack.WaitT(t, "the entry is replicated", set.Replicated)
	for _, replica := range set.Servers[1:] {
		w.check(replica.Pause())
	}
	lost, err := b.CloseSuspension(w.ctx, wire.CloseRequest{Scope: scope, ID: "w", Groups: groups(0), Raise: true})
	w.check(err)
	w.documents[0].commit()
	w.check(set.Servers[0].Kill())
	for _, replica := range set.Servers[1:] {
		w.check(replica.Resume())
	}

	killed := time.Now()
	w.eventually("an answer", func() bool {
		w.read(b, 0)
		return w.log.tail(1)[0].err == nil
	})
	if first := w.log.tail(1)[0]; first.what != suspended || first.epoch == lost.Ticket.Epoch {
		t.Errorf("first answer after the failover: %v, want another epoch in quarantine", first)
	}
	w.eventually("a hit", func() bool { w.read(b, 0); return w.log.tail(1)[0].what == hit })
	w.log.degraded(t, b, killed)
	w.never(t, 0)
}

// An operator has another primary elected while the old one is well, and still
// answers until the Sentinels make a replica of it.
func TestPlannedFailover(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	a, b := w.bridge(set.Env(), nil), w.bridge(set.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })
	before := w.log.tail(1)[0].epoch

	asked := time.Now()
	w.check(set.Failover(w.ctx))
	w.eventually("another epoch's hits", func() bool {
		tail := w.log.tail(1)[0]
		return tail.what == hit && tail.epoch != before
	})
	w.end()
	w.log.degraded(t, b, asked)
	w.never(t, trust)
}
