package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"

	"github.com/google/go-cmp/cmp"
)

// polled takes the poll under way and gives it with its report.
func (w *world) polled() (*call, wire.Report) {
	w.t.Helper()
	c := w.take(wire.PathFollow)
	m := decoded(w, c, wire.DecodeFollowRequest)
	return c, m.Report
}

func (c *call) unchanged() {
	c.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
}

func counted(number uint64, values map[wire.Counter]uint64) wire.Report {
	c := wire.Counts{Cache: "stats"}
	for counter, v := range values {
		c.Values[counter] = v
	}
	return wire.Report{Number: number, Caches: []wire.Counts{c}}
}

// What was counted goes with the next poll, and goes again, as it was, until a poll that
// took it along is answered.
func TestReports(t *testing.T) {
	w := newWorld(t)
	w.lease()
	want := func(r, want wire.Report) {
		t.Helper()
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("report differs:\n%s", diff)
		}
	}
	poll, r := w.polled()
	want(r, wire.Report{})

	s := w.missed("ann")
	w.now += 20 * time.Millisecond
	s.respond("200", "{}")
	w.run()
	w.take(wire.PathStore).ack()
	again := w.stream("GET", "/stats", "ann")
	again.exchange.RequestHeaders(true)
	again.wants("chatcache; hit; ttl=600; detail=l1")

	w.now += reportEvery
	poll.unchanged()
	first := counted(1, map[wire.Counter]uint64{
		wire.CountMisses: 1, wire.CountForwarded: 1, wire.CountForwardedMicros: 20_000, wire.CountStores: 1, wire.CountHitsL1: 1,
	})
	poll, r = w.polled()
	want(r, first)

	w.stream("GET", "/stats", "ann", [2]string{"cache-control", "no-store"}).exchange.RequestHeaders(true) // counted when it is answered
	bypass := w.stream("GET", "/stats", "ann", [2]string{"cache-control", "no-store"})
	bypass.exchange.RequestHeaders(true)
	bypass.respond("200", "")
	w.now += reportEvery
	poll.fails() // the bridge may have counted it
	w.now += time.Second
	w.run()
	poll, r = w.polled()
	want(r, first)
	poll.unchanged()
	poll, r = w.polled()
	want(r, counted(2, map[wire.Counter]uint64{wire.CountBypasses: 1, wire.CountForwarded: 1}))
	poll.unchanged()
	_, r = w.polled()
	want(r, wire.Report{})
}

// A VM that polls often, since much happens, reports no more often for that.
func TestReportsAreFew(t *testing.T) {
	w := newWorld(t)
	w.lease()
	reports := 0
	for range 150 {
		s := w.stream("GET", "/stats", "ann", [2]string{"cache-control", "no-store"})
		s.exchange.RequestHeaders(true)
		s.respond("200", "")
		poll, r := w.polled()
		if r.Number > 0 {
			reports++
		}
		w.now += 20 * time.Millisecond
		poll.unchanged()
	}
	if reports != 2 {
		t.Errorf("%d reports in 3 s", reports)
	}
}

// Without L1 there is nothing to keep fresh, but something to report.
func TestFollowsWithoutL1(t *testing.T) {
	w := newWorld(t)
	w.plugin = w.configure(`{"version": 1, "name": "bare", "bridge": {"cluster": "bridge"}, "l1": false,
		"caches": {"models": {"match": ["GET /models"], "ttl": "600s", "shared": true}}}`)
	w.lease()
	s := w.stream("GET", "/models", "")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "[]")
	w.now += reportEvery
	poll, _ := w.polled()
	poll.unchanged()
	if _, r := w.polled(); len(r.Caches) != 1 || r.Caches[0].Values[wire.CountMisses] != 1 {
		t.Errorf("report %+v", r)
	}
}
