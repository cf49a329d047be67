package exchange

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// crowd begins reads of different keys in a VM that is registered, so many that those after the first maxAlone gather.
func (w *world) crowd(gathering int) (alone, others []*fakeStream) {
	w.t.Helper()
	w.lease()
	for i := range maxAlone + gathering {
		s := w.begin(fmt.Sprint("/deep?n=", i))
		if i < maxAlone {
			alone = append(alone, s)
		} else {
			others = append(others, s)
		}
	}
	return alone, others
}

// together decodes a call of several lookups.
func (c *call) together(w *world) wire.LookupsRequest {
	w.t.Helper()
	return decoded(w, c, wire.DecodeLookupsRequest)
}

// results answers a call of several lookups.
func (c *call) results(list ...wire.LookupResult) { c.ok(wire.LookupsAnswer{Results: list}.Encode()) }

func missed(sequence uint64) wire.LookupResult {
	return wire.LookupResult{Answer: wire.LookupAnswer{State: wire.LookupMiss, Ticket: wire.Ticket{Epoch: 9, Sequence: sequence}}}
}

func TestLookupsGatherWhileOthersAreUnderWay(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(3)
	if got, want := w.paths(), "[/v1/follow /v1/lookup /v1/lookup /v1/lookup /v1/lookup]"; got != want {
		t.Fatalf("calls %s, want %s", got, want)
	}
	w.run()
	c := w.take(wire.PathLookups)
	m := c.together(w)
	if len(m.Lookups) != 3 || c.owner != "root" {
		t.Fatalf("%d lookups from %s, want 3 from the root context", len(m.Lookups), c.owner)
	}
	c.results(
		w.foundFor(m.Lookups[0], "one"),
		missed(1),
		wire.LookupResult{Outcome: wire.LookupFailed},
	)
	if others[0].status != 200 || string(others[0].reply) != "one" {
		t.Errorf("the hit: %d %q", others[0].status, others[0].reply)
	}
	for i, s := range others[1:] {
		if s.resumed != 1 || s.status != 0 {
			t.Errorf("read %d without an answer: resumed %d times, status %d", i+1, s.resumed, s.status)
		}
	}
	others[1].respond("200", "new")
	others[1].wants("chatcache; fwd=uri-miss; stored")
	others[2].respond("200", "new")
	others[2].wants("chatcache; fwd=bypass; detail=bridge-unreachable")
}

// Who comes while a call is under way goes with the next one, which is sent when the first is answered.
func TestLookupsGatherForTheNextCall(t *testing.T) {
	w := newWorld(t)
	w.crowd(wire.MaxLookups + 2)
	w.run()
	first := w.take(wire.PathLookups)
	w.run()
	w.none(wire.PathLookups)
	if n := len(first.together(w).Lookups); n != wire.MaxLookups {
		t.Errorf("%d lookups in one call, want %d", n, wire.MaxLookups)
	}
	first.fails()
	if n := len(w.take(wire.PathLookups).together(w).Lookups); n != 2 {
		t.Errorf("%d lookups in the next call, want 2", n)
	}
}

// Once the lookups that went alone are answered, nobody waits for others.
func TestFewLookupsGoAlone(t *testing.T) {
	w := newWorld(t)
	alone, _ := w.crowd(0)
	w.take(wire.PathLookup).miss(1)
	w.begin("/deep?next")
	w.none(wire.PathLookups)
	alone[1].exchange.Done()
	w.begin("/deep?afterwards")
	w.run()
	w.none(wire.PathLookups)
	for range maxAlone + 1 { // one of them for the stream that has gone
		w.take(wire.PathLookup)
	}
}

// A stream that ends while its lookup waits isn't asked for.
func TestWhoLeavesIsNotAskedFor(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(2)
	others[0].exchange.Done()
	w.run()
	if n := len(w.take(wire.PathLookups).together(w).Lookups); n != 1 {
		t.Errorf("%d lookups, want 1", n)
	}
}

// A call that takes long costs those that wait for it their own timeout, and no more.
func TestLookupsDoNotWaitBeyondTheirTimeout(t *testing.T) {
	w := newWorld(t)
	w.crowd(1)
	w.run()
	early := w.begin("/deep?early")
	w.now += 40 * time.Millisecond
	late := w.begin("/deep?late")
	w.now += 10 * time.Millisecond
	w.take(wire.PathLookups).done(Answer{Status: "504"})
	if early.resumed != 1 {
		t.Errorf("after 50 ms: resumed %d times", early.resumed)
	}
	early.respond("200", "one")
	early.wants("chatcache; fwd=bypass; detail=bridge-timeout")
	c := w.take(wire.PathLookups)
	if late.resumed != 0 || len(c.together(w).Lookups) != 1 || c.timeout != 40*time.Millisecond {
		t.Errorf("after 10 ms: resumed %d times, %d lookups, for %v more", late.resumed, len(c.together(w).Lookups), c.timeout)
	}
}

