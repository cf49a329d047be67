package exchange

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// write begins a POST /messages of ann, up to the answer of its suspension.
func (w *world) write(method string) (*fakeStream, wire.SuspendRequest, *call) {
	w.t.Helper()
	s := w.stream(method, "/messages", "ann")
	if got := s.exchange.RequestHeaders(false); got != PauseAll {
		w.t.Fatalf("action %v", got)
	}
	c := w.take(wire.PathSuspend)
	m := decoded(w, c, wire.DecodeSuspendRequest)
	return s, m, c
}

func (w *world) takeClose() (wire.CloseRequest, *call) {
	w.t.Helper()
	w.run()
	c := w.take(wire.PathClose)
	m := decoded(w, c, wire.DecodeCloseRequest)
	return m, c
}

// Whatever unsafe method the request has: to its origin it may be the rule's.
func TestWriteByAMethodThatAFieldNames(t *testing.T) {
	for _, test := range []struct{ method, path, named string }{{"POST", "/messages", "PUT"}, {"PATCH", "/messages", "post"}, {"DELETE", "/messages", "POST"}} {
		w := newWorld(t)
		s := w.stream(test.method, test.path, "ann", [2]string{"x-http-method-override", test.named})
		if got := s.exchange.RequestHeaders(true); got != PauseAll {
			t.Fatalf("%v: action %v", test, got)
		}
		w.take(wire.PathSuspend).ack()
		s.respond("200", "{}")
		if got := s.cacheStatus(); got != "chatcache; fwd=method" {
			t.Errorf("%v: %s", test, got)
		}
		if end, last := w.takeClose(); !end.Raise || !slices.Contains(end.Groups, partitionGroup(w, "ann")) {
			t.Errorf("%v: close %+v", test, end)
		} else {
			last.ack()
		}
	}
}

// Whoever may read a page, and no more, makes the cache forget nothing by a field.
func TestReadWithAFieldThatNamesAMethodInvalidatesNothing(t *testing.T) {
	for _, path := range []string{"/messages", "/models"} {
		w := newWorld(t)
		s := w.stream("GET", path, "", [2]string{"x-http-method-override", "POST"})
		if got := s.exchange.RequestHeaders(true); got != Continue {
			t.Fatalf("%s: action %v", path, got)
		}
		s.respond("200", "{}")
		w.run()
		for _, c := range w.calls {
			if c.path == wire.PathSuspend || c.path == wire.PathClose {
				t.Errorf("%s: the bridge is asked for %s", path, c.path)
			}
		}
	}
}

func TestWriteIsSuspendedForwardedAndClosedWithARaise(t *testing.T) {
	w := newWorld(t)
	s, suspension, c := w.write("POST")
	if s.resumed != 0 {
		t.Fatal("forwarded before its suspension was acknowledged")
	}
	c.ack()
	if s.resumed != 1 {
		t.Fatal("not forwarded")
	}
	w.wakes = 0
	s.respond("201", "{}")
	s.wants("chatcache; fwd=method")
	if w.wakes == 0 {
		t.Error("the write has ended, and the bridge hears of it at the next tick only")
	}
	end, last := w.takeClose()
	if end.ID != suspension.ID || !end.Raise || last.owner != "root" {
		t.Errorf("close %+v by %s", end, last.owner)
	}
	want := partitionGroup(w, "ann")
	if end.Groups[0] != want || suspension.Groups[0] != want || suspension.Deadline != 15_000 {
		t.Errorf("groups %v and %v, deadline %d", suspension.Groups, end.Groups, suspension.Deadline)
	}
	last.ack()
	w.now += time.Minute
	w.run()
	w.none(wire.PathClose)
	w.none(wire.PathSuspend)
}

func TestWriteMovesItsOwnSlots(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	fill(t, w, "bob", "two")
	_, _, c := w.write("POST")
	if hit(w, "ann") {
		t.Error("answered from L1 while the suspension is on its way")
	}
	if !hit(w, "bob") {
		t.Error("bob's entry was lost by ann's write")
	}
	c.ack()
	if hit(w, "ann") {
		t.Error("answered from L1 after the suspension")
	}
}

