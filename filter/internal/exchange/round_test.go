package exchange

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// leftTo is a herd whose leader has left: the lookup for those who wait is on its way.
func (w *world) leftTo(path string, waiters int) (waiting []*fakeStream, lookup *call) {
	w.t.Helper()
	leader, waiting := w.herd(path, waiters)
	leader.exchange.Done()
	w.settle()
	return waiting, w.take(wire.PathLookup)
}

// What is found for those who wait answers the VM's next reads from its memory, too; unless a write was heard of since the lookup was sent:
// then only those get it who had come before that.
func TestWhatARoundFindsIsTakenIn(t *testing.T) {
	for written, next := range map[bool]bool{false: true, true: false} {
		w := newWorld(t)
		w.lease()
		waiting, lookup := w.leftTo("/stats", 2)
		if written {
			w.feed(3, event(2, wire.EventSuspend, partitionGroup(w, "ann")), event(3, wire.EventRaise, partitionGroup(w, "ann")))
		}
		lookup.hit(w, "stats", "one")
		w.settle()
		w.answered(collapsed+"l2", "one", waiting...)
		if got := hit(w, "ann"); got != next {
			t.Errorf("written meanwhile: %t; the next read is answered from memory: %t", written, got)
		}
	}
}

// A write comes while a round waits at the bridge. Who comes after that, and is let go with what the round has found, doesn't ask the
// origin whether it is the present response: a Last-Modified has seconds, and a 304 would make it answer for its whole lifetime.
func TestReadThatComesDuringARoundAfterAWrite(t *testing.T) {
	modified := [2]string{"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}
	for name, heard := range map[string]bool{"the VM hears of it": true, "the VM hears of nothing": false} {
		w := newWorld(t, `"max_staleness": "3s"`, `"max_staleness": "300ms"`)
		w.lease()
		m := w.cached("before the write", maxAge("max-age=1"), modified)
		w.passes(2 * time.Second)
		first := w.page()
		w.answers(m, 2*time.Second, wire.LookupLeased, false)
		w.settle() // the round waits at the bridge
		if heard {
			w.feed(3, event(2, wire.EventSuspend, "c:pages"), event(3, wire.EventRaise, "c:pages"))
		} else {
			w.now += 500 * time.Millisecond // its lease is over
		}
		late := w.page()
		w.held(first, late)
		w.answers(m, 2500*time.Millisecond, wire.LookupLeased, false) // the bridge holds it no longer
		w.settle()
		if late.resumed != 1 || late.request.Get("if-modified-since") != "" {
			t.Errorf("%s: resumed %d, forwarded with if-modified-since %q", name, late.resumed, late.request.Get("if-modified-since"))
		}
	}
}

// Where the first of those who wait fetches what a round has found stale, it has the origin confirm that.
func TestRoundThatFindsSomethingStale(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=1"), tagged)
	w.now += 2 * time.Second
	first, second := w.page(), w.page()
	w.answers(m, 2*time.Second, wire.LookupLeased, false)
	w.settle()
	w.answers(m, 2*time.Second, wire.LookupHit, true) // the other VM is dead
	w.settle()
	w.held(second)
	if first.resumed != 1 || first.request.Get("if-none-match") != `"a"` {
		t.Errorf("resumed %d times, forwarded with if-none-match %q", first.resumed, first.request.Get("if-none-match"))
	}
}

// What the VM's memory has is of no use to those who wait where it is stale: one of them fetches, and not all.
func TestWaitersOfSomethingStaleInMemory(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=1, stale-while-revalidate=1, stale-if-error=600"), tagged)
	w.passes(5 * time.Second)
	w.feed(1) // the poll before it was sent too long ago
	leader := w.page()
	waiting := []*fakeStream{w.page(), w.page(), w.page()}
	w.answers(m, 5*time.Second, wire.LookupHit, true)
	leader.exchange.Done()
	w.settle()
	w.held(waiting...)
	w.answers(m, 5*time.Second, wire.LookupHit, true)
	w.settle()
	w.held(waiting[1:]...)
	if waiting[0].resumed != 1 {
		t.Errorf("nobody fetches")
	}
}

// A round that finds another variant than its oldest read's answers those whom it suits, if they had come before it was sent; the others go to
// the origin, and may store what that answers. The lease that it was granted goes back, or to who came later.
func TestRoundThatFindsAnotherVariant(t *testing.T) {
	vary := [2]string{"vary", "accept-language"}
	elsewhere := newWorld(t)
	english := elsewhere.language("en")
	elsewhere.take(wire.PathLookup).miss(1)
	english.respond("200", "in en", maxAge("max-age=60"), vary)
	m := elsewhere.stored() // under the key without a variant
	for _, later := range []bool{false, true} {
		w := newWorld(t)
		leader := w.language("de")
		w.take(wire.PathLookup).granted()
		oldest, suited := w.language("fr"), w.language("en")
		leader.exchange.Done()
		w.settle()
		var after *fakeStream
		if later {
			after = w.language("en")
		}
		fetch := w.answers(m, 0, wire.LookupHit, true).Fetch
		w.settle()
		w.answered("chatcache; fwd=uri-miss; collapsed; ttl=60; detail=l2", "in en", suited)
		if oldest.resumed != 1 {
			t.Fatalf("the oldest: resumed %d, reply %q", oldest.resumed, oldest.reply)
		}
		oldest.respond("200", "in fr", maxAge("max-age=60"), vary)
		if status := oldest.cacheStatus(); status != "chatcache; fwd=vary-miss; collapsed=?0; stored" {
			t.Errorf("the oldest: %s", status)
		}
		if !later {
			w.releases(fetch)
			continue
		}
		w.held(after)
		if next := w.answers(m, 0, wire.LookupHit, false).Fetch; next != fetch {
			t.Errorf("who came later is looked up for with the lease %q, want %q", next, fetch)
		}
		w.settle()
		w.answered("chatcache; fwd=uri-miss; collapsed; ttl=60; detail=l2", "in en", after)
	}
}

// A bridge that lets those who wait wait in vain is soon waited for by nobody; and its first answer to a round ends that.
func TestRoundsAndTheBreaker(t *testing.T) {
	w := newWorld(t, `"timeout": "50ms"`, `"timeout": "50ms", "breaker": {"failures": 3, "open": "1s"}`)
	var leaders, waiting []*fakeStream
	for i := range 5 {
		leader, more := w.herd(fmt.Sprint("/stats?", i), 1)
		leaders, waiting = append(leaders, leader), append(waiting, more...)
	}
	leave := func(leaders ...*fakeStream) {
		for _, l := range leaders {
			l.exchange.Done()
		}
		w.settle()
	}
	leave(leaders[:3]...)
	for range 3 {
		w.take(wire.PathLookup).done(Answer{Status: "504"})
	}
	w.settle()
	w.forwarded("chatcache; fwd=bypass; detail=bridge-timeout", waiting[:3]...)
	if n := w.counts["chatcache.breaker_opened"]; n != 1 {
		t.Fatalf("the breaker has opened %d times", n)
	}
	leave(leaders[3])
	w.none(wire.PathLookup)
	w.forwarded("chatcache; fwd=bypass; detail=breaker-open", waiting[3])
	w.now += time.Second
	leave(leaders[4])
	w.take(wire.PathLookup).hit(w, "stats", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", waiting[4])
	w.begin("/stats?a")
	w.begin("/stats?b")
}

// A round that waits at the bridge has the bridge's own time to answer beside that. Only so many wait there at a time: those who wait in other flights
// then ask the origin.
func TestRoundsThatWaitAtTheBridge(t *testing.T) {
	w := newWorld(t)
	for i := range maxHeld {
		w.begin(fmt.Sprint("/stats?", i))
		w.take(wire.PathLookup).leased()
	}
	w.settle()
	beyond := w.begin("/stats?beyond")
	last := len(w.calls) - 1
	c := w.calls[last]
	w.calls = w.calls[:last]
	c.leased()
	w.settle()
	w.forwarded(byItself, beyond)
	held := 0
	for _, c := range w.calls {
		if c.path != wire.PathLookup {
			continue
		}
		held++
		if wait := time.Duration(c.lookup(w).Wait) * time.Millisecond; wait != 2*time.Second || c.timeout != wait+50*time.Millisecond {
			t.Fatalf("a round waits %v and is given up after %v", wait, c.timeout)
		}
	}
	if held != maxHeld {
		t.Errorf("%d rounds wait at the bridge, want %d", held, maxHeld)
	}
}

// A round waits at the bridge for a moment at least, so that reads which came one after the other don't cost a call each.
func TestRoundForWhoHasLittleTimeLeft(t *testing.T) {
	w := newWorld(t)
	w.begin("/stats")
	w.now = 1999 * time.Millisecond
	w.take(wire.PathLookup).leased()
	w.settle()
	if got := w.take(wire.PathLookup).lookup(w).Wait; got != minHold.Milliseconds() {
		t.Errorf("it waits %d ms, want %d", got, minHold.Milliseconds())
	}
}