// However many wait for a call that is late, a run lets only some of them go: see maxLetGo.
func TestFewLateLookupsAreLetGoAtATime(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(1)
	w.run()
	for i := range 3 * wire.MaxLookups {
		others = append(others, w.begin(fmt.Sprint("/deep?late=", i)))
	}
	resumed := func() (n int) {
		for _, s := range others {
			n += s.resumed
		}
		return n
	}
	w.now += 50 * time.Millisecond
	w.wakes = 0
	w.take(wire.PathLookups).done(Answer{Status: "504"})
	for want := 1 + wire.MaxLookups; want <= len(others); want += wire.MaxLookups {
		if got := resumed(); got != want {
			t.Fatalf("%d were let go, want %d", got, want)
		}
		if w.wakes == 0 && want < len(others) {
			t.Fatalf("nobody looks after the others")
		}
		w.wakes = 0
		w.run()
	}
}

// The lease has run out meanwhile: the lookups register the VM again.
func TestGatheredLookupsRegisterTheVM(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(2)
	w.showJoins = true
	w.plugin.state.follower.registered = w.Now()
	w.run()
	w.none(wire.PathLookups)
	for range others {
		w.take(wire.PathJoin)
	}
}

// What is too large to come with others is asked for by itself.
func TestLargeEntriesAreAskedForAlone(t *testing.T) {
	w := newWorld(t)
	alone, others := w.crowd(1)
	for _, s := range alone {
		w.take(wire.PathLookup).miss(1)
		s.exchange.Done()
	}
	w.run()
	w.take(wire.PathLookups).results(wire.LookupResult{Outcome: wire.LookupAlone})
	w.take(wire.PathLookup).hit(w, "deep", "large")
	if others[0].status != 200 || string(others[0].reply) != "large" {
		t.Errorf("%d %q", others[0].status, others[0].reply)
	}
}

// Where the bridge can't be called, or answers something else, everybody goes to the origin.
func TestGatheredLookupsWithoutAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		answer Answer
		detail string
	}{
		"nothing":          {Answer{}, "bridge-unreachable"},
		"an old bridge":    {Answer{Status: "404"}, "bridge-error"},
		"too few answers":  {Answer{Status: "200", Body: wire.LookupsAnswer{Results: []wire.LookupResult{missed(1)}}.Encode()}, "bridge-error"},
		"an answer to one": {Answer{Status: "200", Body: wire.LookupAnswer{}.Encode()}, "bridge-error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, others := w.crowd(2)
			w.run()
			w.take(wire.PathLookups).done(tt.answer)
			for _, s := range others {
				s.respond("200", "one")
				s.wants("chatcache; fwd=bypass; detail=" + tt.detail)
			}
		})
	}
	w := newWorld(t)
	_, others := w.crowd(2)
	w.down = true
	w.run()
	for _, s := range others {
		s.respond("200", "one")
		s.wants("chatcache; fwd=bypass; detail=bridge-unreachable")
	}
}

// A plugin that ends loses its calls' answers: the next one asks again. A read of another configuration isn't
// asked for with what the newest one says of itself.
func TestGatheredLookupsOfPluginThatEnds(t *testing.T) {
	w := newWorld(t)
	alone, others := w.crowd(2)
	for range alone {
		w.take(wire.PathLookup)
	}
	w.run()
	lost := w.take(wire.PathLookups)
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.state.drop(old)
	w.run()
	for range others {
		w.take(wire.PathLookup).miss(1)
	}
	lost.fails()
	for _, s := range others {
		if s.resumed != 1 {
			t.Errorf("resumed %d times", s.resumed)
		}
	}
}

// So does it lose those of the lookups that couldn't come with others.
func TestLookupsAskedForAloneOfPluginThatEnds(t *testing.T) {
	w := newWorld(t)
	alone, others := w.crowd(1)
	for range alone {
		w.take(wire.PathLookup).miss(1)
	}
	w.run()
	w.take(wire.PathLookups).results(wire.LookupResult{Outcome: wire.LookupAlone})
	lost := w.take(wire.PathLookup)
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.state.drop(old)
	w.run()
	w.take(wire.PathLookup).miss(1)
	lost.miss(1)
	if others[0].resumed != 1 {
		t.Errorf("resumed %d times", others[0].resumed)
	}
}

