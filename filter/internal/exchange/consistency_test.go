package exchange

import (
	"strings"
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
	p, _ := w.plugin.identify(s.asRequest())
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
			w.take(wire.PathFollow).ok(followed(answer))
			if n := w.plugin.state.l1.Len(); n != 0 || w.counts[metricFeedResets] != 2 { // the first of them as it began
				t.Errorf("%d entries of no use are kept; %d resets", n, w.counts[metricFeedResets])
			}
			if hit(w, "ann") {
				t.Error("still answered from L1")
			}
			next, err := wire.DecodeFollowRequest(w.take(wire.PathFollow).frame)
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
	s := w.missed("ann")
	w.feed(2, event(2, wire.EventSuspend, partitionGroup(w, "ann")))
	s.respond("200", "old")
	if w.plugin.state.l1.Len() != 0 || hit(w, "ann") {
		t.Error("an answer from before the write is in L1")
	}
}

// A group that only the entry names counts like those that were asked for: in L1, on the
// way there, and while this VM owes the bridge the end of a write on it.
func TestGroupsThatOnlyTheEntryNames(t *testing.T) {
	const named = "n:dashboards"
	found := func(w *world) *fakeStream {
		s := w.stream("GET", "/stats", "ann")
		s.exchange.RequestHeaders(true)
		return s
	}
	w := newWorld(t)
	w.lease()
	found(w)
	w.take(wire.PathLookup).hit(w, "stats", "one", named)
	w.feed(2, event(2, wire.EventRaise, "n:other"))
	if !hit(w, "ann") {
		t.Error("an event on another group cost the entry")
	}
	w.feed(3, event(3, wire.EventSuspend, named))
	if hit(w, "ann") {
		t.Error("answered from L1 after an event on a group that the entry names")
	}

	w = newWorld(t)
	w.lease()
	late := found(w)
	w.feed(2, event(2, wire.EventSuspend, named))
	w.take(wire.PathLookup).hit(w, "stats", "one", named)
	if late.status != 0 {
		t.Error("answered though the group has moved since the lookup was sent")
	}
	if hit(w, "ann") {
		t.Error("taken into L1 although the group has moved since the lookup was sent")
	}

	w = newWorld(t)
	w.lease()
	w.plugin.state.journal.block([]string{named})
	s := found(w)
	w.take(wire.PathLookup).hit(w, "stats", "one", named)
	if s.status != 0 || hit(w, "ann") {
		t.Error("used although this VM owes the end of a write on the group")
	}
}

