package redisbridge

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"chatcache/redisbridge/wire"
)

// fetch looks up and asks for the fetch lease.
func (w *world) fetch(id string) wire.LookupAnswer {
	w.t.Helper()
	a, err := w.Lookup(w.ctx, w.fetchRequest(id))
	w.check(err)
	return a
}

func (w *world) fetchRequest(id string) wire.LookupRequest {
	return wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups, Fetch: id, Lease: 30_000}
}

// wantFetch says what the lookup must get: "granted", "leased", "miss" (without a lease), "hit" or "suspended".
func (w *world) wantFetch(id, want, when string) wire.LookupAnswer {
	w.t.Helper()
	a := w.fetch(id)
	if got := fetchState(a); got != want {
		w.t.Errorf("%s: %s got %s, want %s", when, id, got, want)
	}
	return a
}

func fetchState(a wire.LookupAnswer) string {
	if a.Granted {
		return "granted"
	}
	return map[wire.LookupState]string{
		wire.LookupMiss: "miss", wire.LookupHit: "hit", wire.LookupSuspended: "suspended", wire.LookupLeased: "leased",
	}[a.State]
}

func (w *world) fillAs(id string, ticket wire.Ticket) {
	w.t.Helper()
	w.fillFresh(id, ticket, 0)
}

// fillFresh stores what is fresh for so many milliseconds; 0: it isn't said.
func (w *world) fillFresh(id string, ticket wire.Ticket, fresh int64) {
	w.t.Helper()
	e := wire.Entry{Head: wire.Head{Ticket: ticket, Definition: "def", Groups: w.groups, Fresh: fresh}, Payload: []byte("fetched by " + id)}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 600_000, Fetch: id, Entry: e.Encode()})
	w.check(err)
}

func (w *world) letGo(id string, mark int64) {
	w.t.Helper()
	_, err := w.Release(w.ctx, wire.ReleaseRequest{Scope: w.scope, Key: w.key, Fetch: id, Mark: mark})
	w.check(err)
}

func (w *world) leaseText() string { return w.raw.Get(w.ctx, wire.LeaseKey(w.key)).Val() }

func TestFetchLease(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		a := w.wantFetch("f1", "granted", "at first")
		if b := w.wantFetch("f2", "leased", "while f1 fetches"); b.Ticket != a.Ticket {
			t.Errorf("leased with ticket %v, want %v", b.Ticket, a.Ticket)
		}
		w.wantFetch("f1", "granted", "asked again by whom it belongs to")
		w.want(wire.LookupMiss, "without asking for a lease")
		w.fillAs("f1", a.Ticket)
		w.wantFetch("f2", "hit", "after the store")
		if left := w.leaseText(); left != "" {
			t.Errorf("the store left the lease %q", left)
		}
	})
}

// What is stale is fetched like what is missing: one lookup is granted the lease, and the others are told
// so, with what is stale.
func TestFetchLeaseOfAStaleEntry(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		ticket := w.wantFetch("f1", "granted", "at first").Ticket
		w.fillFresh("f1", ticket, 600_000)
		w.wantFetch("f2", "hit", "while it is fresh")
		w.fillFresh("f1", ticket, 1)
		w.pass(10)
		w.want(wire.LookupHit, "stale, without asking for a lease")
		first := w.wantFetch("f2", "granted", "the first that finds it stale")
		other := w.wantFetch("f3", "leased", "another one")
		for who, a := range map[string]wire.LookupAnswer{"granted": first, "leased": other} {
			if e, err := wire.DecodeEntry(a.Entry); err != nil || string(e.Payload) != "fetched by f1" || a.Age < 10 || a.Remaining > 600_000-10 {
				t.Errorf("%s with the entry %.40q (%v), age %d, remaining %d", who, e.Payload, err, a.Age, a.Remaining)
			}
		}
		if first.State != wire.LookupHit {
			t.Errorf("granted with state %d", first.State)
		}
		w.wantFetch("f2", "granted", "asked again by whom it belongs to")
		w.letGo("f2", 0)
		w.wantFetch("f3", "granted", "after its release")
		w.fillFresh("f3", ticket, 600_000)
		w.wantFetch("f4", "hit", "validated")
		w.fillFresh("f3", ticket, 0)
		w.pass(10)
		w.wantFetch("f4", "hit", "where it isn't said how long it is fresh")
		w.fillFresh("f3", ticket, 1)
		w.pass(10)
		w.wantFetch("f4", "granted", "stale again")
		w.close("w1", true, "c:stats")
		if a := w.wantFetch("f5", "granted", "invalidated while it is validated"); a.State != wire.LookupMiss || len(a.Entry) > 0 {
			t.Errorf("state %d with an entry of %d bytes", a.State, len(a.Entry))
		}
	})
}