// A call that couldn't be made keeps nobody from the next one; nor does one that couldn't be made for a lookup that is to go alone.
func TestBridgeThatCannotBeCalledForAMoment(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(2)
	w.down = true
	w.run()
	w.down = false
	next := w.begin("/deep?next")
	w.run()
	m := w.take(wire.PathLookups)
	w.down = true
	m.results(wire.LookupResult{Outcome: wire.LookupAlone})
	for _, s := range append(others, next) {
		if s.resumed != 1 {
			t.Fatalf("%s: resumed %d times", s.name, s.resumed)
		}
		s.respond("200", "one")
		s.wants("chatcache; fwd=bypass; detail=bridge-unreachable")
	}
}

// The proxy may answer a request by itself while its lookup is gathered, or on its way with others: then it is left alone.
func TestProxyAnswersWhileALookupIsGathered(t *testing.T) {
	for name, test := range map[string]func(w *world, answers func()){
		"it is found": func(w *world, answers func()) {
			w.run()
			c := w.take(wire.PathLookups)
			answers()
			c.results(w.foundFor(c.together(w).Lookups[0], "one"))
		},
		"it fails": func(w *world, answers func()) { w.run(); answers(); w.take(wire.PathLookups).fails() },
		"it is asked for alone": func(w *world, answers func()) {
			w.run()
			answers()
			w.take(wire.PathLookups).results(wire.LookupResult{Outcome: wire.LookupAlone})
		},
		"before it is sent":        func(w *world, answers func()) { answers(); w.run() },
		"and it would be too late": func(w *world, answers func()) { w.now += 40 * time.Millisecond; answers(); w.run() },
	} {
		w := newWorld(t)
		_, others := w.crowd(1)
		s := others[0]
		test(w, s.answeredByProxy)
		w.settle()
		if s.status != 0 || s.resumed != 0 {
			t.Errorf("%s: reply %d, resumed %d times", name, s.status, s.resumed)
		}
	}
}

// A bridge that answers no lookups that have gathered is soon not waited for any more. That a lookup came too late to be sent is no word of the
// bridge's.
func TestGatheredLookupsAndTheBreaker(t *testing.T) {
	for status, want := range map[string]uint64{"504": 1, "400": 0} {
		w := newWorld(t)
		w.crowd(5)
		w.run()
		w.take(wire.PathLookups).done(Answer{Status: status})
		if n := w.counts["chatcache.breaker_opened"]; n != want {
			t.Errorf("answered %s: the breaker has opened %d times, want %d", status, n, want)
		}
	}
	w := newWorld(t)
	w.crowd(5)
	w.now += 40 * time.Millisecond
	w.run()
	w.none(wire.PathLookups)
	if n := w.counts["chatcache.breaker_opened"]; n != 0 {
		t.Errorf("nothing was sent: the breaker has opened %d times", n)
	}
}

// foundFor is an answer with a response of the cache "deep", stored just now.
func (w *world) foundFor(m wire.LookupRequest, body string) wire.LookupResult {
	return wire.LookupResult{Answer: wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Remaining: 600_000, Entry: w.entryOf("deep", m.Groups, body),
	}}
}

// What a lookup that has waited to be sent finds answers those, too, who had come by then, and nobody who came later.
func TestGatheredLookupAnswersThoseWhoCameBefore(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(1)
	path := fmt.Sprint("/deep?n=", maxAlone) // others[0]'s
	before := []*fakeStream{w.begin(path), w.begin(path)}
	w.run()
	c := w.take(wire.PathLookups)
	after := w.begin(path)
	c.results(w.foundFor(c.together(w).Lookups[0], "one"))
	w.settle()
	if others[0].status != 200 {
		t.Fatalf("the leader: %d", others[0].status)
	}
	w.answered(collapsed+"l2", "one", before...)
	w.held(after)
	round := w.take(wire.PathLookups)
	round.results(w.foundFor(round.together(w).Lookups[0], "two"))
	w.settle()
	w.answered(collapsed+"l2", "two", after)
}