func TestEntryIsNotTakenInWhenTheLookupHadNoLease(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.now += 4 * time.Second // it has run out
	s := w.missed("ann")
	w.feed(1)
	w.feed(1) // the poll that was sent since then: too late
	s.respond("200", "one")
	if w.plugin.state.l1.Len() != 0 || hit(w, "ann") {
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
	w.take(wire.PathFollow).fails()
	w.run()
	w.none(wire.PathFollow)
	w.now += pollBackOffMin
	w.run()
	w.take(wire.PathFollow).fails()
	w.now += pollBackOffMin
	w.run()
	w.none(wire.PathFollow)
	w.now += pollBackOffMin
	w.run()
	w.feed(1)
	w.take(wire.PathFollow).fails()
	w.now += pollBackOffMin // it begins anew
	w.down = true
	w.run()
	w.down = false
	w.run()
	w.none(wire.PathFollow) // one that couldn't be sent has failed, too
	w.now += 2 * pollBackOffMin
	w.run()
	w.feed(1)
	if w.counts[metricFeedErrors] != 4 {
		t.Errorf("%d feed errors", w.counts[metricFeedErrors])
	}
}

// The bridge knows of the VM for as long as a poll asks for, from when it asked: a lookup after that registers the VM again, however late
// the poll was answered.
func TestVMIsRegisteredFromWhenThePollWasSent(t *testing.T) {
	w := newWorld(t)
	w.showJoins = true
	w.lease()
	w.now = 1500 * time.Millisecond
	w.feed(1) // an answer to the poll that was sent at 0, for 3 s
	w.calls = nil
	w.now = 2999 * time.Millisecond
	w.begin("/stats?before")
	w.take(wire.PathLookup)
	w.now = 3 * time.Second
	w.begin("/stats?after")
	w.take(wire.PathJoin)
}

// The first poll is answered at once, since lookups register the VM as long as it isn't. Those that follow wait at the bridge for a third of
// max_staleness, so that one may fail before the lease is over; and they are given the time to come back.
func TestPollsAreHeld(t *testing.T) {
	w := newWorld(t)
	w.plugin.state.follower.follow()
	w.run()
	for _, want := range []time.Duration{0, time.Second} {
		c := w.take(wire.PathFollow)
		m := decoded(w, c, wire.DecodeFollowRequest)
		if hold := time.Duration(m.Hold) * time.Millisecond; hold != want || c.timeout < hold+pollMargin {
			t.Errorf("a poll is held for %v and given up after %v, want %v and %v more", hold, c.timeout, want, pollMargin)
		}
		c.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
	}
}

// An answer that names no epoch is none: nothing could be heard of from there on.
func TestPollAnsweredWithoutAnEpochIsNoLease(t *testing.T) {
	w := newWorld(t)
	w.plugin.state.follower.follow()
	w.run()
	w.take(wire.PathFollow).ok(followed(wire.FeedAnswer{}))
	if w.plugin.state.follower.alive(int64(w.now), time.Second) || w.counts[metricFeedErrors] != 1 {
		t.Errorf("L1 may be used, %d feed errors", w.counts[metricFeedErrors])
	}
}

func TestNewConfigurationTakesOverL1AndFeed(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	late := w.take(wire.PathFollow) // the old root's poll
	w.run()
	if !hit(w, "ann") {
		t.Error("L1 was lost")
	}
	late.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
	w.feed(2, event(2, wire.EventRaise, "*"))
	if hit(w, "ann") {
		t.Error("the new root doesn't follow")
	}
	next := w.take(wire.PathFollow)
	w.run()
	w.none(wire.PathFollow) // one poll at a time, whoever sends it
	w.calls = append(w.calls, next)
	// The new one is removed: the old one speaks again.
	w.plugin.Close()
	w.plugin = old
	w.calls = nil
	w.run()
	w.feed(2)
}

// A lease that was given under one max_staleness is no longer than another policy's; an older
// plugin, whose policy allows more, may use no more than the registry was told.
func TestLeaseIsNoLongerThanAnyPolicyAllows(t *testing.T) {
	w := newWorld(t)
	w.lease() // sent at 0, for 3 s
	fill(t, w, "ann", "one")
	old, late := w.plugin, w.take(wire.PathFollow)
	w.plugin = w.configure(strings.Replace(testPolicy, `"max_staleness": "3s"`, `"max_staleness": "600ms"`, 1))
	w.now = 599 * time.Millisecond
	if !hit(w, "ann") {
		t.Error("no hit within 600ms")
	}
	w.now = 600 * time.Millisecond
	if hit(w, "ann") {
		t.Error("the old policy's lease is used beyond the new one's max_staleness")
	}
	w.run()
	late.fails()
	w.feed(1) // an answer to the new plugin's poll, sent at 600ms
	if w.now = 1199 * time.Millisecond; !hit(w, "ann") {
		t.Error("no hit within the new lease")
	}
	w.plugin, w.now = old, 1200*time.Millisecond
	if hit(w, "ann") {
		t.Error("a request of the old plugin uses L1 beyond the lease that was registered")
	}
}

// The main thread's VM never sees a stream and must not poll.
func TestVMWithoutStreamsDoesNotPoll(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.none(wire.PathFollow)
}

// A lookup may be answered before the suspension reaches Redis although it was sent after it.
func TestEntryLookedUpBetweenSuspensionAndItsAckIsNotTakenIn(t *testing.T) {
	w := newWorld(t)
	w.lease()
	_, _, suspension := w.write("POST")
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1) // overtook the suspension
	suspension.ack()
	s.respond("200", "old")
	if hit(w, "ann") {
		t.Error("an answer from before the write is in L1")
	}
}

