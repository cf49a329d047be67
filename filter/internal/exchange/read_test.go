package exchange

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// fill makes one user's stats known to L1.
func fill(t testing.TB, w *world, user, body string) {
	t.Helper()
	s := w.stream("GET", "/stats", user)
	if got := s.exchange.RequestHeaders(true); got != PauseAll {
		t.Fatalf("action %v, want PauseAll", got)
	}
	w.take(wire.PathLookup).miss(1)
	s.respond("200", body)
	s.wants("chatcache; fwd=uri-miss; stored")
	if s.resumed != 1 {
		t.Errorf("resumed %d times", s.resumed)
	}
	w.run()
	w.take(wire.PathStore).ack()
}

func TestMissThenHitFromL1(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	w.now += 2 * time.Second
	w.feed(1) // renews the lease
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	s.wants("chatcache; hit; ttl=598; detail=l1")
	if string(s.reply) != "one" || s.replyField().Get("age") != "2" {
		t.Errorf("reply %q, age %q", s.reply, s.replyField().Get("age"))
	}
	if w.counts["chatcache.cache.stats.tier.l1.hits"] != 1 || w.counts["chatcache.cache.stats.stores"] != 1 {
		t.Errorf("counters: %v", w.counts)
	}
	other := w.stream("GET", "/stats", "bob")
	if other.exchange.RequestHeaders(true) != PauseAll || other.status != 0 {
		t.Error("bob was answered with ann's response")
	}
}

func TestHitFromL2FillsL1WithItsAge(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	asked, _ := wire.DecodeLookupRequest(w.calls[len(w.calls)-1].frame)
	hit := wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Age: 100_000, Remaining: 500_000,
		Entry: wire.Entry{
			Head:    wire.Head{Definition: w.plugin.Policy.Cache("stats").Definition, Groups: asked.Groups},
			Payload: httpcache.Response{Status: 200, InitialAge: 5, Freshness: httpcache.Freshness{Lifetime: 600}, Body: []byte("one")}.Append(nil),
		}.Encode(),
	}
	w.take(wire.PathLookup).ok(hit.Encode())
	s.wants("chatcache; hit; ttl=495; detail=l2")
	if s.replyField().Get("age") != "105" {
		t.Errorf("age %q, want 105", s.replyField().Get("age"))
	}
	again := w.stream("GET", "/stats", "ann")
	again.exchange.RequestHeaders(true)
	again.wants("chatcache; hit; ttl=495; detail=l1")
}

func TestEntryOfAnotherDefinitionIsAMiss(t *testing.T) {
	w := newWorld(t)
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	hit := wire.LookupAnswer{State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Remaining: 1000, Entry: wire.Entry{
		Head:    wire.Head{Definition: "0000000000000000", Groups: []string{"*"}},
		Payload: httpcache.Response{Status: 200, Freshness: httpcache.Freshness{Lifetime: 600}}.Append(nil),
	}.Encode()}
	w.take(wire.PathLookup).ok(hit.Encode())
	if s.status != 0 || s.resumed != 1 {
		t.Errorf("reply %d, resumed %d", s.status, s.resumed)
	}
}

func TestNothingIsStoredUnlessTheLookupGaveATicket(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(*call)
		status string
	}{
		"suspended":    {func(c *call) { c.ok(wire.LookupAnswer{State: wire.LookupSuspended}.Encode()) }, "chatcache; fwd=bypass; detail=write-in-flight"},
		"timeout":      {func(c *call) { c.done(Answer{Status: "504"}) }, "chatcache; fwd=bypass; detail=bridge-timeout"},
		"refused":      {func(c *call) { c.fails() }, "chatcache; fwd=bypass; detail=bridge-unreachable"},
		"garbage":      {func(c *call) { c.ok([]byte("<html>")) }, "chatcache; fwd=bypass; detail=bridge-error"},
		"unauthorized": {func(c *call) { c.done(Answer{Status: "401"}) }, "chatcache; fwd=bypass; detail=bridge-error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			s := w.stream("GET", "/stats", "ann")
			s.exchange.RequestHeaders(true)
			test.answer(w.take(wire.PathLookup))
			s.respond("200", "one")
			s.wants(test.status)
			w.run()
			w.none(wire.PathStore)
			if w.plugin.state.l1.Len() != 0 {
				t.Error("stored in L1")
			}
		})
	}
}

