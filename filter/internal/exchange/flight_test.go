package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

const (
	collapsed  = "chatcache; fwd=uri-miss; collapsed; ttl=600; detail="
	byItself   = "chatcache; fwd=uri-miss; collapsed=?0; stored"
	missStored = "chatcache; fwd=uri-miss; stored"
)

func (c *call) answer(a wire.LookupAnswer) {
	a.Ticket = wire.Ticket{Epoch: 9, Sequence: 1}
	c.ok(a.Encode())
}

func (c *call) granted() { c.answer(wire.LookupAnswer{State: wire.LookupMiss, Granted: true}) }
func (c *call) leased()  { c.answer(wire.LookupAnswer{State: wire.LookupLeased}) }

// hit answers with a response of the cache, stored just now.
func (c *call) hit(w *world, cache, body string, more ...string) {
	w.t.Helper()
	c.answer(wire.LookupAnswer{State: wire.LookupHit, Remaining: 600_000, Entry: w.entryOf(cache, append(c.lookup(w).Groups, more...), body)})
}

// entryOf is the entry of a response of the cache that belongs to the groups.
func (w *world) entryOf(cache string, groups []string, body string) []byte {
	return wire.Entry{
		Head:    wire.Head{Definition: w.plugin.Policy.Cache(cache).Definition, Groups: groups},
		Payload: httpcache.Response{Status: 200, Freshness: httpcache.Freshness{Lifetime: 600}, Body: []byte(body)}.Append(nil),
	}.Encode()
}

func (c *call) lookup(w *world) wire.LookupRequest {
	w.t.Helper()
	return decoded(w, c, wire.DecodeLookupRequest)
}

// begin sends a read of one user and wants it held.
func (w *world) begin(path string) *fakeStream {
	w.t.Helper()
	s := w.stream("GET", path, "ann")
	if got := s.exchange.RequestHeaders(true); got != PauseAll || s.status != 0 {
		w.t.Fatalf("action %v, reply %d, want a held request", got, s.status)
	}
	return s
}

// herd is a leader that fetches, and some reads that wait for it.
func (w *world) herd(path string, waiters int) (leader *fakeStream, waiting []*fakeStream) {
	w.t.Helper()
	leader = w.begin(path)
	for range waiters {
		waiting = append(waiting, w.begin(path))
	}
	w.take(wire.PathLookup).granted()
	w.none(wire.PathLookup)
	if leader.resumed != 1 {
		w.t.Fatal("the leader wasn't let go")
	}
	return leader, waiting
}

// settle runs the root context until it has nothing to do.
func (w *world) settle() {
	for w.wakes > 0 {
		w.wakes = 0
		w.run()
	}
}

func (w *world) held(streams ...*fakeStream) {
	w.t.Helper()
	for _, s := range streams {
		if s.resumed != 0 || s.status != 0 {
			w.t.Errorf("%s: resumed %d, reply %d, want it held", s.name, s.resumed, s.status)
		}
	}
}

// forwarded wants the reads let go, and answers them.
func (w *world) forwarded(status string, streams ...*fakeStream) {
	w.t.Helper()
	for _, s := range streams {
		if s.resumed != 1 {
			w.t.Errorf("%s: resumed %d times, reply %d, want it let go", s.name, s.resumed, s.status)
			continue
		}
		s.respond("200", "from the origin")
		s.wants(status)
	}
}

func (w *world) answered(status, body string, streams ...*fakeStream) {
	w.t.Helper()
	for _, s := range streams {
		if s.status != 200 || string(s.reply) != body {
			w.t.Errorf("%s: reply %d %q, resumed %d, want %q", s.name, s.status, s.reply, s.resumed, body)
		}
		s.wants(status)
		s.exchange.Done()
	}
}

// nothingLeft wants no flight, nobody who waits, and nothing captured.
func (w *world) nothingLeft() {
	w.t.Helper()
	fs := w.plugin.state.flights
	if len(fs.current) != 0 || fs.waiting != 0 || fs.held != 0 || len(fs.decided) != 0 || w.plugin.state.captured != 0 {
		w.t.Errorf("left: %d flights, %d waiting, %d held, %d decided, %d bytes captured",
			len(fs.current), fs.waiting, fs.held, len(fs.decided), w.plugin.state.captured)
	}
}