func TestDefinite4xxClosesWithoutARaise(t *testing.T) {
	w := newWorld(t)
	s, _, c := w.write("POST")
	c.ack()
	s.respond("422", "{}")
	if end, _ := w.takeClose(); end.Raise {
		t.Error("raised")
	}
	if w.counts["chatcache.cache.stats.invalidations"] != 0 {
		t.Error("counted as an invalidation")
	}
}

// The policy knows of an origin that rolls back before it answers 500: such a write costs nothing.
func TestStatusThatMeansNothingWasWritten(t *testing.T) {
	for _, test := range []struct {
		status string
		raise  bool
	}{{"500", false}, {"501", true}} {
		w := newWorld(t, `"caches"`, `"unchanged_on": [500], "caches"`)
		s, _, c := w.write("POST")
		c.ack()
		s.respond(test.status, "{}")
		if end, _ := w.takeClose(); end.Raise != test.raise {
			t.Errorf("%s: raised %t, want %t", test.status, end.Raise, test.raise)
		}
	}
}

func TestUnknownOutcomeWaitsOutSettle(t *testing.T) {
	w := newWorld(t)
	s, suspension, c := w.write("POST")
	c.ack()
	s.properties["response.code_details"] = []byte("upstream_response_timeout")
	s.respond("504", "")
	w.run()
	w.none(wire.PathClose)
	last, err := wire.DecodeSuspendRequest(w.take(wire.PathSuspend).frame)
	if err != nil || last.ID != suspension.ID || last.Deadline != 10_000 {
		t.Errorf("last term %+v (%v)", last, err)
	}
	w.now += time.Minute
	w.run()
	w.none(wire.PathSuspend) // set once: it must pass
}

func TestCloseIsRetriedUntilAcknowledged(t *testing.T) {
	w := newWorld(t)
	s, _, c := w.write("POST")
	c.ack()
	s.respond("200", "{}")
	_, first := w.takeClose()
	first.fails()
	w.run()
	w.none(wire.PathClose)
	w.now += journalBackOffMin
	w.down = true
	w.run()
	w.down = false
	w.now += journalBackOffMax
	_, again := w.takeClose()
	again.ack()
	if n := len(w.plugin.state.journal.entries); n != 0 {
		t.Errorf("%d entries left", n)
	}
}

func TestLongStreamRenewsItsSuspension(t *testing.T) {
	w := newWorld(t)
	s, suspension, c := w.write("POST")
	c.ack()
	s.head("200", [2]string{"content-type", "text/event-stream"})
	w.now += 7 * time.Second
	w.run()
	w.none(wire.PathSuspend)
	w.now += time.Second
	w.run()
	renewal := w.take(wire.PathSuspend)
	m, _ := wire.DecodeSuspendRequest(renewal.frame)
	if m.ID != suspension.ID || m.Deadline != suspension.Deadline || !slices.Equal(m.Groups, suspension.Groups) {
		t.Errorf("renewal %+v of %+v", m, suspension)
	}
	renewal.fails()
	w.now += 2 * time.Second
	w.down = true
	w.run()
	if n := w.counts[metricRenewals]; n != 2 {
		t.Errorf("%d renewals that failed are counted, want 2", n)
	}
	w.down = false
	w.now += 2 * time.Second
	w.run()
	w.take(wire.PathSuspend).ack()
	w.now += 6 * time.Second
	w.run()
	w.none(wire.PathSuspend)
	s.send("data: done\n\n", true)
	s.exchange.Done()
	if end, _ := w.takeClose(); !end.Raise {
		t.Error("no raise at the end of the stream")
	}
}

// A short term is renewed in time though a longer one was asked for before it.
func TestShorterTermIsRenewedFirst(t *testing.T) {
	w := newWorld(t, `"invalidate": ["stats"], "unreachable": "refuse"`, `"invalidate": ["stats"], "deadline": "60s", "settle": "60s"`)
	_, long, c := w.write("PUT")
	c.ack()
	_, short, c := w.write("POST")
	c.ack()
	if long.Deadline <= short.Deadline {
		t.Fatalf("deadlines of %d and %d ms", long.Deadline, short.Deadline)
	}
	w.now += time.Duration(short.Deadline) * time.Millisecond / 2
	w.run()
	if m := decoded(w, w.take(wire.PathSuspend), wire.DecodeSuspendRequest); m.ID != short.ID {
		t.Errorf("renewed %+v, want %+v", m, short)
	}
	w.none(wire.PathSuspend)
}