func TestCallThatFailsAtOnceIsForwarded(t *testing.T) {
	w := newWorld(t)
	w.down = true
	s := w.stream("GET", "/stats", "ann")
	if got := s.exchange.RequestHeaders(true); got != Continue || s.resumed != 0 {
		t.Errorf("action %v, resumed %d: want Continue and no resume", got, s.resumed)
	}
	s.respond("200", "one")
	s.wants("chatcache; fwd=bypass; detail=bridge-unreachable")
}

func TestBypass(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, user string
		extra              [2]string
		end                bool
		reason             string
	}{
		"if-match":       {"GET", "/stats", "ann", [2]string{"if-match", `"x"`}, true, "conditional"},
		"a POST's range": {"POST", "/flags", "ann", [2]string{"range", "bytes=0-1"}, false, "range"},
		"a POST's tag":   {"POST", "/flags", "ann", [2]string{"if-none-match", `"x"`}, false, "conditional"},
		"upgrade":        {"GET", "/stats", "ann", [2]string{"upgrade", "websocket"}, true, "upgrade"},
		"override":       {"GET", "/models", "", [2]string{"x-http-method-override", "HEAD"}, true, "method-override"},
		"no-cache":       {"GET", "/stats", "ann", [2]string{"pragma", "no-cache"}, true, "request-no-cache"},
		"no-store":       {"GET", "/stats", "ann", [2]string{"cache-control", "no-store"}, true, "request-no-cache"},
		"a GET's body":   {"GET", "/stats", "ann", [2]string{"a", ""}, false, "request-body"},
		"nobody":         {"GET", "/stats", "", [2]string{"a", ""}, true, "no-identity"},
		"off":            {"GET", "/off", "ann", [2]string{"a", ""}, true, "off"},
		"expect":         {"POST", "/flags", "ann", [2]string{"expect", "100-continue"}, false, "expect-continue"},
		"empty body":     {"POST", "/flags", "ann", [2]string{"a", ""}, true, "body-not-json"},
		"body too large": {"POST", "/flags", "ann", [2]string{"content-length", "1025"}, false, "body-too-large"},
		"compressed":     {"POST", "/flags", "ann", [2]string{"content-encoding", "gzip"}, false, "body-not-json"},
		"a long key":     {"GET", "/stats?" + strings.Repeat("a", policy.MaxKey), "ann", [2]string{"a", ""}, true, "key-too-long"},
		"two types":      {"POST", "/flags", "ann", [2]string{"content-type", "text/plain"}, false, "body-not-json"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.stream(test.method, test.path, test.user, asJSON, test.extra)
			if got := s.exchange.RequestHeaders(test.end); got != Continue {
				t.Fatalf("action %v", got)
			}
			s.respond("200", "one")
			s.wants("chatcache; fwd=bypass; detail=" + test.reason)
			w.none(wire.PathLookup)
		})
	}
}

// asJSON says what a body is.
var asJSON = [2]string{"content-type", "application/json"}

// Origins may take a body that isn't said to be JSON for none: their answer isn't that to the same body in JSON.
func TestBodyThatIsNotSaidToBeJSON(t *testing.T) {
	for _, media := range [][][2]string{nil, {{"content-type", "text/plain"}}, {{"content-type", "application/x-www-form-urlencoded"}},
		{{"content-type", "application/json; charset=iso-8859-1"}}, {{"content-type", "application/json;, text/plain"}}} {
		w := newWorld(t)
		s := w.stream("POST", "/flags", "ann", media...)
		if got := s.exchange.RequestHeaders(false); got != Continue {
			t.Fatalf("%v: action %v", media, got)
		}
		s.respond("200", "of no body at all")
		s.wants("chatcache; fwd=bypass; detail=body-not-json")
		w.none(wire.PathLookup)
		w.none(wire.PathStore)
	}
	w := newWorld(t)
	s := w.stream("POST", "/flags", "ann", [2]string{"content-type", "Application/JSON; charset=utf-8"})
	if got := s.exchange.RequestHeaders(false); got != PauseForBody {
		t.Errorf("action %v on a body with a charset", got)
	}
}