// A lookup that waits for the validation of a stale entry is answered with what it has stored.
func TestHeldLookupOfAStaleEntry(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		ticket := w.fetch("f1").Ticket
		w.fillFresh("f1", ticket, 1)
		w.pass(10)
		w.wantFetch("f2", "granted", "stale")
		held := heldLookup(t, w.Bridge, clock, w.waiting("f3", 20_000))
		w.fillFresh("f2", ticket, 600_000)
		if a := answered(t, held, "hit"); !strings.HasSuffix(string(a.Entry), "fetched by f2") {
			t.Errorf("with %q", a.Entry)
		}
	})
}

// A lease ends by itself, by its own store or release, and by nobody else's.
func TestFetchLeaseEnds(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.wantFetch("f1", "granted", "at first")
		w.letGo("f2", 0)
		w.letGo("f2", 5000)
		w.wantFetch("f3", "leased", "after another's release")
		short := w.fetchRequest("f1")
		short.Lease = 1
		if a := must(w.Lookup(w.ctx, short)); !a.Granted {
			t.Fatalf("asked again, for a shorter time: got %s", fetchState(a))
		}
		w.pass(10)
		ticket := w.wantFetch("f3", "granted", "after its end").Ticket
		w.letGo("f1", 5000)
		w.wantFetch("f4", "leased", "after the release of one that has ended")
		w.letGo("f3", 0)
		w.wantFetch("f4", "granted", "after its release")
		w.close("w1", true, "c:stats")
		w.fillAs("f3", ticket) // late, and useless
		w.wantFetch("f4", "granted", "f4's own lease, after f3's store")
		if text := w.leaseText(); text[:3] != "f4 " {
			t.Errorf("the lease is %q, want f4's", text)
		}
	})
}

// The mark lets everybody ask the origin at once, until it ends; a store is found all the same.
func TestPassMark(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.wantFetch("f1", "granted", "at first")
		w.letGo("f1", 600_000)
		ticket := w.wantFetch("f2", "miss", "under the mark").Ticket
		w.wantFetch("f3", "miss", "under the mark")
		w.fillAs("f2", ticket)
		w.wantFetch("f3", "hit", "stored under the mark")
		w.close("w1", true, "c:stats")
		w.wantFetch("f3", "miss", "invalidated under the mark")
		w.check(w.raw.Del(w.ctx, wire.LeaseKey(w.key)).Err())
		w.wantFetch("f4", "granted", "without the mark")
		w.letGo("f4", 1)
		w.pass(10)
		w.wantFetch("f3", "granted", "after the mark")
	})
}

// What makes the fetch useless makes its lease void.
func TestVoidLease(t *testing.T) {
	void := map[string]func(w *world){
		"a write":    func(w *world) { w.close("w1", true, "p:stats:alice") },
		"a purge":    func(w *world) { must(w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})) },
		"a deadline": func(w *world) { w.suspend("w1", 1, "c:stats"); w.pass(5) },
		"another epoch": func(w *world) {
			w.check(w.raw.Del(w.ctx, "{chatcache:chat}:state").Err())
			w.look()
			w.pass(2 * quarantine)
		},
		"nonsense for a lease": func(w *world) { w.check(w.raw.Set(w.ctx, wire.LeaseKey(w.key), "nonsense", 0).Err()) },
		"a lease without end":  func(w *world) { w.check(w.raw.Persist(w.ctx, wire.LeaseKey(w.key)).Err()) },
	}
	for name, happens := range void {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				before := w.wantFetch("f1", "granted", "at first").Ticket
				happens(w)
				w.wantFetch("f2", "granted", "after "+name)
				w.fillAs("f1", before)
				w.wantFetch("f3", map[bool]string{true: "leased", false: "hit"}[before != w.look().Ticket], "after the useless store")
			})
		})
	}
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.wantFetch("f1", "granted", "at first")
		w.close("w1", true, "p:stats:bob", "c:search")
		w.wantFetch("f2", "leased", "after a write on other groups")
		w.suspend("w2", 30_000, "c:stats")
		w.wantFetch("f2", "suspended", "while a write is in flight")
	})
}