// A write may turn pending while a lookup of its groups is under way.
func TestLookupAnsweredAfterItsGroupsWereBlockedIsNotUsed(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	lookup := w.take(wire.PathLookup)
	_, _, suspension := w.write("POST")
	suspension.fails()
	lookup.miss(1)
	s.respond("200", "old")
	s.wants("chatcache; fwd=bypass; detail=invalidation-pending")
	w.run()
	w.none(wire.PathStore)
}

func TestResponseThatEndsWhileItsGroupsAreBlockedIsNotStored(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.missed("ann")
	_, _, suspension := w.write("POST")
	suspension.fails()
	s.respond("200", "old")
	w.run()
	w.none(wire.PathStore)
}

func TestShorterTTLOfANewPolicyHoldsForWhatIsStored(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	w.plugin = w.configure(strings.ReplaceAll(testPolicy, `"ttl": "600s"`, `"ttl": "2s"`))
	w.run()
	w.now = 2 * time.Second
	w.feed(1)
	if hit(w, "ann") {
		t.Error("a response of two seconds' age is used with a ttl of 2s")
	}
}

// Calls of a plugin that ends are never answered: what they were to do is done by the next.
func TestWorkOfAClosedPluginIsTakenOver(t *testing.T) {
	w := newWorld(t)
	w.lease()
	for range maxAlone*wire.MaxStores + 1 {
		s := w.stream("GET", "/models", "")
		s.exchange.RequestHeaders(true)
		if s.status == 0 {
			w.take(wire.PathLookup).miss(1)
			s.respond("200", "one")
		}
		w.plugin.state.l1.Clear()
	}
	s, _, c := w.write("POST")
	c.ack()
	s.respond("200", "{}")
	w.takeClose()
	old := w.plugin
	if old.Close() {
		t.Error("ended with a journal that nobody delivers")
	}
	w.plugin = w.configure(testPolicy)
	old.Run() // somebody does now
	if !w.roots[0].finished {
		t.Error("didn't end although another plugin has taken over")
	}
	w.calls = nil // no answer comes any more
	w.run()
	_, again := w.takeClose()
	again.ack()
	if len(w.plugin.state.journal.entries) != 0 {
		t.Error("the write's end is not done")
	}
	w.take(wire.PathStore).ack()
	if left := w.plugin.state.outbox.bytes; left != 0 {
		t.Errorf("%d bytes are still counted in the outbox", left)
	}
}

// The VM says that it has the newest policy, also while an older one drains; and once the last one has gone, nothing of it is in memory.
func TestWhatTheVMSaysItHas(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	old := w.plugin
	w.plugin = w.configure(strings.ReplaceAll(testPolicy, `"ttl": "600s"`, `"ttl": "2s"`))
	if got := w.plugin.state.follower.request(w.plugin).Knows.Version; got != w.plugin.version || got == old.version {
		t.Errorf("version %q, want %q", got, w.plugin.version)
	}
	old.Close()
	if w.states.L1Bytes() == 0 {
		t.Error("L1 was lost with the older policy")
	}
	w.plugin.Close()
	if n := w.plugin.state.l1.Len(); n != 0 {
		t.Errorf("%d entries of no policy are kept", n)
	}
}

func TestNewPluginTicksAndTakesOverTheGauges(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	w.run()
	w.plugin = w.configure(testPolicy)
	w.run()
	if !w.roots[1].ticking {
		t.Error("the new root doesn't tick")
	}
	if n := w.gauge(metricL1Entries); n != 1 {
		t.Errorf("the proxy shows %d entries in L1, want 1", n)
	}
	w.plugin.Close()
	w.plugin = w.states.byName["chat"].current()
	w.run()
	if n := w.gauge(metricL1Entries); n != 1 {
		t.Errorf("the proxy shows %d entries in L1 after the new plugin ended, want 1", n)
	}
	w.plugin.Close()
	if n := w.gauge(metricL1Entries); n != 0 {
		t.Errorf("the proxy shows %d entries in L1 after the last plugin ended", n)
	}
}