func TestUnmatchedStreamIsUntouched(t *testing.T) {
	w := newWorld(t)
	s := w.stream("GET", "/elsewhere", "ann")
	if s.exchange.RequestHeaders(true) != Continue {
		t.Fatal("paused")
	}
	s.respond("200", "one")
	s.wants("")
	if len(w.calls) != 0 || w.wakes != 0 {
		t.Errorf("%d calls, %d wakes", len(w.calls), w.wakes)
	}
}

func TestBodyKeyedRead(t *testing.T) {
	w := newWorld(t)
	w.lease()
	ask := func(body string) *fakeStream {
		s := w.stream("POST", "/flags", "ann", asJSON)
		s.body = []byte(body)
		if got := s.exchange.RequestHeaders(false); got != PauseForBody {
			t.Fatalf("action %v", got)
		}
		half := len(body) / 2
		if got := s.exchange.RequestBody(half, false); got != PauseForBody {
			t.Fatalf("action on half a body: %v", got)
		}
		s.exchange.RequestBody(len(body), true)
		return s
	}
	first := ask(`{"user": 1, "client": "web"}`)
	w.take(wire.PathLookup).miss(1)
	first.respond("200", "flags")
	same := ask(`{"client":"web","user":1}`)
	same.wants("chatcache; hit; ttl=600; detail=l1")
	other := ask(`{"client":"web","user":2}`)
	if other.status != 0 {
		t.Error("another body was answered with the first one's response")
	}
	broken := ask(`{"client":`)
	broken.respond("200", "flags")
	broken.wants("chatcache; fwd=bypass; detail=body-not-json")
}

func TestBodyThatGrowsTooLargeIsLetGo(t *testing.T) {
	w := newWorld(t)
	s := w.stream("POST", "/flags", "ann", asJSON)
	if got := s.exchange.RequestHeaders(false); got != PauseForBody {
		t.Fatalf("action %v on the header section", got)
	}
	if got := s.exchange.RequestBody(1024, false); got != PauseForBody {
		t.Errorf("action %v on as much as may be held", got)
	}
	if got := s.exchange.RequestBody(1025, false); got != Continue {
		t.Errorf("action %v", got)
	}
	if got := s.exchange.RequestBody(2000, true); got != Continue {
		t.Errorf("action on the rest: %v", got)
	}
	w.none(wire.PathLookup)
	s.respond("200", "flags")
	s.wants("chatcache; fwd=bypass; detail=body-too-large")
}

// A body that trailers end isn't the key: nobody would let go of it later.
func TestBodyThatTrailersEndIsLetGo(t *testing.T) {
	w := newWorld(t)
	s := w.stream("POST", "/flags", "ann", asJSON)
	s.body = []byte(`{"user": 1}`)
	s.exchange.RequestHeaders(false)
	if got := s.exchange.RequestBody(len(s.body), false); got != PauseForBody {
		t.Fatalf("action %v on the body", got)
	}
	if got := s.exchange.RequestTrailers(); got != Continue {
		t.Errorf("action %v on the trailers", got)
	}
	w.none(wire.PathLookup)
	s.respond("200", "flags")
	s.wants("chatcache; fwd=bypass; detail=body-not-json")
	w.run()
	w.none(wire.PathStore)
}