// A claim is granted only where entry and lease still are what was read.
func TestClaimFindsTheStore(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		m, p := w.fetchRequest("f2"), must(w.policyOf(w.scope))
		changes := map[string]func(ticket wire.Ticket){
			"a store":        func(ticket wire.Ticket) { w.fillAs("f1", ticket) },
			"a claim":        func(wire.Ticket) { w.fetch("f1") },
			"a release":      func(wire.Ticket) { w.fetch("f1"); w.letGo("f1", 5000) },
			"an entry's end": func(wire.Ticket) { w.check(w.raw.Del(w.ctx, w.key).Err()) },
			"an older store": func(wire.Ticket) { w.fillAs("f1", wire.Ticket{Epoch: 1}) },
			"nothing":        func(wire.Ticket) {},
		}
		for name, happens := range changes {
			w.check(w.raw.Del(w.ctx, wire.LeaseKey(w.key)).Err())
			w.fillAs("f0", wire.Ticket{Epoch: 2}) // of no epoch that lives
			r := &reading{groups: []string{"*"}, key: w.key}
			w.readAll(w.ctx, p, r)
			w.check(r.err)
			happens(r.validity.ticket)
			granted, err := w.claim(w.ctx, m, r.stored, r.validity.ticket)
			if err != nil || granted != (name == "nothing") {
				t.Errorf("after %s: granted %v, %v", name, granted, err)
			}
		}
	})
}

// Of many who ask at once, over two bridges, one is granted.
func TestOneClaimIsGranted(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		bridges := []*Bridge{w.Bridge, newBridge(t, w.options)}
		answers := make([]wire.LookupAnswer, 24)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				var err error
				if answers[i], err = bridges[i%2].Lookup(w.ctx, w.fetchRequest(fmt.Sprint("f", i))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		got := map[string]int{}
		for _, a := range answers {
			got[fetchState(a)]++
		}
		if got["granted"] != 1 || got["leased"]+got["miss"] != len(answers)-1 {
			t.Errorf("got %v, want one granted", got)
		}
	})
}

// Out of memory a miss comes without a lease, and a release still works.
func TestFetchLeaseOutOfMemory(t *testing.T) {
	w := newRealWorld(t, nil)
	w.wantFetch("f1", "granted", "at first")
	w.check(w.raw.ConfigSet(w.ctx, "maxmemory", "1").Err())
	w.letGo("f1", 5000)
	if text := w.leaseText(); text != passMark {
		t.Errorf("after the release: lease %q", text)
	}
	e := wire.Entry{Head: wire.Head{Ticket: wire.Ticket{Epoch: 1}, Definition: "def", Groups: w.groups}}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1000, Fetch: "f1", Entry: e.Encode()})
	wantError(t, err, ErrRedis)
	w.check(w.raw.ConfigSet(w.ctx, "maxmemory", "0").Err())
}

func TestReleaseRefuses(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for _, m := range []wire.ReleaseRequest{
		{Scope: w.scope, Key: w.key},
		{Scope: w.scope, Key: w.key, Fetch: "a b"},
		{Scope: w.scope, Key: "session:1", Fetch: "f1"},
	} {
		_, err := w.Release(w.ctx, m)
		wantError(t, err, ErrRequest)
	}
	for _, change := range []func(m *wire.LookupRequest){
		func(m *wire.LookupRequest) { m.Fetch = "a b" },
		func(m *wire.LookupRequest) { m.Fetch, m.Wait = "", 100 },
	} {
		m := w.fetchRequest("f1")
		change(&m)
		_, err := w.Lookup(w.ctx, m)
		wantError(t, err, ErrRequest)
	}
}
