package redisbridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// pollAs is a poll of one VM; it gives the cursor of its next one.
func (w *world) pollAs(b *Bridge, vm string, cursor wire.Ticket, lease int64) wire.Ticket {
	w.t.Helper()
	m := w.pollRequest(cursor, 0)
	m.VM, m.Lease = vm, lease
	a, err := b.Feed(w.ctx, m)
	w.check(err)
	return a.Last
}

func (w *world) purge(wait string) RaiseAnswer {
	w.t.Helper()
	a, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats", Wait: wait})
	w.check(err)
	return a
}

// told writes receipts without their times.
func told(r Receipts) string {
	text := fmt.Sprintf("complete %t, new epoch %t", r.Complete, r.NewEpoch)
	byName := func(a, b Receipt) int { return strings.Compare(a.VM, b.VM) }
	for _, kind := range []struct {
		name string
		list []Receipt
	}{{"applied", r.Applied}, {"lease out", r.LeaseOut}, {"pending", r.Pending}} {
		for _, receipt := range slices.SortedFunc(slices.Values(kind.list), byName) {
			text += ", " + receipt.VM + " " + kind.name
		}
	}
	return text
}

func (w *world) wantReceipts(raise RaiseAnswer, when, want string) Receipts {
	w.t.Helper()
	r, err := w.Receipts(w.ctx, raise, "")
	w.check(err)
	if got := told(r); got != want {
		w.t.Errorf("%s:\n got %s\nwant %s", when, got, want)
	}
	return r
}

func TestReceipts(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.pollAs(w.Bridge, "gone", wire.Ticket{}, 1)
		w.pass(5)
		slow := w.pollAs(w.Bridge, "slow", wire.Ticket{}, 30_000)
		w.pollAs(w.Bridge, "slow", slow, 30_000)
		w.pollAs(w.Bridge, "dead", slow, 30_000)
		quick := w.pollAs(w.Bridge, "quick", slow, 30_000)
		raise := w.purge("")
		w.pollAs(w.Bridge, "later", wire.Ticket{}, 30_000)
		w.wantReceipts(raise, "at once", "complete false, new epoch false, dead pending, later pending, quick pending, slow pending")

		w.pass(10)
		quick = w.pollAs(w.Bridge, "quick", quick, 30_000) // is told of it
		w.wantReceipts(raise, "told, not applied", "complete false, new epoch false, dead pending, later pending, quick pending, slow pending")
		w.pollAs(w.Bridge, "quick", quick, 30_000) // has applied it
		w.pollAs(w.Bridge, "later", quick, 30_000)
		w.pass(20)
		w.pollAs(w.Bridge, "quick", quick, 30_000) // a later poll doesn't change when
		r := w.wantReceipts(raise, "two have applied it", "complete false, new epoch false, later applied, quick applied, dead pending, slow pending")
		for _, applied := range r.Applied {
			if took := applied.MS; took < 10 || w.memory != nil && took != 10 {
				t.Errorf("%s took %d ms, want 10 or a little more", applied.VM, took)
			}
		}

		w.endLease("dead")
		w.wantReceipts(raise, "one lease has run out", "complete false, new epoch false, later applied, quick applied, dead lease out, slow pending")
		w.pollAs(w.Bridge, "slow", quick, 30_000)
		w.wantReceipts(raise, "the last one has applied it", "complete true, new epoch false, later applied, quick applied, slow applied, dead lease out")

		w.check(w.raw.FlushDB(w.ctx).Err())
		w.wantReceipts(raise, "after FLUSHDB", "complete false, new epoch true")
	})
}

// A VM whose answer is lost doesn't know of the shorter lease that it asked for.
func TestReceiptsWaitForTheLongerLease(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		cursor := w.pollAs(w.Bridge, "a", wire.Ticket{}, 60_000)
		w.pollAs(w.Bridge, "a", cursor, 1)
		raise := w.purge("")
		w.pass(5)
		w.wantReceipts(raise, "after the shorter one", "complete false, new epoch false, a pending")
		w.pollAs(w.Bridge, "a", wire.Ticket{Epoch: cursor.Epoch, Sequence: raise.Sequence}, 1)
		w.wantReceipts(raise, "applied", "complete true, new epoch false, a applied")
	})
}

// A wait ends when the last VM has applied the raise, also where that VM polls at another
// bridge: it is woken.
func TestPurgeWaits(t *testing.T) {
	clock := newStepClock() // whose waits end by a wake only
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		o := w.options
		o.Clock, o.Bootstrap = nil, false
		other := newBridge(t, o)
		cursor := w.pollAs(w.Bridge, "a", wire.Ticket{}, 30_000)
		w.pollAs(other, "b", wire.Ticket{}, 30_000)
		answer := make(chan RaiseAnswer, 1)
		go func() {
			a, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats", Wait: "30s"})
			if err != nil {
				t.Error(err)
			}
			answer <- a
		}()
		eventually(t, "somebody waits", func() bool { return w.raw.Exists(w.ctx, "{chatcache:chat}:waiting").Val() == 1 })
		cursor.Sequence++
		w.pollAs(w.Bridge, "a", cursor, 30_000)
		select {
		case a := <-answer:
			t.Fatalf("the wait ended before b had applied the raise: %s", told(*a.Receipts))
		case <-time.After(2 * gather):
		}
		w.pollAs(other, "b", cursor, 30_000)
		select {
		case a := <-answer:
			if got := told(*a.Receipts); got != "complete true, new epoch false, a applied, b applied" {
				t.Errorf("got %s", got)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the wait doesn't end")
		}
	})
}