// A proxy that stood still may find an acknowledgement when the suspension's deadline has passed.
func TestLateAcknowledgementIsNone(t *testing.T) {
	const half = 7500 * time.Millisecond
	w := newWorld(t)
	s, _, c := w.write("POST")
	w.now += half - 1
	c.ack()
	if s.head("200"); s.cacheStatus() != "chatcache; fwd=method" {
		t.Errorf("an acknowledgement in time: %s", s.cacheStatus())
	}
	w.run()
	w.none(wire.PathSuspend)
	w.now++
	w.run()
	w.take(wire.PathSuspend) // half of the term has passed since it was asked for

	w = newWorld(t)
	s, _, c = w.write("POST")
	w.now += half
	c.ack()
	if s.head("200"); s.cacheStatus() != "chatcache; fwd=method; detail=invalidation-pending" {
		t.Errorf("a late acknowledgement: %s", s.cacheStatus())
	}
	strict, _, c := w.write("PUT")
	w.now += half
	if c.ack(); strict.status != 503 || strict.resumed > 0 {
		t.Errorf("a late acknowledgement, refusing: %d, resumed %d times", strict.status, strict.resumed)
	}
	strict.exchange.Done()
	w.run()
	end, err := wire.DecodeCloseRequest(w.take(wire.PathClose).frame)
	if err != nil || end.Raise {
		t.Errorf("the refused write ended with %+v (%v), want no raise", end, err)
	}
}

// A term counts from when it was asked for: its acknowledgement may be slow.
func TestRenewalsCountFromWhenTheyWereSent(t *testing.T) {
	w := newWorld(t)
	_, _, c := w.write("POST")
	c.ack()
	w.now = 7500 * time.Millisecond
	w.run()
	renewal := w.take(wire.PathSuspend)
	w.now += 900 * time.Millisecond
	renewal.ack()
	w.now = 2*7500*time.Millisecond - 1
	w.run()
	w.none(wire.PathSuspend)
	w.now++
	w.run()
	w.take(wire.PathSuspend)
}

func TestUnreachableBridgeForwardsAndBlocksUntilDelivered(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "bob", "two")
	s, suspension, c := w.write("POST")
	c.fails()
	if s.resumed != 1 {
		t.Fatal("not forwarded")
	}
	read := w.stream("GET", "/stats", "ann")
	read.exchange.RequestHeaders(true)
	read.respond("200", "one")
	read.wants("chatcache; fwd=bypass; detail=invalidation-pending")
	w.none(wire.PathLookup)
	if !hit(w, "bob") {
		t.Error("bob is blocked too")
	}
	w.run()
	w.none(wire.PathClose) // not before the response has ended
	s.respond("201", "{}")
	s.wants("chatcache; fwd=method; detail=invalidation-pending")
	end, last := w.takeClose()
	if end.ID != suspension.ID || !end.Raise {
		t.Errorf("close %+v", end)
	}
	last.ack()
	after := w.stream("GET", "/stats", "ann")
	after.exchange.RequestHeaders(true)
	w.take(wire.PathLookup)
}

func TestUnreachableBridgeRefusesWhereTheRuleSaysSo(t *testing.T) {
	for name, fail := range map[string]func(w *world) *fakeStream{
		"timed out": func(w *world) *fakeStream {
			s, _, c := w.write("PUT")
			c.done(Answer{Status: "504"})
			return s
		},
		"at once": func(w *world) *fakeStream {
			w.down = true
			s := w.stream("PUT", "/messages", "ann")
			s.exchange.RequestHeaders(false)
			w.down = false
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := fail(w)
			s.wants("chatcache; detail=bridge-unreachable")
			if s.status != 503 || s.resumed != 0 {
				t.Errorf("status %d, resumed %d", s.status, s.resumed)
			}
			s.exchange.Done()
			if end, _ := w.takeClose(); end.Raise {
				t.Error("raised for a write that was never forwarded")
			}
		})
	}
}

