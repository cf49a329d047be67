package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"

	"github.com/google/go-cmp/cmp"
)

// control gives the VM's caches what an operator has set, by the feed.
func (w *world) control(c wire.Control) {
	w.t.Helper()
	w.take(wire.PathFollow).ok(wire.FollowAnswer{
		FeedAnswer: wire.FeedAnswer{Last: w.plugin.state.follower.cursor}, Controls: wire.Controls{Version: 1, All: c},
	}.Encode())
}

const stored = `{"n":1,"ts":1}`

// shadowed is a world in which ann's stats are stored and every hit is verified.
func shadowed(t *testing.T) *world { return shadowedWith(t, stored) }

// shadowedWith is the same with a body and fields of the test's own.
func shadowedWith(t *testing.T, body string, extra ...[2]string) *world {
	w := newWorld(t)
	w.lease()
	w.missed("ann").respond("200", body, extra...)
	w.run()
	store := w.take(wire.PathStore)
	store.ack()
	m := decoded(w, store, wire.DecodeStoreRequest)
	w.entry = m.Entry
	w.control(wire.Control{Verify: wire.Whole})
	return w
}

// withheld is a read of ann's stats that a stored response could answer, and doesn't.
func (w *world) withheld() *fakeStream {
	w.t.Helper()
	s := w.stream("GET", "/stats", "ann")
	if got := s.exchange.RequestHeaders(true); got != Continue || s.status != 0 {
		w.t.Fatalf("action %v, reply %d: it isn't forwarded", got, s.status)
	}
	return s
}

// found is what the bridge answers a lookup with where it has what was stored, with a body.
func (w *world) found(body string) []byte {
	w.t.Helper()
	entry, err := wire.DecodeEntry(w.entry)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := httpcache.DecodeResponse(entry.Payload)
	if err != nil {
		w.t.Fatal(err)
	}
	response.Body = []byte(body)
	entry.Payload = response.Append(nil)
	return wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Remaining: 500_000, Entry: entry.Encode(),
	}.Encode()
}

// wantVerified compares what was counted of the cache stats: would-be hits, matches, mismatches, uncompared.
func (w *world) wantVerified(wouldHits, matches, mismatches, uncompared uint64) {
	w.t.Helper()
	c := w.plugin.state.tally.of("stats")
	got := []uint64{c[wire.CountWouldHits], c[wire.CountMatches], c[wire.CountMismatches], c[wire.CountUncompared]}
	if diff := cmp.Diff([]uint64{wouldHits, matches, mismatches, uncompared}, got); diff != "" {
		w.t.Errorf("would-be hits, matches, mismatches, uncompared:\n%s", diff)
	}
	for name, want := range map[string]uint64{"would_hits": wouldHits, "matches": matches, "mismatches": mismatches, "uncompared": uncompared} {
		if w.counts["chatcache.cache.stats."+name] != want {
			w.t.Errorf("metric %s is %d, want %d", name, w.counts["chatcache.cache.stats."+name], want)
		}
	}
	if w.plugin.state.captured != 0 {
		w.t.Errorf("%d bytes are still reserved", w.plugin.state.captured)
	}
}

// The client gets the origin's answer, which is compared with the stored one and not stored.
func TestVerifyMatches(t *testing.T) {
	w := shadowed(t)
	s := w.withheld()
	s.respond("200", ` {"ts":1, "n":1}`)
	s.wants("chatcache; fwd=bypass; detail=verify")
	w.run()
	w.none(wire.PathLookup)
	w.none(wire.PathStore)
	w.wantVerified(1, 1, 0, 0)
	w.control(wire.Control{})
	after := w.stream("GET", "/stats", "ann")
	after.exchange.RequestHeaders(true)
	after.wants("chatcache; hit; ttl=600; detail=l1")
	if string(after.reply) != stored {
		t.Errorf("answered with %s: the stored response isn't what it was", after.reply)
	}
}

// What differs is a mismatch if the bridge still has the same stored response as valid after
// the origin has answered; the log says where, and has no value.
func TestVerifyMismatch(t *testing.T) {
	w := shadowed(t)
	s := w.withheld()
	s.respond("200", `{"n":4711,"ts":1}`)
	w.wantVerified(1, 0, 0, 0)
	w.run()
	lookup := w.take(wire.PathLookup)
	if asked, _ := wire.DecodeLookupRequest(lookup.frame); lookup.owner != "root" || asked.Fetch != "" {
		t.Errorf("asked by %s with the fetch lease %q", lookup.owner, asked.Fetch)
	}
	lookup.ok(w.found(stored))
	w.wantVerified(1, 0, 1, 0)
	want := []string{"chatcache: verify: cache stats: the origin doesn't answer what is stored: it differs at /n"}
	if diff := cmp.Diff(want, w.warned); diff != "" {
		t.Error(diff)
	}
}