func TestWaitersAreAnsweredFromL1WhenTheResponseIsWhole(t *testing.T) {
	w := newWorld(t)
	w.lease()
	leader, waiting := w.herd("/stats", 40)
	leader.head("200", [2]string{"content-length", "3"})
	w.settle()
	w.held(waiting...)
	leader.send("one", true)
	leader.exchange.Done()
	w.run()
	if got := w.plugin.state.flights.waiting; got != 0 {
		t.Errorf("%d wait", got)
	}
	w.held(waiting[maxLetGo:]...) // the others' turn comes in the runs that follow
	w.settle()
	leader.wants(missStored)
	w.answered(collapsed+"l1", "one", waiting...)
	store, err := wire.DecodeStoreRequest(w.take(wire.PathStore).frame)
	if err != nil || store.Fetch == "" {
		t.Errorf("stored with fetch id %q (%v)", store.Fetch, err)
	}
	if n := w.counts["chatcache.cache.stats.collapsed"]; n != 40 {
		t.Errorf("%d collapsed", n)
	}
}

// Without L1 they get what a lookup finds that was sent after the store was acknowledged.
func TestWaitersLookUpAfterTheStore(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/deep", 3)
	leader.respond("200", "one")
	w.settle()
	w.none(wire.PathLookup)
	w.held(waiting...)
	late := w.begin("/deep") // while the store is on its way
	w.take(wire.PathStore).ack()
	w.settle()
	lookup := w.take(wire.PathLookup)
	w.none(wire.PathLookup)
	tooLate := w.begin("/deep")
	lookup.hit(w, "deep", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", append(waiting, late)...)
	w.held(tooLate) // that lookup was sent before it came
	w.take(wire.PathLookup).hit(w, "deep", "two")
	w.settle()
	w.answered(collapsed+"l2", "two", tooLate)
	w.nothingLeft()
}

func TestOtherKeysDoNotWait(t *testing.T) {
	w := newWorld(t)
	w.herd("/stats", 0)
	w.begin("/stats?page=2")
	w.take(wire.PathLookup).granted()
	s := w.stream("GET", "/stats", "bob")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).granted()
}

// Wherever the leader is lost, the first of those who wait leads in its place; with the
// same id, for which the bridge gives the lease again.
func TestLeaderLeaves(t *testing.T) {
	for name, lost := range map[string]func(w *world, leader *fakeStream){
		"after its lookup": func(w *world, l *fakeStream) { l.exchange.Done() },
		"within the response": func(w *world, l *fakeStream) {
			l.head("200", [2]string{"content-length", "9"})
			l.send("one", false)
			l.exchange.Done()
		},
		"at the end": func(w *world, l *fakeStream) {
			l.head("200", [2]string{"content-length", "9"})
			l.send("one", true)
			l.exchange.Done()
		},
		"by a panic": func(w *world, l *fakeStream) { l.head("200", [2]string{"content-length", "9"}); l.exchange.Abandon() },
		"by a local reply": func(w *world, l *fakeStream) {
			l.properties["response.code_details"] = []byte("direct_response")
			l.respond("200", "one")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			leader, waiting := w.herd("/stats", 3)
			fetch := w.plugin.state.flights.current[w.onlyFlight()].fetch
			lost(w, leader)
			w.settle()
			w.held(waiting...)
			lookup := w.take(wire.PathLookup)
			if got := lookup.lookup(w); got.Fetch != fetch || got.Wait != 0 {
				t.Errorf("the next lookup asks with %q and waits %d ms, want %q and 0", got.Fetch, got.Wait, fetch)
			}
			lookup.granted()
			w.settle()
			w.forwarded(byItself, waiting[0])
			w.settle()
			w.answered(collapsed+"l1", "from the origin", waiting[1:]...)
			w.none(wire.PathRelease)
			w.take(wire.PathStore).ack()
			w.settle()
			w.nothingLeft()
		})
	}
}

func (w *world) onlyFlight() string {
	w.t.Helper()
	if n := len(w.plugin.state.flights.current); n != 1 {
		w.t.Fatalf("%d flights", n)
	}
	for key := range w.plugin.state.flights.current {
		return key
	}
	return ""
}