func TestClientGoneBeforeTheSuspensionIsAcknowledged(t *testing.T) {
	w := newWorld(t)
	s, _, c := w.write("POST")
	s.exchange.Done()
	if end, _ := w.takeClose(); end.Raise {
		t.Error("raised for a write that was never forwarded")
	}
	c.ack() // a host would not deliver it; it must do nothing
	if len(w.plugin.state.writes.open) != 0 || s.resumed != 0 {
		t.Error("a dead stream was resumed")
	}
}

func TestFullJournalBecomesOneEntryForEverything(t *testing.T) {
	w := newWorld(t)
	w.down = true
	for range maxJournal + 1 {
		s := w.stream("POST", "/messages", "ann")
		s.exchange.RequestHeaders(true)
		s.respond("200", "{}")
	}
	w.down = false
	if n := len(w.plugin.state.journal.entries); n != 1 {
		t.Fatalf("%d entries", n)
	}
	if last := w.warned[len(w.warned)-1]; w.counts[metricJournalMerged] != 1 || !strings.Contains(last, "everything is invalidated") {
		t.Errorf("%d counted, the log's last line is %q", w.counts[metricJournalMerged], last)
	}
	read := w.stream("GET", "/models", "")
	read.exchange.RequestHeaders(true)
	read.respond("200", "one")
	read.wants("chatcache; fwd=bypass; detail=invalidation-pending")
	end, last := w.takeClose()
	if len(end.Groups) != 1 || end.Groups[0] != "*" || !end.Raise {
		t.Errorf("close %+v", end)
	}
	last.ack()
	if len(w.plugin.state.journal.blocked) != 0 {
		t.Errorf("still blocked: %v", w.plugin.state.journal.blocked)
	}
}

func TestWriteWithoutIdentityConcernsTheWholeCache(t *testing.T) {
	w := newWorld(t)
	s := w.stream("POST", "/messages", "")
	s.exchange.RequestHeaders(true)
	m, _ := wire.DecodeSuspendRequest(w.take(wire.PathSuspend).frame)
	if len(m.Groups) != 2 || m.Groups[0] != "c:stats" || m.Groups[1] != "c:deep" {
		t.Errorf("groups %v", m.Groups)
	}
}

func TestPanicLetsTheStreamGoOnAndTheWriteEnds(t *testing.T) {
	w := newWorld(t)
	s, _, _ := w.write("POST")
	s.exchange.Abort()
	if s.resumed != 1 {
		t.Fatal("not resumed")
	}
	read := w.stream("GET", "/stats", "ann")
	read.exchange.RequestHeaders(true)
	read.respond("200", "one")
	read.wants("chatcache; fwd=bypass; detail=invalidation-pending")
	s.respond("201", "{}")
	if end, _ := w.takeClose(); !end.Raise {
		t.Error("no raise")
	}
}

// Where the end of a stream has panicked, no other callback ends its write: its outcome is taken as unknown, so that its suspension
// gets a last term, and isn't renewed for as long as the VM lives.
func TestPanicAtTheEndOfAWriteEndsItAllTheSame(t *testing.T) {
	w := newWorld(t)
	s, suspension, c := w.write("POST")
	c.ack()
	s.head("201")
	s.send("{}", true)
	s.exchange.Lost()
	w.run()
	last := w.take(wire.PathSuspend)
	if m := decoded(w, last, wire.DecodeSuspendRequest); m.ID != suspension.ID || m.Deadline != 10_000 {
		t.Errorf("suspension %+v, want a last term of 10 s", m)
	}
	last.ack()
	for range 100 {
		w.now += time.Second
		w.run()
	}
	w.none(wire.PathSuspend)
	s.exchange.Done()
	w.run()
	w.none(wire.PathClose)
}