// Rounds go with other lookups: one call for those who wait in several flights, and for who comes meanwhile.
func TestRoundsGather(t *testing.T) {
	w := newWorld(t)
	_, others := w.crowd(2)
	w.run()
	first := w.take(wire.PathLookups)
	var waiting []*fakeStream
	for i := range others {
		waiting = append(waiting, w.begin(fmt.Sprint("/deep?n=", maxAlone+i)))
	}
	alone := w.begin("/deep?meanwhile")
	m := first.together(w)
	first.results(w.foundFor(m.Lookups[0], "old"), w.foundFor(m.Lookups[1], "old"))
	w.held(waiting...)
	second := w.take(wire.PathLookups) // sent at once, in the answer's callback
	m = second.together(w)
	if len(m.Lookups) != 3 {
		t.Fatalf("%d lookups, want 3", len(m.Lookups))
	}
	for _, one := range m.Lookups {
		if one.Fetch == "" || one.Wait != 0 {
			t.Errorf("a lookup for %q asks for lease %q, waits %d ms", one.Key, one.Fetch, one.Wait)
		}
	}
	var results []wire.LookupResult
	for _, one := range m.Lookups {
		results = append(results, w.foundFor(one, "new"))
	}
	second.results(results...)
	w.settle()
	w.answered(collapsed+"l2", "new", waiting...)
	if string(alone.reply) != "new" {
		t.Errorf("who came meanwhile: %d %q", alone.status, alone.reply)
	}
}

// A round whose answer is too large, fails, or comes late does what it does alone.
func TestGatheredRoundWithoutAnswer(t *testing.T) {
	prepared := func(t *testing.T) (w *world, waiter *fakeStream, round *call) {
		w = newWorld(t)
		_, _ = w.crowd(1)
		path := fmt.Sprint("/deep?n=", maxAlone)
		w.run()
		first := w.take(wire.PathLookups)
		waiter = w.begin(path)
		first.results(w.foundFor(first.together(w).Lookups[0], "old"))
		return w, waiter, w.take(wire.PathLookups)
	}
	t.Run("too large", func(t *testing.T) {
		w, waiter, round := prepared(t)
		for range maxAlone {
			w.take(wire.PathLookup)
		}
		round.results(wire.LookupResult{Outcome: wire.LookupAlone})
		w.take(wire.PathLookup).hit(w, "deep", "large")
		w.answered(collapsed+"l2", "large", waiter)
	})
	t.Run("failed", func(t *testing.T) {
		w, waiter, round := prepared(t)
		round.results(wire.LookupResult{Outcome: wire.LookupFailed})
		w.settle()
		w.forwarded("chatcache; fwd=bypass; detail=bridge-unreachable", waiter)
	})
	t.Run("missed", func(t *testing.T) {
		w, waiter, round := prepared(t)
		granted := missed(1)
		granted.Answer.Granted = true
		round.results(granted)
		w.settle()
		w.forwarded(byItself, waiter)
	})
	t.Run("a newer plugin has asked, and ended", func(t *testing.T) {
		w := newWorld(t)
		alone, others := w.crowd(1)
		path := fmt.Sprint("/deep?n=", maxAlone)
		w.run()
		under := w.take(wire.PathLookups)
		waiter := w.begin(path)
		others[0].exchange.Done()
		w.run() // the round gathers
		for range alone {
			w.take(wire.PathLookup)
		}
		older := w.plugin
		newer := w.configure(testPolicy)
		w.plugin = newer
		under.results(missed(1))
		w.run()
		lost := w.take(wire.PathLookup)
		newer.state.drop(newer)
		w.plugin = older
		w.run()
		lost.fails()
		w.held(waiter)
		again := w.take(wire.PathLookups)
		again.results(w.foundFor(again.together(w).Lookups[0], "again"))
		w.settle()
		w.answered(collapsed+"l2", "again", waiter)
	})
	t.Run("its plugin has ended", func(t *testing.T) {
		w, waiter, round := prepared(t)
		for range maxAlone {
			w.take(wire.PathLookup)
		}
		old := w.plugin
		w.plugin = w.configure(testPolicy)
		old.state.drop(old)
		w.run()
		round.fails()
		w.held(waiter)
		w.take(wire.PathLookup).hit(w, "deep", "again")
		w.answered(collapsed+"l2", "again", waiter)
	})
}

// Who waits in a flight has more time than a call: rounds that gather behind one that takes long are asked for by
// themselves, and the breaker hears of no failure.
func TestLateRoundsAreAskedForAlone(t *testing.T) {
	w := newWorld(t)
	w.crowd(5)
	w.run()
	slow := w.take(wire.PathLookups)
	var waiting []*fakeStream
	for i := range 5 {
		path := fmt.Sprint("/deep?hot=", i)
		leader := w.begin(path)
		waiting = append(waiting, w.begin(path))
		leader.exchange.Done()
	}
	w.run()
	for range maxAlone {
		w.take(wire.PathLookup)
	}
	w.now += 30 * time.Millisecond // of 50
	slow.results(missed(1), missed(1), missed(1), missed(1), missed(1))
	w.settle()
	w.held(waiting...)
	for _, s := range waiting {
		w.take(wire.PathLookup).hit(w, "deep", "one")
		w.answered(collapsed+"l2", "one", s)
	}
	if w.plugin.state.breaker.open {
		t.Error("the breaker is open")
	}
}

