package exchange

import (
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