// After a panic in the callback that was to hold the request nothing holds it any more, and a late answer doesn't resume it.
func TestPanicWhileARequestIsPaused(t *testing.T) {
	for name, begin := range map[string]func(w *world) (*fakeStream, func()){
		"a write": func(w *world) (*fakeStream, func()) { s, _, c := w.write("POST"); return s, c.ack },
		"a read": func(w *world) (*fakeStream, func()) {
			s := w.stream("GET", "/stats", "ann")
			s.exchange.RequestHeaders(true)
			c := w.take(wire.PathLookup)
			return s, func() { c.miss(1) }
		},
	} {
		w := newWorld(t)
		s, late := begin(w)
		s.exchange.Abandon()
		if got := s.exchange.RequestBody(1, true); got != Continue {
			t.Errorf("%s: action %v on its body", name, got)
		}
		if late(); s.resumed != 0 || s.status != 0 {
			t.Errorf("%s: resumed %d times, reply %d", name, s.resumed, s.status)
		}
	}
}

// The proxy may answer a request by itself while it is held, as for a timeout: whatever the bridge says then comes too late.
func TestProxyAnswersWhileARequestIsPaused(t *testing.T) {
	w := newWorld(t)
	read := w.stream("GET", "/stats", "ann")
	read.exchange.RequestHeaders(true)
	write, _, suspension := w.write("POST")
	for _, s := range []*fakeStream{read, write} {
		s.properties["response.code_details"] = []byte("stream_idle_timeout")
		s.properties["upstream.request_attempt_count"] = nil
		s.head("408", [2]string{"content-length", "0"})
	}
	w.take(wire.PathLookup).miss(1)
	suspension.ack()
	for _, s := range []*fakeStream{read, write} {
		if s.resumed != 0 || s.status != 0 {
			t.Errorf("%s: resumed %d times, reply %d", s.name, s.resumed, s.status)
		}
		s.send("", true)
		s.exchange.Done()
	}
	if end, _ := w.takeClose(); end.Raise {
		t.Error("a write that was never forwarded raises")
	}
}

// panicsBeforeTheSuspension lets the first callback of a write of ann panic, and the origin do the write.
func (w *world) panicsBeforeTheSuspension(method, path string, rule *policy.Invalidation) {
	s := w.stream(method, path, "ann")
	s.exchange.flow, _ = newWrite(&s.exchange, *s.asRequest(), rule)
	s.exchange.Abandon()
	s.respond("201", "{}")
}

func TestPanicBeforeTheSuspensionRaisesWholeCaches(t *testing.T) {
	w := newWorld(t)
	w.panicsBeforeTheSuspension("POST", "/messages", w.plugin.Policy.Invalidation("save"))
	end, _ := w.takeClose()
	if end.ID == "" || !end.Raise || len(end.Groups) != 2 || end.Groups[0] != "c:stats" {
		t.Errorf("close %+v", end)
	}
}

func TestPanicBeforeTheSuspensionRaisesWhatTheURINames(t *testing.T) {
	w := newWorld(t)
	w.panicsBeforeTheSuspension("DELETE", "/pages/1", w.plugin.Policy.Unruled("DELETE"))
	if end, _ := w.takeClose(); !end.Raise || len(end.Groups) != 1 || !strings.HasPrefix(end.Groups[0], "u:") {
		t.Errorf("close %+v", end)
	}
}

// The answer to a call of an entry that was merged meanwhile must not unblock another write.
func TestLateAckOfAMergedEntryUnblocksNothing(t *testing.T) {
	w := newWorld(t)
	open, _, c := w.write("POST")
	c.fails() // pending, its response hasn't ended
	ended, _, c := w.write("POST")
	c.fails()
	ended.respond("200", "{}")
	_, late := w.takeClose()
	w.plugin.state.journal.entries = append(w.plugin.state.journal.entries,
		w.plugin.state.journal.merge(&journalEntry{id: "x", groups: []string{"c:models"}}))
	late.ack()
	if w.plugin.state.journal.blocked[partitionGroup(w, "ann")] != 1 {
		t.Errorf("blocked: %v; the write that is still open must block its groups", w.plugin.state.journal.blocked)
	}
	open.respond("200", "{}")
}

