package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

func event(sequence uint64, kind wire.EventKind, groups ...string) wire.Event {
	return wire.Event{Sequence: sequence, Kind: kind, Groups: groups}
}

// hit tells whether the user's stats are answered from L1.
func hit(w *world, user string) bool {
	s := w.stream("GET", "/stats", user)
	s.exchange.RequestHeaders(true)
	return s.status == 200
}

func TestEventsOfTheFeedInvalidate(t *testing.T) {
	for name, e := range map[string]wire.Event{
		"suspension of the partition": event(2, wire.EventSuspend, "partition"),
		"raise of the partition":      event(2, wire.EventRaise, "partition"),
		"raise of the cache":          event(2, wire.EventRaise, "c:stats"),
		"raise of everything":         event(2, wire.EventRaise, "*"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			fill(t, w, "ann", "one")
			if e.Groups[0] == "partition" {
				e.Groups = []string{partitionGroup(w, "ann")}
			}
			w.feed(2, e)
			if hit(w, "ann") {
				t.Error("still answered from L1")
			}
		})
	}
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	w.feed(3, event(2, wire.EventRaise, "c:models"), event(3, wire.EventRaise, partitionGroup(w, "bob")))
	if !hit(w, "ann") {
		t.Error("events on other groups cost ann's entry")
	}
}

func partitionGroup(w *world, user string) string {
	s := w.stream("GET", "/stats", user)
	r, _ := newRequest(s)
	p, _ := w.plugin.identify(r)
	return wire.GroupPartition("stats", p.ID)
}

func TestFeedThatDoesNotContinueResets(t *testing.T) {
	for name, answer := range map[string]wire.FeedAnswer{
		"gap":            {Last: wire.Ticket{Epoch: 9, Sequence: 3}, Events: []wire.Event{event(3, wire.EventRaise, "c:models")}},
		"another epoch":  {Last: wire.Ticket{Epoch: 8, Sequence: 1}},
		"behind":         {Last: wire.Ticket{Epoch: 9, Sequence: 0}},
		"events missing": {Last: wire.Ticket{Epoch: 9, Sequence: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			fill(t, w, "ann", "one")
			w.take(wire.PathFeed).ok(answer.Encode())
			if hit(w, "ann") {
				t.Error("still answered from L1")
			}
			next, err := wire.DecodeFeedRequest(w.take(wire.PathFeed).frame)
			if err != nil || next.Cursor != answer.Last {
				t.Errorf("next cursor %v (%v), want %v", next.Cursor, err, answer.Last)
			}
		})
	}
}

func TestLeaseCountsFromWhenThePollWasSent(t *testing.T) {
	w := newWorld(t)
	w.lease() // sent at 0; the next poll too
	fill(t, w, "ann", "one")
	w.now = 2900 * time.Millisecond
	w.feed(1) // an answer to the poll sent at 0: the lease ends at 3 s
	w.now = 2999 * time.Millisecond
	if !hit(w, "ann") {
		t.Error("no hit within the lease")
	}
	w.now = 3000 * time.Millisecond
	if hit(w, "ann") {
		t.Error("a hit after the lease ran out")
	}
	w.feed(1) // an answer to the poll sent at 2.9 s continues the cursor
	if !hit(w, "ann") {
		t.Error("the entry was valid all along")
	}
}

func TestEntryIsNotTakenInWhenASlotMovedAfterItsLookup(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	w.feed(2, event(2, wire.EventSuspend, partitionGroup(w, "ann")))
	s.respond("200", "old")
	if hit(w, "ann") {
		t.Error("an answer from before the write is in L1")
	}
}

func TestEntryIsNotTakenInWhenTheLookupHadNoLease(t *testing.T) {
	w := newWorld(t)
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	w.lease() // too late
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one")
	if hit(w, "ann") {
		t.Error("an answer looked up without a lease is in L1")
	}
}

func TestCacheWithoutL1NeverUsesIt(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.stream("GET", "/deep", "ann")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one")
	if w.plugin.state.l1.Len() != 0 {
		t.Error("in L1")
	}
}

func TestPollsBackOffAndComeBack(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.take(wire.PathFeed).fails()
	w.run()
	w.none(wire.PathFeed)
	w.now += pollBackOffMin
	w.run()
	w.take(wire.PathFeed).fails()
	w.now += pollBackOffMin
	w.run()
	w.none(wire.PathFeed)
	w.now += pollBackOffMin
	w.run()
	w.feed(1)
	if w.counts[metricFeedErrors] != 2 {
		t.Errorf("%d feed errors", w.counts[metricFeedErrors])
	}
}

func TestNewConfigurationTakesOverL1AndFeed(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	late := w.take(wire.PathFeed) // the old root's poll
	w.run()
	if !hit(w, "ann") {
		t.Error("L1 was lost")
	}
	late.ok(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}.Encode())
	w.feed(2, event(2, wire.EventRaise, "*"))
	if hit(w, "ann") {
		t.Error("the new root doesn't follow")
	}
	// The new one is removed: the old one speaks again.
	w.plugin.Close()
	w.plugin = old
	w.calls = nil
	w.run()
	w.feed(2)
}

// The main thread's VM never sees a stream and must not poll.
func TestVMWithoutStreamsDoesNotPoll(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.none(wire.PathFeed)
}