// A write between the lookup and the origin's answer is no mismatch, wherever it is noticed.
func TestVerifyAfterAWrite(t *testing.T) {
	recheck := func(answer func(w *world, c *call)) func(w *world) {
		return func(w *world) {
			w.run()
			answer(w, w.take(wire.PathLookup))
		}
	}
	for name, then := range map[string]func(w *world){
		"suspended": recheck(func(_ *world, c *call) {
			c.ok(wire.LookupAnswer{State: wire.LookupSuspended, Ticket: wire.Ticket{Epoch: 9, Sequence: 2}}.Encode())
		}),
		"raised":             recheck(func(_ *world, c *call) { c.miss(2) }),
		"stored anew":        recheck(func(w *world, c *call) { c.ok(w.found(`{"n":2,"ts":1}`)) }),
		"not known":          recheck(func(_ *world, c *call) { c.fails() }),
		"the bridge is gone": func(w *world) { w.down = true; w.run() },
		"the plugin ends": func(w *world) {
			w.run()
			w.plugin.Close()
			w.take(wire.PathLookup).ok(w.found(stored)) // it may stay until its writes are delivered
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := shadowed(t)
			w.withheld().respond("200", `{"n":2,"ts":1}`)
			then(w)
			w.wantVerified(1, 0, 0, 1)
			if len(w.warned) > 0 {
				t.Errorf("logged %q", w.warned)
			}
		})
	}
	t.Run("heard of before the answer", func(t *testing.T) {
		w := shadowed(t)
		s := w.withheld()
		w.feed(2, wire.Event{Sequence: 2, Kind: wire.EventSuspend, Groups: []string{"c:stats"}})
		s.respond("200", `{"n":2,"ts":1}`)
		w.run()
		w.none(wire.PathLookup)
		w.wantVerified(1, 0, 0, 1)
	})
	t.Run("of this VM, not delivered", func(t *testing.T) {
		w := shadowed(t)
		s := w.withheld()
		w.down = true
		write := w.stream("POST", "/messages", "ann")
		write.exchange.RequestHeaders(true)
		write.respond("200", "{}")
		s.respond("200", `{"n":2,"ts":1}`)
		w.wantVerified(1, 0, 0, 1)
	})
}