// What a rule asks for also after the end travels with every call that may be the last one
// to be heard of the write.
func TestAlsoAfterTravelsWithEachCall(t *testing.T) {
	document := strings.Replace(testPolicy, `"invalidate": ["stats", "deep"]`, `"invalidate": ["stats", "deep"], "also_after": "2s"`, 1)
	also := func(c *call) int64 {
		t.Helper()
		if end, err := wire.DecodeCloseRequest(c.frame); err == nil {
			return end.AlsoAfter
		}
		suspension, err := wire.DecodeSuspendRequest(c.frame)
		if err != nil {
			t.Fatal(err)
		}
		return suspension.AlsoAfter
	}
	w := newWorld(t)
	w.plugin = w.configure(document)
	s, first, c := w.write("POST")
	c.ack()
	w.now += 8 * time.Second
	w.run()
	renewal := w.take(wire.PathSuspend)
	renewal.ack()
	s.respond("200", "{}")
	_, end := w.takeClose()
	end.ack()
	if first.AlsoAfter != 2000 || also(renewal) != 2000 || also(end) != 2000 {
		t.Errorf("suspension %d, renewal %d, close %d ms, want 2000 each", first.AlsoAfter, also(renewal), also(end))
	}

	s, _, c = w.write("POST")
	c.ack()
	s.properties["response.code_details"] = []byte("upstream_response_timeout")
	s.respond("504", "")
	w.run()
	if last := w.take(wire.PathSuspend); also(last) != 2000 {
		t.Errorf("the last term of an unknown outcome: %d ms, want 2000", also(last))
	} else {
		last.ack()
	}

	w.down = true // into a journal that overflows
	for range maxJournal + 1 {
		s := w.stream("POST", "/messages", "ann")
		s.exchange.RequestHeaders(true)
		s.respond("200", "{}")
	}
	w.down = false
	if _, merged := w.takeClose(); also(merged) != 2000 {
		t.Errorf("the merged entry: %d ms, want 2000", also(merged))
	}
}

// Rules that join may name more groups than a call to the bridge takes: the write suspends everything, then, and not nothing.
func TestJoinedRulesFitACall(t *testing.T) {
	var caches, one, two, three []string
	for i := range 96 {
		name := fmt.Sprint("c", i)
		caches = append(caches, fmt.Sprintf(`%q: {"match": ["GET /c/%d"], "ttl": "60s", "shared": true}`, name, i))
		switch {
		case i < 32:
			one = append(one, `"`+name+`"`)
		case i < 64:
			two = append(two, `"`+name+`"`)
		default:
			three = append(three, `"`+name+`"`)
		}
	}
	document := fmt.Sprintf(`{"version": 1, "name": "chat", "bridge": {"cluster": "bridge"},
	  "caches": {"pages": {"match": ["GET /pages/{page}"], "ttl": "origin", "shared": true}, %s},
	  "invalidations": [
	    {"name": "post", "match": ["POST /pages/{page}"], "invalidate": [%s]},
	    {"name": "put", "match": ["PUT /pages/{page}"], "invalidate": [%s]},
	    {"name": "delete", "match": ["DELETE /pages/{page}"], "invalidate": [%s]}
	  ]}`, strings.Join(caches, ", "), strings.Join(one, ", "), strings.Join(two, ", "), strings.Join(three, ", "))
	for name, fields := range map[string][][2]string{
		"two rules and the URI": {{"x-http-method-override", "DELETE"}},
		"three rules":           {{"x-http-method-override", "DELETE"}, {"x-http-method", "PUT"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.plugin = w.configure(document)
			s := w.stream("POST", "/pages/1", "ann", fields...)
			s.exchange.RequestHeaders(true)
			suspend := w.take(wire.PathSuspend)
			if m := decoded(w, suspend, wire.DecodeSuspendRequest); !slices.Equal(m.Groups, []string{wire.GroupAll}) {
				t.Errorf("%d groups are suspended, want %q", len(m.Groups), wire.GroupAll)
			}
			suspend.ack()
			s.respond("200", "")
			s.exchange.Done()
			w.run()
			if m := decoded(w, w.take(wire.PathClose), wire.DecodeCloseRequest); !m.Raise || !slices.Equal(m.Groups, []string{wire.GroupAll}) {
				t.Errorf("%d groups are raised: %v, want %q", len(m.Groups), m.Raise, wire.GroupAll)
			}
		})
	}
}