func TestIncompleteResponsesAreNotStored(t *testing.T) {
	for name, answer := range map[string]func(s *fakeStream){
		"reset": func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "10"})
			s.send("half", false)
			s.properties["response.code_details"] = []byte("upstream_reset_after_response_started{remote_reset}")
		},
		"short": func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "10"})
			s.send("half", true)
		},
		"the client leaves": func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.send("half", false)
		},
		"grows beyond the limit": func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.send(string(make([]byte, 3000)), false)
			s.send(string(make([]byte, 3000)), true)
		},
		"a chunk isn't there as a whole": func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "8"})
			s.send("half", false)
			s.chunk = []byte("ha")
			s.exchange.ResponseBody(4, true)
		},
		"trailers": func(s *fakeStream) {
			s.head("200", [2]string{"transfer-encoding", "chunked"})
			s.send("all", false)
			s.exchange.ResponseTrailers()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			s := w.missed("ann")
			answer(s)
			s.exchange.Done()
			w.run()
			w.none(wire.PathStore)
			if w.plugin.state.l1.Len() != 0 || w.plugin.state.captured != 0 {
				t.Errorf("L1 holds %d, %d bytes still reserved", w.plugin.state.l1.Len(), w.plugin.state.captured)
			}
		})
	}
}

func TestEndOfStreamAsAnEmptyChunkCompletes(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.missed("ann")
	s.head("200", [2]string{"transfer-encoding", "chunked"})
	s.send("one", false)
	s.send("", true)
	s.exchange.Done()
	if w.plugin.state.l1.Len() != 1 {
		t.Error("not stored")
	}
}

func TestCredentialExpiryBoundsTheLifetime(t *testing.T) {
	w := newWorld(t)
	w.lease()
	// exp = 1790000030: thirty seconds from now.
	const jwt = "eyJhbGciOiJub25lIn0.eyJleHAiOjE3OTAwMDAwMzB9.c2ln"
	s := w.missed(jwt)
	s.respond("200", "one")
	w.run()
	stored, _ := wire.DecodeStoreRequest(w.take(wire.PathStore).frame)
	if stored.TTL != 30_000 {
		t.Errorf("ttl %d ms, want 30000", stored.TTL)
	}
	w.unix += 30
	late := w.stream("GET", "/stats", jwt)
	late.exchange.RequestHeaders(true)
	late.respond("200", "one")
	late.wants("chatcache; fwd=bypass; detail=credential-expired")
	long := w.stream("GET", "/stats", jwt+strings.Repeat("x", 20<<10)) // nobody here knows when that ends
	long.exchange.RequestHeaders(true)
	long.respond("200", "one")
	long.wants("chatcache; fwd=bypass; detail=credential-expired")
}

func TestCaptureBudgetIsKeptAndGivenBack(t *testing.T) {
	w := newWorld(t)
	w.plugin.state.captured = maxCaptured
	s := w.missed("ann")
	s.respond("200", "one")
	s.wants("chatcache; fwd=uri-miss; detail=capture-limit")
	w.plugin.state.captured = 0
	s = w.missed("ann")
	s.head("200", [2]string{"content-length", "10"})
	if w.plugin.state.captured != 10 {
		t.Errorf("%d bytes reserved, want 10", w.plugin.state.captured)
	}
	s.exchange.Abandon()
	s.exchange.Done()
	if w.plugin.state.captured != 0 {
		t.Errorf("%d bytes still reserved after a panic", w.plugin.state.captured)
	}
}

// Whoever takes nothing of what he has asked for keeps nobody from having his stored for longer than slowCapture.
func TestSlowCapturesGiveWay(t *testing.T) {
	w := newWorld(t, `"max_response": "4KiB"`, `"max_response": "1MiB"`)
	size := [2]string{"content-length", strconv.Itoa(maxReserved)}
	begin := func(user string) *fakeStream {
		s := w.missed(user)
		s.head("200", size)
		return s
	}
	var slow []*fakeStream
	for i := range maxCaptured / maxReserved {
		slow = append(slow, begin(fmt.Sprint("slow-", i)))
		w.now += time.Millisecond
	}
	w.now += slowCapture - maxCaptured/maxReserved*time.Millisecond
	begin("ann").wants("chatcache; fwd=uri-miss; detail=capture-limit")
	w.now += time.Millisecond
	begin("ann").wants("chatcache; fwd=uri-miss; stored") // in place of the oldest one
	begin("bob").wants("chatcache; fwd=uri-miss; detail=capture-limit")
	if n := w.counts["chatcache.cache.stats.reason.capture-limit.unstored"]; n != 3 {
		t.Errorf("%d aren't stored, want the two for which there was no room, and the oldest", n)
	}
	body := strings.Repeat("x", maxReserved)
	for _, s := range slow[:2] {
		s.send(body, true)
		s.exchange.Done()
	}
	w.run()
	w.take(wire.PathStore).ack() // of the second
	w.none(wire.PathStore)
}