// The proxy never calls a stream back that has gone: also then nobody waits for it.
func TestLeaderLeavesBeforeItsLookupIsAnswered(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.begin("/stats"), []*fakeStream{w.begin("/stats"), w.begin("/stats")}
	leader.exchange.Done()
	w.take(wire.PathLookup)
	w.settle()
	w.take(wire.PathLookup).granted()
	w.settle()
	w.forwarded(byItself, waiting[0])
	w.settle()
	w.take(wire.PathStore).ack()
	w.settle()
	w.take(wire.PathLookup).hit(w, "stats", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", waiting[1])
	w.nothingLeft()
}

// Nobody waits: the lease goes back, so that other VMs needn't wait for its end.
func TestLeaderLeavesAlone(t *testing.T) {
	w := newWorld(t)
	leader, _ := w.herd("/stats", 0)
	leader.exchange.Done()
	w.settle()
	release := w.take(wire.PathRelease)
	if m, err := wire.DecodeReleaseRequest(release.frame); err != nil || m.Mark != 0 || m.Fetch == "" {
		t.Errorf("released with %+v (%v)", m, err)
	}
	release.ack()
	w.settle()
	w.nothingLeft()
}

// A response that can't be stored lets everybody go, and leaves a mark.
func TestUnstorableResponse(t *testing.T) {
	for name, test := range map[string]struct {
		respond func(s *fakeStream)
		mark    int64
	}{
		"no-store": {func(s *fakeStream) { s.head("200", [2]string{"cache-control", "no-store"}) }, 5000},
		"404":      {func(s *fakeStream) { s.head("404") }, 5000},
		"500":      {func(s *fakeStream) { s.head("500") }, 1000},
		"too large": {func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.send(strings.Repeat("x", 5000), false)
		}, 5000},
		"trailers": {func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.exchange.ResponseTrailers()
		}, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			leader, waiting := w.herd("/stats", 3)
			test.respond(leader)
			w.settle()
			release := w.take(wire.PathRelease)
			if m, _ := wire.DecodeReleaseRequest(release.frame); m.Mark != test.mark {
				t.Errorf("a mark of %d ms, want %d", m.Mark, test.mark)
			}
			w.forwarded(byItself, waiting...)
			alone := w.begin("/stats") // before the mark is there
			w.take(wire.PathLookup).miss(1)
			w.forwarded(missStored, alone)
			release.ack()
			w.settle()
			w.nothingLeft()
		})
	}
}

// Under the mark each read goes its own way, and what can be stored after all is.
func TestNobodyWaitsUnderTheMark(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin("/stats"), w.begin("/stats")
	w.take(wire.PathLookup).miss(1)
	if first.resumed != 1 {
		t.Error("the first wasn't let go")
	}
	w.settle()
	w.take(wire.PathLookup).miss(1)
	w.settle()
	w.forwarded(byItself, second)
	w.forwarded(missStored, first)
	w.begin("/stats")
	w.take(wire.PathLookup)
}

// What lets the leader bypass lets everybody bypass, at once.
func TestOneFailureLetsEverybodyGo(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(c *call)
		reason string
	}{
		"unreachable": {(*call).fails, "bridge-unreachable"},
		"timeout":     {func(c *call) { c.done(Answer{Status: "504"}) }, "bridge-timeout"},
		"garbage":     {func(c *call) { c.ok([]byte("<html>")) }, "bridge-error"},
		"suspended":   {func(c *call) { c.answer(wire.LookupAnswer{State: wire.LookupSuspended}) }, "write-in-flight"},
	} {
		t.Run("leader: "+name, func(t *testing.T) {
			w := newWorld(t)
			reads := []*fakeStream{w.begin("/stats"), w.begin("/stats"), w.begin("/stats")}
			w.settle() // nothing else wakes the root context
			test.answer(w.take(wire.PathLookup))
			w.settle()
			w.none(wire.PathLookup)
			w.forwarded("chatcache; fwd=bypass; detail="+test.reason, reads...)
			w.nothingLeft()
		})
		t.Run("round: "+name, func(t *testing.T) {
			w := newWorld(t)
			leader, waiting := w.herd("/stats", 3)
			leader.exchange.Done()
			w.settle()
			waiting = append(waiting, w.begin("/stats"))
			test.answer(w.take(wire.PathLookup))
			w.settle()
			w.none(wire.PathLookup)
			w.forwarded("chatcache; fwd=bypass; detail="+test.reason, waiting...)
			w.nothingLeft()
		})
	}
	w := newWorld(t)
	leader, waiting := w.herd("/stats", 2)
	w.down = true
	leader.exchange.Done()
	w.settle()
	w.forwarded("chatcache; fwd=bypass; detail=bridge-unreachable", waiting...)
	w.nothingLeft()
	if n := w.counts["chatcache.cache.stats.errors"]; n == 0 {
		t.Error("a round that couldn't be sent isn't counted")
	}
}