// One answer lets as many streams go as two runs, and no more: see maxLetGo.
func TestFewStreamsAreLetGoAtAnAnswer(t *testing.T) {
	w := newWorld(t)
	_, all := w.crowd(wire.MaxLookups)
	for range 20 { // came before the lookup that answers them is sent
		all = append(all, w.begin(fmt.Sprint("/deep?n=", maxAlone)))
	}
	w.run()
	c := w.take(wire.PathLookups)
	for i := range wire.MaxLookups {
		all = append(all, w.begin(fmt.Sprint("/deep?late=", i)))
	}
	w.now += 40 * time.Millisecond
	var results []wire.LookupResult
	for _, one := range c.together(w).Lookups {
		results = append(results, w.foundFor(one, "one"))
	}
	c.results(results...)
	ended := 0
	for _, s := range all {
		if s.resumed > 0 || s.status != 0 {
			ended++
		}
	}
	if ended != 2*maxLetGo {
		t.Errorf("%d streams, want %d", ended, 2*maxLetGo)
	}
	w.settle()
	for i, s := range all {
		if s.resumed == 0 && s.status == 0 {
			t.Errorf("stream %d waits on", i)
		}
	}
}

// A round asks for the key of its flight, whatever has become of the read that it was begun for.
func TestRoundKeepsItsKey(t *testing.T) {
	w := newWorld(t)
	w.lease()
	most := w.plugin.Policy.Collapse.MaxWait
	leader := w.begin("/deep?v")
	w.take(wire.PathLookup).granted()
	first := w.begin("/deep?v")
	w.now += most/2 - time.Millisecond
	w.begin("/deep?v")
	w.now = most - 5*time.Millisecond
	w.plugin.state.follower.registered = w.Now() + int64(time.Hour)
	for i := range maxAlone + 1 {
		w.begin(fmt.Sprint("/deep?n=", i))
	}
	w.run()
	under := w.take(wire.PathLookups)
	leader.exchange.Done()
	w.run() // the round gathers
	key := ""
	for _, f := range w.plugin.state.flights.current {
		if f.round != nil {
			key = f.key
		}
	}
	w.now += 10 * time.Millisecond
	w.settle()
	w.run() // the first has waited long enough
	first.respond("200", "one", [2]string{"vary", "accept-language"})
	under.results(missed(1))
	if m := w.take(wire.PathLookups).together(w); key == "" || m.Lookups[0].Key != key {
		t.Errorf("a round of %q asks for %q", key, m.Lookups[0].Key)
	}
}

// A round's call that nobody waits for any more is lost with its plugin, and doesn't count from then on.
func TestLostRoundDoesNotCount(t *testing.T) {
	w := newWorld(t)
	w.lease()
	leader := w.begin("/deep?x")
	w.take(wire.PathLookup).granted()
	waiter := w.begin("/deep?x")
	w.now += w.plugin.fetchLease() + time.Millisecond
	w.plugin.state.follower.registered = w.Now() + int64(time.Hour)
	second := w.begin("/deep?x") // leads another flight: the first leader takes longer than its lease
	w.take(wire.PathLookup).granted()
	leader.exchange.Done()
	w.run()
	w.take(wire.PathLookup) // the round's
	waiter.exchange.Done()
	w.run()
	second.exchange.Done()
	old := w.plugin
	w.plugin = w.configure(testPolicy)
	old.state.drop(old)
	w.run()
	if n := w.plugin.state.gathering.alone; n != 0 {
		t.Errorf("%d lookups are counted as under way, want none", n)
	}
}

// Reads that waited for too long to be sent with others say nothing of the bridge, which has answered each call in time: the breaker stays closed.
func TestReadsThatWereNeverSent(t *testing.T) {
	w := newWorld(t)
	w.crowd(1)
	w.run()
	for i := range 6 {
		w.begin(fmt.Sprint("/deep?late=", i))
	}
	w.now += 30 * time.Millisecond // of 50
	w.take(wire.PathLookups).results(missed(1))
	w.settle()
	if w.plugin.state.breaker.open {
		t.Errorf("the breaker is open, though the bridge has answered every call within its timeout: %v", w.warned)
	}
	write := w.stream("PUT", "/messages", "ann") // "unreachable": "refuse"
	write.exchange.RequestHeaders(true)
	if write.status != 0 {
		t.Errorf("a write is answered %d %q", write.status, write.reply)
	}
}