// What the origin's answer is compared by, and which answers say nothing of what is stored.
func TestVerifyCompares(t *testing.T) {
	const whole = stored
	tests := []struct {
		name    string
		answer  func(s *fakeStream)
		differs string // what the log says; "" for a match or none
		matches bool
	}{
		{"the same", func(s *fakeStream) { s.respond("200", whole) }, "", true},
		{"not JSON", func(s *fakeStream) { s.respond("200", "<html>") }, "its body differs, and one of both isn't JSON", false},
		{"another status", func(s *fakeStream) { s.respond("403", whole) }, "its status is 403 instead of 200", false},
		{"another document", func(s *fakeStream) { s.respond("200", "[]") }, "it differs at (the whole document)", false},
		{"much", func(s *fakeStream) { s.respond("200", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1}`) },
			"it differs at /a, /b, /c, /d, /e, /f, /g, /h and elsewhere", false},
		{"the origin fails", func(s *fakeStream) { s.respond("500", whole) }, "", false},
		{"the origin waits in vain", func(s *fakeStream) { s.respond("408", "{}") }, "", false},
		{"the origin refuses", func(s *fakeStream) { s.respond("429", "{}") }, "", false},
		{"a coding", func(s *fakeStream) { s.respond("200", "\x1f\x8b", [2]string{"content-encoding", "gzip"}) }, "", false},
		{"the proxy answers", func(s *fakeStream) {
			s.properties["response.code_details"] = []byte("rbac_access_denied")
			s.respond("403", "{}")
		}, "", false},
		{"too large", func(s *fakeStream) { s.respond("200", `{"a":"`+strings.Repeat("a", 4<<10)+`"}`) }, "", false},
		{"too large, unannounced", func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			for range 9 {
				s.send(strings.Repeat("a", 1<<10), false)
			}
			s.exchange.Done()
		}, "", false},
		{"its end can't be known", func(s *fakeStream) {
			s.head("200")
			s.send("{}", true)
			s.exchange.Done()
		}, "", false},
		{"cut off", func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "9"})
			s.send("{}", false)
			s.exchange.Done()
		}, "", false},
		{"trailers", func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.send("{}", false)
			s.exchange.ResponseTrailers()
			s.exchange.Done()
		}, "", false},
		{"the client leaves", func(s *fakeStream) { s.exchange.Done() }, "", false},
		{"a panic", func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "9"})
			s.exchange.Abandon()
			s.exchange.Done()
		}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := shadowed(t)
			s := w.withheld()
			tt.answer(s)
			w.run()
			wouldHits := uint64(1)
			if tt.name == "the client leaves" {
				wouldHits = 0
			}
			switch {
			case tt.matches:
				w.wantVerified(wouldHits, 1, 0, 0)
			case tt.differs == "":
				w.none(wire.PathLookup)
				w.wantVerified(wouldHits, 0, 0, 1)
			default:
				w.take(wire.PathLookup).ok(w.found(stored))
				w.wantVerified(wouldHits, 0, 1, 0)
				if len(w.warned) != 1 || !strings.HasSuffix(w.warned[0], ": "+tt.differs) {
					t.Errorf("logged %q, want %q", w.warned, tt.differs)
				}
			}
		})
	}
}

// A coding hides what differs, whichever of both has it, and not that nothing does.
func TestVerifyOfACodedResponse(t *testing.T) {
	gzip := [2]string{"content-encoding", "gzip"}
	w := shadowedWith(t, "\x1f\x8b1", gzip)
	w.withheld().respond("200", stored)
	w.wantVerified(1, 0, 0, 1)
	w.withheld().respond("200", "\x1f\x8b1", gzip)
	w.wantVerified(2, 1, 0, 1)
	w.run()
	w.none(wire.PathLookup)
}

// A response without a body ends with its header section, and is compared.
func TestVerifyOfAnEmptyBody(t *testing.T) {
	w := shadowedWith(t, "")
	s := w.withheld()
	s.fields = httpcache.Fields{{":status", "200"}, {"content-length", "0"}}
	s.exchange.ResponseHeaders(true)
	s.exchange.Done()
	w.wantVerified(1, 1, 0, 0)
}

// A response that Redis has is verified like one of L1. Who waits for it is not withheld from for the
// leader's sake: the leader hands on as if it had been answered.
func TestVerifyOfL2AndOfThoseWhoWait(t *testing.T) {
	w := shadowed(t)
	w.plugin.state.l1.Clear()
	leader, waiter := w.stream("GET", "/stats", "ann"), w.stream("GET", "/stats", "ann")
	for _, s := range []*fakeStream{leader, waiter} {
		if s.exchange.RequestHeaders(true) != PauseAll {
			t.Fatal("not held")
		}
	}
	w.take(wire.PathLookup).ok(w.found(stored))
	if leader.resumed != 1 || leader.status != 0 {
		t.Errorf("resumed %d times, reply %d", leader.resumed, leader.status)
	}
	w.run() // a round for those who wait: L1 has it now
	if waiter.resumed != 1 || waiter.status != 0 {
		t.Errorf("who waited was resumed %d times, reply %d", waiter.resumed, waiter.status)
	}
	leader.respond("200", stored)
	waiter.respond("200", stored)
	waiter.wants("chatcache; fwd=bypass; detail=verify")
	w.wantVerified(2, 2, 0, 0)
	w.none(wire.PathStore)
	w.none(wire.PathRelease)
}

// However many differ, the log has a line a second, which counts the others, and the bridge has a
// bounded number of questions.
func TestMismatchesAreBounded(t *testing.T) {
	w := shadowed(t)
	mismatch := func() {
		w.withheld().respond("200", `{"n":2,"ts":1}`)
		w.run()
		w.take(wire.PathLookup).ok(w.found(stored))
	}
	for range 3 {
		mismatch()
	}
	w.now += mismatchLogEvery
	mismatch()
	const line = "chatcache: verify: cache stats: the origin doesn't answer what is stored: it differs at /n"
	if diff := cmp.Diff([]string{line, line + "; 2 more since the last such line"}, w.warned); diff != "" {
		t.Error(diff)
	}
	w.now += mismatchLogEvery
	mismatch()
	if last := w.warned[len(w.warned)-1]; last != line {
		t.Errorf("what was said once is said again: %s", last)
	}
	w.wantVerified(5, 0, 5, 0)
	for range maxRechecks + 5 {
		w.withheld().respond("200", `{"n":2,"ts":1}`)
	}
	w.wantVerified(maxRechecks+10, 0, 5, 5)
	w.run() // they are asked for now
	w.withheld().respond("200", `{"n":2,"ts":1}`)
	w.wantVerified(maxRechecks+11, 0, 5, 6)
}

// What is compared is in the budget of what is captured. Without room a stored response answers, or ends uncompared; and so does what is larger
// than the cache may store.
func TestComparisonsHaveABudget(t *testing.T) {
	w := shadowed(t)
	captured := &w.plugin.state.captured
	*captured = maxCaptured
	full := w.stream("GET", "/stats", "ann")
	if full.exchange.RequestHeaders(true); full.status != 200 {
		t.Errorf("reply %d: it is kept to be compared, without room for it", full.status)
	}
	*captured = 0
	s := w.withheld()
	kept := *captured
	*captured = maxCaptured
	s.respond("200", stored)
	if *captured != maxCaptured-kept {
		t.Errorf("%d bytes are captured, want %d", *captured, maxCaptured-kept)
	}
	*captured = 0
	s = w.withheld()
	s.head("200", [2]string{"content-length", "5000"})
	if *captured != 0 {
		t.Errorf("%d bytes are kept for what is too large, while its client takes it", *captured)
	}
	s.exchange.Done()
	w.wantVerified(2, 0, 0, 2)
}

// A share of the would-be hits is verified; the others are answered.
func TestVerifySample(t *testing.T) {
	w := shadowed(t)
	w.control(wire.Control{Verify: 2500})
	verified := 0
	for range 4000 {
		s := w.stream("GET", "/stats", "ann")
		if s.exchange.RequestHeaders(true) == Continue {
			verified++
			s.respond("200", stored)
		}
	}
	if verified < 850 || verified > 1150 { // 25 % ± 5 standard deviations
		t.Errorf("%d of 4000 were verified", verified)
	}
}

// Observed, everything is forwarded, and what could have been answered is counted.
func TestObserve(t *testing.T) {
	w := shadowed(t)
	w.control(wire.Control{Observe: true})
	for i := range 3 {
		s := w.withheld()
		w.now += time.Millisecond
		s.respond("200", fmt.Sprint(i))
		s.wants("chatcache; fwd=bypass; detail=observe")
	}
	w.run()
	w.none(wire.PathLookup)
	w.none(wire.PathStore)
	w.wantVerified(3, 0, 0, 0)
}

// The origin's answer to a part, to HEAD or to who has it already isn't what is stored, and isn't compared.
func TestPartsAreNotVerified(t *testing.T) {
	for _, test := range []struct {
		method string
		field  [2]string
	}{{"HEAD", [2]string{"a", ""}}, {"GET", [2]string{"range", "bytes=0-1"}}, {"GET", [2]string{"if-none-match", `"x"`}}} {
		w := shadowed(t)
		s := w.stream(test.method, "/stats", "ann", test.field)
		s.exchange.RequestHeaders(true)
		if s.status == 0 {
			t.Errorf("%s with %s is forwarded to be compared", test.method, test.field[0])
		}
		w.wantVerified(0, 0, 0, 0)
	}
}

// A request that was held for its body is let go like any other.
func TestObserveOfABodyKeyedRead(t *testing.T) {
	w := newWorld(t)
	w.lease()
	ask := func() (*fakeStream, Action) {
		s := w.stream("POST", "/flags", "ann", asJSON)
		s.body = []byte(`{"user":1}`)
		s.exchange.RequestHeaders(false)
		return s, s.exchange.RequestBody(len(s.body), true)
	}
	first, _ := ask()
	w.take(wire.PathLookup).miss(1)
	first.respond("200", "flags")
	w.control(wire.Control{Observe: true})
	s, got := ask()
	if got != Continue || s.exchange.phase != flowing {
		t.Errorf("action %v, phase %v, want that it flows", got, s.exchange.phase)
	}
	s.respond("200", "flags")
	s.wants("chatcache; fwd=bypass; detail=observe")
}

// Whoever is slow to take an answer that is compared keeps others from nothing either: with the copy of the answer the stored one goes.
func TestSlowComparisonsGiveWay(t *testing.T) {
	w := shadowed(t)
	captured := &w.plugin.state.captured
	length := func(n int) [2]string { return [2]string{"content-length", strconv.Itoa(n)} }
	slow := w.withheld()
	kept := *captured
	slow.head("200", length(len(stored)))
	*captured += maxCaptured - kept - len(stored)
	w.now += slowCapture + time.Millisecond
	bob := w.missed("bob")
	bob.head("200", length(kept+len(stored)))
	bob.wants("chatcache; fwd=uri-miss; stored")
	slow.send(stored, true)
	slow.exchange.Done()
	bob.exchange.Done()
	*captured -= maxCaptured - kept - len(stored)
	w.wantVerified(1, 0, 0, 1)
}