// A slow capture that finds no room itself ends, once, and gives back what it had.
func TestSlowCaptureThatWantsMore(t *testing.T) {
	w := newWorld(t)
	s := w.missed("ann")
	s.head("200", [2]string{"transfer-encoding", "chunked"})
	w.plugin.state.captured = maxCaptured - 10
	s.send("12345678", false)
	w.now += slowCapture + time.Second
	s.send("90123", true)
	s.exchange.Done()
	if left, n := w.plugin.state.captured, w.counts["chatcache.cache.stats.reason.capture-limit.unstored"]; left != maxCaptured-10 || n != 1 {
		t.Errorf("%d bytes are taken, want %d; counted %d times", left, maxCaptured-10, n)
	}
}

// What takes long but comes steadily isn't slow. Otherwise each would give way to the next just before its end, where all do and are more than
// there is room for.
func TestSteadyCapturesStay(t *testing.T) {
	w := newWorld(t, `"max_response": "4KiB"`, `"max_response": "1MiB"`)
	var steady []*fakeStream
	for i := range maxCaptured / maxReserved {
		s := w.missed(fmt.Sprint("steady-", i))
		s.head("200", [2]string{"content-length", strconv.Itoa(maxReserved)})
		steady = append(steady, s)
	}
	second := strings.Repeat("x", slowPace)
	for range maxReserved/slowPace - 1 {
		w.now += time.Second
		for _, s := range steady {
			s.send(second, false)
		}
	}
	w.now += slowCapture
	s := w.missed("ann")
	s.head("200", [2]string{"content-length", "1"})
	s.wants("chatcache; fwd=uri-miss; detail=capture-limit")
	w.now += time.Millisecond
	s = w.missed("bob")
	s.head("200", [2]string{"content-length", "1"})
	s.wants("chatcache; fwd=uri-miss; stored") // now they have stood still for too long
}

// The proxy may answer by itself while the request waits for the bridge.
func TestLocalReplyBeforeTheBridgeAnswers(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	lookup := w.take(wire.PathLookup)
	s.respond("200", "maintenance")
	s.wants("chatcache; fwd=uri-miss; detail=not-from-origin")
	lookup.miss(1)
	if s.resumed != 0 || w.plugin.state.l1.Len() != 0 {
		t.Errorf("resumed %d times, %d entries", s.resumed, w.plugin.state.l1.Len())
	}
}

func TestOwnReplyIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	s.respond("200", "one") // the proxy re-enters the filter with it
	if len(s.added) != 0 {
		t.Errorf("added %v to a response that has its cache-status", s.added)
	}
}

func TestVaryOnTheIdentitysFieldIsWithinTheKey(t *testing.T) {
	w := newWorld(t)
	s := w.missed("ann")
	s.respond("200", "one", [2]string{"vary", "Authorization"})
	s.wants("chatcache; fwd=uri-miss; stored")
}

func TestOutboxIsBounded(t *testing.T) {
	w := newWorld(t)
	o := &w.plugin.state.outbox
	metrics := &w.plugin.metrics[0]
	for range 20 {
		o.post(w.plugin, &parcel{path: wire.PathStore, frame: make([]byte, 1<<20), metrics: metrics})
	}
	if o.bytes > maxOutboxBytes || len(o.queue) != 16 || w.counts[metrics.errors.Name] != 4 {
		t.Errorf("%d bytes in %d stores, %d dropped", o.bytes, len(o.queue), w.counts[metrics.errors.Name])
	}
}