// A store that the bridge doesn't take costs a fetch, by the next in line.
func TestStoreFails(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/deep", 2)
	leader.respond("200", "one")
	w.settle()
	w.take(wire.PathStore).fails()
	w.settle()
	w.take(wire.PathLookup).granted()
	w.settle()
	w.forwarded(byItself, waiting[0])
	w.held(waiting[1])
}

// A write makes what is fetched useless for reads that come after it; they don't wait for it.
func TestAWriteBeginsAnotherFlight(t *testing.T) {
	for name, write := range map[string]func(w *world){
		"of this VM":     func(w *world) { w.stream("POST", "/messages", "ann").exchange.RequestHeaders(true) },
		"of the feed":    func(w *world) { w.feed(2, event(2, wire.EventSuspend, partitionGroup(w, "ann"))) },
		"a feed's reset": func(w *world) { w.feed(7) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			leader, waiting := w.herd("/stats", 2)
			write(w)
			after := w.begin("/stats")
			another := w.begin("/stats")
			lookup := w.take(wire.PathLookup)
			w.none(wire.PathLookup)
			lookup.granted()
			leader.respond("200", "old")
			w.settle()
			w.held(append(waiting, another)...)
			w.take(wire.PathStore).ack()
			w.settle()
			// Those who waited before the write look up, too: what they may get is Redis' to say.
			w.take(wire.PathLookup).hit(w, "stats", "new")
			w.settle()
			w.answered(collapsed+"l2", "new", waiting...)
			w.forwarded(missStored, after)
			w.held(another)
		})
	}
}