// A new epoch has forgotten who has a lease: nothing is complete before its quarantine is over,
// which lasts longer than any of them.
func TestReceiptsOfANewEpoch(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		const quarantine = 30_000
		w.scope.Quarantine = quarantine
		w.pollAs(w.Bridge, "a", wire.Ticket{}, quarantine)
		w.check(w.raw.FlushDB(w.ctx).Err())
		raise := w.purge("") // a doesn't know of it, and nobody knows of a
		r := w.wantReceipts(raise, "at once", "complete false, new epoch false")
		if r.QuarantineMS < 1 || r.QuarantineMS > quarantine {
			t.Errorf("%d ms of quarantine left, want up to %d", r.QuarantineMS, quarantine)
		}
		w.sooner(quarantine + 20)
		w.wantReceipts(raise, "after the quarantine", "complete true, new epoch false")
	})
}

// Where nobody publishes, a wait looks by itself: here a lease runs out.
func TestPurgeWaitsForLeases(t *testing.T) {
	w := newRealWorld(t, nil)
	w.pollAs(w.Bridge, "a", wire.Ticket{}, 30_000)
	receipts := make(chan Receipts, 1)
	go func() {
		a, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats", Wait: "30s"})
		if err != nil {
			t.Error(err)
			a.Receipts = &Receipts{}
		}
		receipts <- *a.Receipts
	}()
	eventually(t, "somebody waits", func() bool { return w.raw.Exists(w.ctx, "{chatcache:chat}:waiting").Val() == 1 })
	w.endLease("a")
	select {
	case r := <-receipts:
		if got := told(r); got != "complete true, new epoch false, a lease out" {
			t.Errorf("got %s", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the wait doesn't end with the lease")
	}
	w.pollAs(w.Bridge, "a", wire.Ticket{}, 30_000)
	if got := told(*w.purge("10ms").Receipts); got != "complete false, new epoch false, a pending" {
		t.Errorf("a wait that is too short: got %s", got)
	}
}

// A raise that was made is told of, also where the receipts can't be read.
func TestPurgeWithUnreadableReceipts(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.check(w.raw.Set(w.ctx, "{chatcache:chat}:vms", "not a set", 0).Err())
	a := w.purge("10ms")
	if a.Sequence != 1 || a.Receipts == nil || a.Receipts.Complete || a.Receipts.NewEpoch || a.Receipts.Error == "" {
		t.Errorf("got %+v, receipts %+v", a, a.Receipts)
	}
}

// A bridge that drains lets nobody wait for long, and nobody spin who goes on to ask, as redisbridge purge --wait does.
func TestReceiptsWhileDraining(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	w.pollAs(w.Bridge, "a", wire.Ticket{}, 30_000)
	raise := w.purge("")
	answer := make(chan Receipts, 1)
	ask := func() {
		r, err := w.Receipts(w.ctx, raise, "30s")
		if err != nil {
			t.Error(err)
		}
		answer <- r
	}
	waits := func(who string) {
		t.Helper()
		select {
		case d := <-clock.waiting:
			if d != drainHold {
				t.Errorf("%s waits for %v, want %v", who, d, drainHold)
			}
		case r := <-answer:
			t.Fatalf("%s is answered at once: %s", who, told(r))
		}
		clock.pass(drainHold)
		clock.release <- struct{}{}
		if got := told(<-answer); got != "complete false, new epoch false, a pending" {
			t.Errorf("%s: %s", who, got)
		}
	}
	go ask()
	<-clock.waiting
	w.Drain()
	waits("who was there")
	go ask()
	waits("who comes")
}

func TestReceiptsRefuse(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for path, want := range map[string]string{
		"/v1/receipts":                                           `sequence ""`,
		"/v1/receipts?sequence=1&raisedAt=1":                     `epoch ""`,
		"/v1/receipts?sequence=1&raisedAt=x&epoch=a":             `raisedAt "x"`,
		"/v1/receipts?sequence=1&raisedAt=1&epoch=a&wait=1h":     `"wait" is "1h", want a duration up to 30s`,
		"/v1/receipts?sequence=1&raisedAt=1&epoch=a&policy=a%2f": `policy name "a/"`,
	} {
		status, body := call(w, "GET", path, "", nil)
		if status != 400 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want 400 with %s", path, status, body, want)
		}
	}
	status, body := call(w, "POST", "/v1/purge", "", []byte(`{"policy": "chat", "all": true, "wait": "soon"}`))
	if w.look(); status != 400 || w.look().Ticket.Sequence != 0 {
		t.Errorf("a purge with a wait that can't be read: %d %s, and it was made", status, body)
	}
}

// The status shows who is behind, by how much, and for how long.
func TestStatusShowsLag(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		at := w.pollAs(w.Bridge, "behind", wire.Ticket{}, 30_000)
		w.pollAs(w.Bridge, "behind", at, 30_000)
		for range 3 {
			w.purge("")
		}
		at.Sequence = 3
		w.pollAs(w.Bridge, "current", at, 30_000)
		w.pollAs(w.Bridge, "new", wire.Ticket{}, 30_000)
		w.pass(250)
		w.purge("") // is no more than the last one's
		s := w.Status(w.ctx).Policies[0]
		if s.BehindMS < 250 || s.BehindMS > 10_000 {
			t.Errorf("the last one has lacked an event for %d ms, want 250 and what the test took", s.BehindMS)
		}
		got := fmt.Sprintf("%d VMs, %d behind:", s.VMs, s.Behind)
		for _, f := range s.Followers {
			got += fmt.Sprintf(" %s %d", f.VM, f.Lag)
			if f.LeaseMS < 20_000 || f.LeaseMS > 30_000 {
				t.Errorf("%s: %d ms of its lease are left, want about 30000", f.VM, f.LeaseMS)
			}
		}
		if want := "3 VMs, 3 behind: behind 4 new 4 current 1"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}