func TestDefinitionOfANewPolicyIsCompared(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	// The key of a request without a query stays the same; what it means doesn't.
	w.plugin = w.configure(strings.Replace(testPolicy, `"GET /stats"],`, `"GET /stats"], "ignore_query": ["a"],`, 1))
	w.run()
	if hit(w, "ann") {
		t.Error("a response stored under another definition is used")
	}
}

func TestPollThatWasGivenUpStartsNoSecondChain(t *testing.T) {
	w := newWorld(t)
	w.lease()
	late := w.take(wire.PathFollow)
	w.now += 10 * time.Second
	w.run()
	late.ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: 1}}))
	w.take(wire.PathFollow)
	w.none(wire.PathFollow)
	if w.plugin.state.follower.alive(w.now.Nanoseconds(), 3*time.Second) {
		t.Error("the late answer gave a lease")
	}
}

// What is found in another epoch than the feed is of may answer its read, and nobody else.
// Two bridges, and a primary that is replaced on purpose: bridge X still asks the old primary (epoch 9), whose word counts for
// --trust (2 s), bridge Y the new one (epoch 10).
//
//  1. the VM polls at Y: another epoch, L1 is emptied; the cursor is 10
//  2. a write is suspended, committed and raised at the new primary; the VM hears of both events
//  3. a read's lookup goes to X: the old primary has an entry from before 2, a hit of epoch 9 (that much is documented)
//  4. it enters L1, under the lease of Y's polls: no slot has moved since the lookup was sent
//  5. Y's polls go on. --trust and max_staleness are over by far
func TestHitOfAnotherEpoch(t *testing.T) {
	w := newWorld(t)
	w.lease() // epoch 9
	group := partitionGroup(w, "ann")
	at := func(sequence uint64, events ...wire.Event) {
		w.take(wire.PathFollow).ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 10, Sequence: sequence}, Events: events}))
	}
	at(1)                                                                       // 1
	at(3, event(2, wire.EventSuspend, group), event(3, wire.EventRaise, group)) // 2
	s := w.stream("GET", "/stats", "ann")                                       // 3
	s.exchange.RequestHeaders(true)
	c := w.take(wire.PathLookup)
	c.ok(wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Remaining: 600_000,
		Entry: w.entryOf("stats", c.lookup(w).Groups, "before the write"),
	}.Encode())
	if s.status != 200 {
		t.Fatal("no hit")
	}
	for range 14 { // 5: 14 s, less than a quarantine
		w.now += time.Second
		at(3)
	}
	if hit(w, "ann") {
		t.Error("14 s later (max_staleness 3 s, --trust 2 s) L1 still answers with what was before the write")
	}
}

// So it is with what is stale by then, and which the origin confirms: a Last-Modified has seconds, and the write was in the same one.
func TestConfirmationInAnotherEpoch(t *testing.T) {
	for _, method := range []string{"GET", "HEAD"} {
		w := newWorld(t)
		modified := [2]string{"last-modified", "Mon, 30 Nov 2026 10:00:00 GMT"}
		m := w.cached("before the write", maxAge("max-age=10"), modified)
		w.lease()
		s := w.stream(method, "/pages/1", "", [2]string{":scheme", "http"})
		s.exchange.RequestHeaders(true)
		w.take(wire.PathLookup).ok(wire.LookupAnswer{
			State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 8, Sequence: 1}, Entry: m.Entry, Age: 20_000, Remaining: 600_000,
		}.Encode())
		status := map[string]string{"GET": "304", "HEAD": "200"}[method]
		s.head(status, modified, maxAge("max-age=10"))
		s.send("", true)
		s.exchange.Done()
		if s := w.page(); s.status != 0 {
			t.Errorf("%s: answered with %q from L1", method, s.reply)
		}
	}
}