// What a filter behind this one has answered from memory may be older than what this one's lookup has seen: see secondHand.
func TestResponseOfAFilterBehindThisOne(t *testing.T) {
	for status, want := range map[string]string{
		"chatcache; hit; ttl=599; detail=l1":                            "chatcache; fwd=uri-miss; detail=second-hand",
		`Envoy; fwd=miss, chatcache; hit; ttl=599; detail=l1; key="0f"`: "chatcache; fwd=uri-miss; detail=second-hand",
		"chatcache; fwd=uri-miss; collapsed; ttl=5; detail=l1":          "chatcache; fwd=uri-miss; detail=second-hand",
		"chatcache; fwd=stale; fwd-status=503; detail=stale-if-error":   "chatcache; fwd=uri-miss; detail=second-hand",
		"chatcache; fwd=uri-miss; stored":                               "chatcache; fwd=uri-miss; stored",
		"chatcache; fwd=bypass; detail=bridge-timeout":                  "chatcache; fwd=uri-miss; stored",
		"Envoy; hit; ttl=7":                                             "chatcache; fwd=uri-miss; stored",
	} {
		w := newWorld(t)
		s := w.missed("ann")
		s.respond("200", "one", [2]string{"cache-status", status})
		if s.wants(want); strings.HasSuffix(want, "stored") {
			w.stored()
		} else {
			w.run()
			w.none(wire.PathStore)
		}
	}
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	s := w.page()
	w.finds(m, 70*time.Second)
	s.head("304", tagged, [2]string{"cache-status", "chatcache; hit; ttl=9; detail=l1"})
	if got := s.replyField().Values("cache-status"); got[len(got)-1] != "chatcache; fwd=stale; fwd-status=304" {
		t.Errorf("cache-status %q", got)
	}
	w.run()
	w.none(wire.PathStore)
}

// The next response will be of the same filter's memory: those who wait don't ask for it one after the other.
func TestWaitersForAFilterBehindThisOne(t *testing.T) {
	w := newWorld(t)
	w.lease()
	leader, waiting := w.herd("/stats", 3)
	leader.respond("200", "x", [2]string{"cache-status", "chatcache; hit; ttl=599; detail=l1"})
	w.settle()
	for _, s := range waiting {
		if s.resumed != 1 {
			t.Errorf("%s: resumed %d times, want that all go at once", s.name, s.resumed)
		}
	}
}

// What L1 has doesn't come back after something newer was answered, which couldn't enter L1 as a poll was late.
func TestOlderResponseInL1(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.cached("one", maxAge("max-age=60"))
	w.page().wants("chatcache; hit; ttl=60; detail=l1")
	w.now += 4 * time.Second // max_staleness is 3 s, and a poll is late
	s := w.page(maxAge("no-cache"))
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "two", maxAge("max-age=60"))
	s.wants("chatcache; fwd=uri-miss; stored")
	m := w.stored()
	s = w.page()
	w.finds(m, 0)
	if string(s.reply) != "two" {
		t.Fatalf("%q", s.reply)
	}
	for range 2 { // the poll that is late, and the next one
		w.run()
		w.feed(1)
	}
	if s := w.page(); s.status != 0 && string(s.reply) != "two" {
		t.Errorf("after two was answered, %q, %s", s.reply, s.cacheStatus())
	}
}

// What L1 has is let go only where something else would be in its place: not when the same is found in Redis while a poll is late,
// nor for what is older.
func TestL1KeepsWhatIsPresent(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=60"))
	w.now += 4 * time.Second
	w.page()
	w.finds(m, 0)
	if n := w.plugin.state.l1.Len(); n != 1 {
		t.Errorf("%d entries after the same was found in Redis", n)
	}

	w = newWorld(t)
	w.lease()
	m = w.cached("one", maxAge("max-age=60"))
	w.plugin.state.l1.Clear()
	w.page()
	slow := w.take(wire.PathLookup)
	w.plugin.state.move([]string{"c:pages"})
	s := w.page(maxAge("no-cache"))
	w.take(wire.PathLookup).miss(2)
	s.respond("200", "two", maxAge("max-age=60"))
	slow.ok(wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: m.Entry, Age: 1000, Remaining: m.TTL - 1000,
	}.Encode())
	if n := w.plugin.state.l1.Len(); n != 1 {
		t.Errorf("%d entries after something older was found", n)
	}
}