// Another VM fetches: the first round is asked to wait at the bridge, and reads that come
// meanwhile wait behind it.
func TestAnotherVMFetches(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin("/stats"), w.begin("/stats")
	w.now = 500 * time.Millisecond
	w.take(wire.PathLookup).leased()
	w.held(first, second)
	w.settle()
	lookup := w.take(wire.PathLookup)
	if got := lookup.lookup(w); got.Wait != 1500 || got.Fetch == "" || lookup.owner != "root" {
		t.Errorf("%s waits %d ms with fetch id %q, want root, 1500", lookup.owner, got.Wait, got.Fetch)
	}
	third := w.begin("/stats")
	w.none(wire.PathLookup)
	lookup.hit(w, "stats", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", first, second)
	w.take(wire.PathLookup).hit(w, "stats", "two") // no lease on the feed: L1 isn't used
	w.settle()
	w.answered(collapsed+"l2", "two", third)
	w.nothingLeft()
}

// The other VM died: the lease's end lets one of those who wait lead.
func TestAnotherVMDies(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin("/stats"), w.begin("/stats")
	w.take(wire.PathLookup).leased()
	w.settle()
	w.take(wire.PathLookup).granted()
	w.settle()
	if first.resumed != 1 {
		t.Fatal("nobody leads")
	}
	w.held(second)
	first.exchange.Done()
	w.settle()
	if got := w.take(wire.PathLookup).lookup(w).Wait; got != 0 {
		t.Errorf("the lease is the VM's own, and it waits %d ms for its end", got)
	}
}

// A leader that takes longer than its lease isn't waited for by reads that come then.
func TestSlowLeader(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/deep", 1)
	leader.head("200", [2]string{"transfer-encoding", "chunked"})
	w.now = 999 * time.Millisecond
	waiting = append(waiting, w.begin("/deep"))
	w.none(wire.PathLookup)
	w.now = time.Second
	later := w.begin("/deep")
	w.take(wire.PathLookup).hit(w, "deep", "of another VM")
	w.answered("chatcache; hit; ttl=600; detail=l2", "of another VM", later)
	leader.send("one", true)
	leader.exchange.Done()
	w.settle()
	w.take(wire.PathStore).ack()
	w.settle()
	w.take(wire.PathLookup).hit(w, "deep", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", waiting...)
	w.nothingLeft()
}

// Whatever happens, nobody waits for longer than max_wait and a tick.
func TestMaxWait(t *testing.T) {
	for name, stuck := range map[string]func(w *world) []*fakeStream{
		"slow origin": func(w *world) []*fakeStream { _, waiting := w.herd("/stats", 20); return waiting },
		"slow store": func(w *world) []*fakeStream {
			l, waiting := w.herd("/deep", 20)
			l.respond("200", "one")
			w.settle()
			return waiting
		},
		"lost round": func(w *world) []*fakeStream {
			l, waiting := w.herd("/stats", 20)
			l.exchange.Done()
			w.settle()
			return waiting
		},
		"another VM": func(w *world) []*fakeStream {
			waiting := []*fakeStream{w.begin("/stats")}
			w.take(wire.PathLookup).leased()
			w.settle()
			return waiting
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			waiting := stuck(w)
			w.now = 1999 * time.Millisecond
			w.run()
			w.settle()
			w.held(waiting...)
			w.now = 2000 * time.Millisecond
			w.run()
			w.settle()
			w.forwarded(byItself, waiting...)
			if n := w.counts["chatcache.cache.stats.collapse_timeouts"] + w.counts["chatcache.cache.deep.collapse_timeouts"]; n != uint64(len(waiting)) {
				t.Errorf("%d timeouts counted", n)
			}
		})
	}
	w := newWorld(t) // no lookup was ever answered: there is no ticket to store with
	w.begin("/stats")
	s := w.begin("/stats")
	w.now = 2 * time.Second
	w.run()
	w.forwarded("chatcache; fwd=uri-miss; collapsed=?0; detail=collapse-timeout", s)
}

// When its wait at the bridge is over, the round is asked again for those who came later.
func TestTheWaitAtTheBridgeEnds(t *testing.T) {
	w := newWorld(t)
	first := w.begin("/stats")
	w.take(wire.PathLookup).leased()
	w.settle()
	w.now = time.Second
	second := w.begin("/stats")
	w.now = 2001 * time.Millisecond
	w.take(wire.PathLookup).leased()
	w.settle()
	w.forwarded(byItself, first)
	w.held(second)
	if got := w.take(wire.PathLookup).lookup(w).Wait; got != 999 {
		t.Errorf("the next round waits %d ms, want 999", got)
	}
}

// A bridge that doesn't hold the call, since it drains or holds too many, isn't asked in circles.
func TestABridgeThatDoesNotHold(t *testing.T) {
	w := newWorld(t)
	reads := []*fakeStream{w.begin("/stats"), w.begin("/stats")}
	w.take(wire.PathLookup).leased()
	w.settle()
	w.now = time.Millisecond
	w.take(wire.PathLookup).leased()
	w.settle()
	w.none(wire.PathLookup)
	w.forwarded(byItself, reads...)
	w.nothingLeft()
}

func TestWaitersAreBounded(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/stats", maxWaiters)
	alone := w.begin("/stats")
	lookup := w.take(wire.PathLookup)
	if got := lookup.lookup(w); got.Fetch != "" {
		t.Error("a read beyond the bound asks for the lease")
	}
	lookup.miss(1)
	w.forwarded(missStored, alone)
	leader.exchange.Done()
	for _, s := range waiting {
		s.exchange.Done()
	}
	w.settle()
	w.calls = nil

	fs := &w.plugin.state.flights
	fs.waiting = maxWaiting
	w.begin("/deep")
	w.take(wire.PathLookup)
	w.begin("/deep")
	w.take(wire.PathLookup) // doesn't wait, either

	w = newWorld(t)
	for i := range maxFlights + 10 {
		w.begin(fmt.Sprint("/stats?", i))
		w.calls = nil
	}
	if n := len(w.plugin.state.flights.current); n != maxFlights {
		t.Errorf("%d flights", n)
	}
}

// A waiter that leaves, or is answered by the proxy itself, is forgotten.
func TestWaiterLeaves(t *testing.T) {
	w := newWorld(t)
	w.lease()
	leader, waiting := w.herd("/stats", 3)
	waiting[0].exchange.Done()
	waiting[1].answeredByProxy()
	waiting[1].exchange.Done()
	leader.respond("200", "one")
	waiting[2].gone = true // decided on, and gone before its turn comes
	w.settle()
	if waiting[0].status+waiting[1].status+waiting[2].status != 0 {
		t.Error("a stream that has gone was answered")
	}
	w.take(wire.PathStore).ack()
	w.settle()
	w.nothingLeft()
}

// The proxy may answer a waiter by itself when it is decided on and its turn hasn't come: then it is left alone.
func TestProxyAnswersAWaiterBeforeItsTurn(t *testing.T) {
	for name, decided := range map[string]func(leader *fakeStream){
		"an answer": func(l *fakeStream) { l.respond("200", "one") },
		"let go":    func(l *fakeStream) { l.head("404") },
	} {
		w := newWorld(t)
		w.lease()
		leader, waiting := w.herd("/stats", maxLetGo+1)
		decided(leader)
		w.run()
		last := waiting[maxLetGo]
		w.held(last)
		last.answeredByProxy()
		w.settle()
		if last.status != 0 || last.resumed != 0 {
			t.Errorf("%s: the proxy has answered it, and then: reply %d, resumed %d times", name, last.status, last.resumed)
		}
	}
}

// The end of a fetch that reads aren't waiting for any more, since a write came, doesn't end their waiting for the next one.
func TestEndOfAnEarlierFetch(t *testing.T) {
	w := newWorld(t)
	w.lease()
	earlier, _ := w.herd("/stats", 0)
	w.feed(2, event(2, wire.EventSuspend, partitionGroup(w, "ann")))
	w.herd("/stats", 1)
	earlier.exchange.Done()
	w.settle()
	w.take(wire.PathRelease).ack()
	w.settle()
	w.begin("/stats")
	w.none(wire.PathLookup)
}

// The leader that is chosen may have gone when its turn comes.
func TestTheNextLeaderLeaves(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/stats", 2)
	leader.exchange.Done()
	w.settle()
	w.take(wire.PathLookup).granted()
	waiting[0].exchange.Done()
	w.settle()
	w.take(wire.PathLookup).granted()
	w.settle()
	w.forwarded(byItself, waiting[1])

	w = newWorld(t)
	leader, waiting = w.herd("/stats", 1)
	leader.exchange.Done()
	w.settle()
	waiting[0].exchange.Done() // nobody is left when the round is answered
	w.take(wire.PathLookup).granted()
	w.settle()
	w.take(wire.PathRelease).ack()
	w.settle()
	w.nothingLeft()
}

// A configuration change takes the rounds over: the old root's calls are answered no more.
func TestNewPluginTakesOverTheWaiters(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/stats", 2)
	leader.exchange.Done()
	w.settle()
	w.take(wire.PathLookup)
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.Close()
	w.settle()
	w.take(wire.PathLookup).hit(w, "stats", "one")
	w.settle()
	w.answered(collapsed+"l2", "one", waiting...)
	w.nothingLeft()
}

// A flight that everybody has left still has a round under way; with the plugin its answer is lost,
// and later reads would wait for it.
func TestRoundThatNobodyWaitsForIsLostWithItsPlugin(t *testing.T) {
	w := newWorld(t)
	leader, waiting := w.herd("/stats", 1)
	leader.exchange.Done()
	w.settle()
	w.take(wire.PathLookup)
	waiting[0].exchange.Done()
	w.run() // looks after nobody any more
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.Close()
	w.settle()
	w.nothingLeft()
}

// An entry that the new policy can't use is a miss for one, and the others wait for it.
func TestWaitersOfAnotherDefinition(t *testing.T) {
	w := newWorld(t)
	first, second := w.begin("/stats"), w.begin("/stats")
	other := w.take(wire.PathLookup)
	other.answer(wire.LookupAnswer{State: wire.LookupHit, Remaining: 1000, Entry: wire.Entry{
		Head: wire.Head{Definition: "another", Groups: []string{"*"}}, Payload: httpcache.Response{Status: 200, Freshness: httpcache.Freshness{Lifetime: 600}}.Append(nil),
	}.Encode()})
	w.settle()
	w.held(second)
	w.forwarded(missStored, first)
}

func TestCollapseOff(t *testing.T) {
	for name, document := range map[string]string{
		"policy": strings.Replace(testPolicy, `"version": 1,`, `"version": 1, "collapse": false,`, 1),
		"cache":  strings.Replace(testPolicy, `"ttl": "600s"}`, `"ttl": "600s", "collapse": false}`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.plugin = w.configure(document)
			w.begin("/stats")
			w.begin("/stats")
			for range 2 {
				c := w.take(wire.PathLookup)
				if c.lookup(w).Fetch != "" {
					t.Error("asks for the lease")
				}
			}
		})
	}
}

// Each VM that follows the feed shows that, and takes it back when its last plugin ends.
func TestFollowingIsShown(t *testing.T) {
	w := newWorld(t)
	w.run()
	if n := w.gauge("chatcache.following"); n != 0 {
		t.Errorf("before its first request: %d", n)
	}
	w.lease()
	w.run()
	if n := w.gauge("chatcache.following"); n != 1 {
		t.Errorf("then: %d", n)
	}
	w.plugin.Close()
	if n := w.gauge("chatcache.following"); n != 0 {
		t.Errorf("after its end: %d", n)
	}
}

func TestWaitersAreShown(t *testing.T) {
	w := newWorld(t)
	w.herd("/stats", 3)
	w.run()
	if n := w.gauge("chatcache.waiters"); n != 3 {
		t.Errorf("%d waiters shown", n)
	}
}
