package exchange

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

func (c *call) answers(status string) { c.done(Answer{Status: status}) }

// bypasses tells whether a read of the path is forwarded because of the journal.
func bypasses(w *world, path string) bool {
	s := w.stream("GET", path, "bob")
	s.exchange.RequestHeaders(true)
	s.respond("200", "one")
	return len(s.added) == 1 && s.added[0] == "cache-status: chatcache; fwd=bypass; detail=invalidation-pending"
}

// pending is a write whose suspension wasn't acknowledged, ended with the status.
func (w *world) pending(status string) {
	w.t.Helper()
	s, _, c := w.write("POST")
	c.fails()
	s.respond(status, "{}")
}

// The bridge may refuse an entry for good. Asking again would keep its groups blocked
// for ever: everything is invalidated instead, as one entry however many were refused.
func TestRefusedEntriesBecomeOneForEverything(t *testing.T) {
	for _, status := range []string{"400", "413"} {
		w := newWorld(t)
		for range 3 {
			w.pending("200")
		}
		w.run()
		for _, c := range []*call{w.take(wire.PathClose), w.take(wire.PathClose), w.take(wire.PathClose)} {
			c.answers(status)
		}
		if !bypasses(w, "/models") {
			t.Error("nothing but the refused entry's groups is blocked")
		}
		w.run()
		all, last := w.takeClose()
		if len(all.Groups) != 1 || all.Groups[0] != "*" || !all.Raise {
			t.Errorf("close %+v, want a raise of everything", all)
		}
		last.answers(status)
		w.run()
		w.none(wire.PathClose) // refused even so: later
		w.now += journalBackOffMax
		_, last = w.takeClose()
		last.ack()
		w.none(wire.PathClose)
		if bypasses(w, "/models") || bypasses(w, "/stats") || len(w.plugin.state.journal.entries) != 0 {
			t.Errorf("still blocked: %v, %d entries", w.plugin.state.journal.blocked, len(w.plugin.state.journal.entries))
		}
		if w.counts[metricJournalRefused] != 3 {
			t.Errorf("%d refusals counted, want 3", w.counts[metricJournalRefused])
		}
	}
}

func TestRefusedEntryOfAnUnknownOutcomeKeepsItsTerm(t *testing.T) {
	w := newWorld(t)
	w.pending("504")
	w.run()
	w.take(wire.PathSuspend).answers("400")
	w.run()
	last, err := wire.DecodeSuspendRequest(w.take(wire.PathSuspend).frame)
	if err != nil || len(last.Groups) != 1 || last.Groups[0] != "*" || last.Deadline != 10_000 {
		t.Errorf("last term %+v (%v), want everything for 10 s", last, err)
	}
}

// What stands for several writes lasts as long as the one that may commit last, whichever came first.
func TestEntryForEverythingKeepsTheLongestTerm(t *testing.T) {
	for _, settle := range [][]time.Duration{{time.Minute, time.Second}, {time.Second, time.Minute}} {
		w := newWorld(t)
		var entries []*journalEntry
		for _, s := range settle {
			entries = append(entries, &journalEntry{groups: []string{"c:stats"}, outcome: unknown, settle: s})
		}
		entries = append(entries, &journalEntry{groups: []string{"c:stats"}, outcome: changed})
		if all := w.plugin.state.journal.everything(entries); all.outcome != unknown || all.settle != time.Minute {
			t.Errorf("of %v: %v, and lasts %v", settle, all.outcome, all.settle)
		}
	}
}

// However many writes have ended, the bridge is asked to end a few at a time, and then the next ones.
func TestDeliveriesAreBounded(t *testing.T) {
	w := newWorld(t)
	const writes = 2*maxJournalCalls + 1
	for i := range writes {
		w.plugin.state.journal.add(&journalEntry{id: fmt.Sprint("w", i), groups: []string{"c:stats"}, outcome: changed})
	}
	delivered := 0
	for len(w.plugin.state.journal.entries) > 0 && delivered < writes {
		w.run()
		closes := slices.DeleteFunc(slices.Clone(w.calls), func(c *call) bool { return c.path != wire.PathClose })
		if len(closes) != min(maxJournalCalls, writes-delivered) {
			t.Fatalf("%d calls under way after %d", len(closes), delivered)
		}
		w.wakes = 0
		for range closes {
			w.take(wire.PathClose).ack()
			delivered++
		}
		if w.wakes == 0 && delivered < writes {
			t.Fatalf("after %d, nobody sends the next ones", delivered)
		}
	}
	if delivered != writes {
		t.Errorf("%d of %d delivered", delivered, writes)
	}
}

func TestRefusedEntryOfARejectedWriteIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.pending("422")
	_, c := w.takeClose()
	c.answers("400")
	w.run()
	w.none(wire.PathClose)
	if bypasses(w, "/models") || len(w.plugin.state.journal.entries) != 0 {
		t.Error("a write that has changed nothing invalidates")
	}
	if w.counts[metricJournalRefused] != 1 {
		t.Error("not counted")
	}
}

// A token may be put right, a bridge replaced: the entry stays as it is.
func TestOtherAnswersAreNoRefusal(t *testing.T) {
	for _, status := range []string{"401", "404", "500", "503", ""} {
		w := newWorld(t)
		w.pending("200")
		_, c := w.takeClose()
		c.answers(status)
		w.now += journalBackOffMax
		again, _ := w.takeClose()
		if len(again.Groups) != 2 || w.counts[metricJournalRefused] != 0 {
			t.Errorf("%s: close %+v", status, again)
		}
	}
}

// However long the bridge was away, it is asked seldom, and hears of the ends of writes soon after it is back: until then their groups pass the
// cache by.
func TestDeliveryAfterALongFailure(t *testing.T) {
	for name, fails := range map[string]func(w *world) (asked int){
		"it refuses": func(w *world) (asked int) {
			for ; len(w.calls) > 0; w.calls = w.calls[1:] {
				if w.calls[0].path == wire.PathClose {
					asked++
				}
				w.calls[0].answers("503")
			}
			return asked
		},
		"it can't be called": func(w *world) int { w.down = true; return 0 },
	} {
		w := newWorld(t)
		w.pending("200")
		w.calls = nil
		began, asked := w.now, 0
		for w.now < began+time.Hour {
			w.run()
			asked += fails(w)
			w.now += TickPeriod
		}
		if most := int(time.Hour/journalBackOffMax) + 10; asked > most {
			t.Errorf("%s: asked %d times in an hour, want %d at most", name, asked, most)
		}
		w.down = false
		w.now += journalBackOffMax
		_, c := w.takeClose()
		c.ack()
		if bypasses(w, "/stats") {
			t.Errorf("%s: still blocked", name)
		}
	}
}

// A suspension may have ended before its write does, where the proxy stood still. What was taken into memory since then isn't used once the bridge
// knows of the write's end, before the feed tells of it.
func TestEndOfAWriteWhoseSuspensionHasLapsed(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s, _, c := w.write("POST")
	c.ack()
	read := w.stream("GET", "/stats", "ann")
	read.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).hit(w, "stats", "before the commit")
	if !hit(w, "ann") {
		t.Fatal("not in L1")
	}
	s.respond("200", "{}")
	_, end := w.takeClose()
	end.ack()
	if hit(w, "ann") {
		t.Error("still answered from L1")
	}
}

// The last plugin of a policy ends when its journal is delivered, or when that takes too long.
func TestLastPluginWaitsForItsJournal(t *testing.T) {
	for _, delivered := range []bool{true, false} {
		w := newWorld(t)
		w.down = true
		w.stream("POST", "/messages", "ann").exchange.RequestHeaders(true)
		s := w.stream("POST", "/messages", "ann")
		s.exchange.RequestHeaders(true)
		s.respond("200", "{}")
		if w.plugin.Close() {
			t.Fatal("ended with a journal that nobody delivers")
		}
		w.now += endWithin - time.Second
		w.run()
		if w.roots[0].finished {
			t.Fatal("ended before its journal was delivered")
		}
		if w.down = !delivered; delivered {
			w.now += journalBackOffMax
			_, c := w.takeClose()
			c.ack()
		} else {
			w.now += time.Second
		}
		w.run()
		if !w.roots[0].finished || w.plugin.state.current() != nil {
			t.Errorf("delivered %t: the plugin doesn't end", delivered)
		}
		w.run() // a tick that was on its way
	}
	w := newWorld(t)
	if !w.plugin.Close() || w.roots[0].finished {
		t.Error("with nothing to deliver, a plugin ends at once")
	}
}
