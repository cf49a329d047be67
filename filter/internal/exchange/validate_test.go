package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// page begins a request of the cache that leaves freshness to the origin.
func (w *world) page(extra ...[2]string) *fakeStream {
	s := w.stream("GET", "/pages/1", "", extra...)
	s.exchange.RequestHeaders(true)
	return s
}

// stored is the entry that the filter has just stored; found makes a later lookup find it.
func (w *world) stored() wire.StoreRequest {
	w.t.Helper()
	w.run()
	c := w.take(wire.PathStore)
	m := decoded(w, c, wire.DecodeStoreRequest)
	c.ack()
	return m
}

func (w *world) finds(m wire.StoreRequest, age time.Duration) {
	w.t.Helper()
	w.take(wire.PathLookup).ok(wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: m.Entry,
		Age: age.Milliseconds(), Remaining: m.TTL - age.Milliseconds(),
	}.Encode())
}

// cached stores the page as the origin answers it with the fields.
func (w *world) cached(body string, fields ...[2]string) wire.StoreRequest {
	w.t.Helper()
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	s.respond("200", body, fields...)
	s.wants("chatcache; fwd=uri-miss; stored")
	return w.stored()
}

var tagged = [2]string{"etag", `"a"`}

func maxAge(value string) [2]string { return [2]string{"cache-control", value} }

func TestOriginSaysHowLong(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), [2]string{"age", "10"})
	if m.TTL != 50_000 {
		t.Errorf("kept for %d ms, want 50000: there is no validator", m.TTL)
	}
	w.lease()
	s := w.page()
	w.finds(m, 20*time.Second)
	s.wants("chatcache; hit; ttl=30; detail=l2")
	if s.replyField().Get("age") != "30" {
		t.Errorf("age %q", s.replyField().Get("age"))
	}
	s = w.page()
	s.wants("chatcache; hit; ttl=30; detail=l1")
	w.now += 30 * time.Second
	w.feed(1)
	s = w.page()
	w.finds(m, 50*time.Second)
	s.respond("200", "two", maxAge("no-store"))
	s.wants("chatcache; fwd=stale; detail=no-store")
}

// The time that the origin takes, and its body, make a response older (RFC 9111 section 4.2.3).
func TestAgeCountsDelays(t *testing.T) {
	w := newWorld(t)
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	w.now += 3 * time.Second
	s.head("200", maxAge("max-age=60"), [2]string{"content-length", "3"})
	w.now += 4 * time.Second
	s.send("one", true)
	s.exchange.Done()
	m := w.stored()
	if m.TTL != 53_000 {
		t.Errorf("kept for %d ms", m.TTL)
	}
	s = w.page()
	w.finds(m, time.Second)
	if s.replyField().Get("age") != "8" {
		t.Errorf("age %q, want 8", s.replyField().Get("age"))
	}
}

func TestValidation(t *testing.T) {
	w := newWorld(t)
	modified := [2]string{"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}
	m := w.cached("one", maxAge("max-age=60"), tagged, modified, [2]string{"x-old", "1"}, [2]string{"content-type", "text/plain"})
	s := w.page()
	w.finds(m, 70*time.Second)
	if s.resumed != 1 || s.status != 0 {
		t.Fatalf("resumed %d, reply %d", s.resumed, s.status)
	}
	want := httpcache.Fields{{"if-none-match", `"a"`}, {"if-modified-since", modified[1]}}
	if diff := cmp.Diff(want, s.request[3:]); diff != "" {
		t.Errorf("request: %s", diff)
	}
	s.head("304", maxAge("max-age=30"), tagged, [2]string{"x-old", "2"})
	s.wants("chatcache; fwd=stale; fwd-status=304; stored")
	if s.status != 200 || string(s.reply) != "one" || s.replyField().Get("x-old") != "2" || s.replyField().Get("age") != "0" || s.replyField().Get("content-type") != "text/plain" {
		t.Errorf("%d %q %v", s.status, s.reply, s.replyField())
	}
	s.exchange.Done()
	if w.counts["chatcache.cache.pages.validated"] != 1 {
		t.Error("not counted")
	}
	m = w.stored()
	again := w.page()
	w.finds(m, 10*time.Second)
	again.wants("chatcache; hit; ttl=20; detail=l2")
	if w.plugin.state.captured != 0 {
		t.Errorf("%d bytes still reserved", w.plugin.state.captured)
	}
}

// What is stored has a Date: when it came, if the origin doesn't say (RFC 9110 section 6.6.1). A confirmation
// without one isn't as old as what it confirms.
func TestDateOfWhatIsStored(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	came := httpcache.FormatDate(w.unix)
	s := w.page([2]string{"if-modified-since", came})
	w.finds(m, 10*time.Second)
	if s.status != 304 || s.replyField().Get("date") != came {
		t.Errorf("%d, date %q, want 304 and %s", s.status, s.replyField().Get("date"), came)
	}
	w.unix += 70
	s = w.page()
	w.finds(m, 70*time.Second)
	s.head("304", tagged)
	s.wants("chatcache; fwd=stale; fwd-status=304; stored")
	if got := s.replyField().Values("date"); len(got) != 1 || got[0] != httpcache.FormatDate(w.unix) || s.replyField().Get("age") != "0" {
		t.Errorf("confirmed: date %q, age %s", got, s.replyField().Get("age"))
	}
}

// The client's own condition is answered by what was stored, whatever the origin was asked.
func TestValidationForAConditionalRequest(t *testing.T) {
	for condition, status := range map[string]uint32{`"a"`: 304, `"b"`: 200} {
		w := newWorld(t)
		m := w.cached("one", maxAge("max-age=60"), tagged)
		s := w.page([2]string{"if-none-match", condition})
		w.finds(m, 70*time.Second)
		if got := s.request.Values("if-none-match"); len(got) != 1 || got[0] != `"a"` {
			t.Errorf("the origin is asked for %q", got)
		}
		s.head("304", tagged)
		if s.status != status {
			t.Errorf("a client that has %s gets %d", condition, s.status)
		}
	}
}

// A 304 about another response refreshes nothing (RFC 9111 section 4.3.4).
func TestValidationThatConfirmsSomethingElse(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	s := w.page()
	w.finds(m, 70*time.Second)
	s.head("304", [2]string{"etag", `"b"`}, maxAge("max-age=60"))
	s.wants("chatcache; fwd=stale; fwd-status=304")
	s.exchange.Done()
	w.run()
	w.none(wire.PathStore)
}

// A 304 that forbids to store what it confirms: from then on nobody is answered with that before the origin has confirmed it
// again, however fresh it was (RFC 9111 section 4.3.4).
func TestConfirmationThatForbids(t *testing.T) {
	for name, tt := range map[string]struct{ path, control, keep string }{
		"no-store":                  {"/pages/1", "no-store", "60s"},
		"private":                   {"/pages/1", "private", "60s"},
		"no-cache, and none kept":   {"/pages/1", "no-cache", "0s"},
		"max-age=0, and none kept":  {"/pages/1", "max-age=0", "0s"},
		"private, by a rule's TTL":  {"/models", "private", "60s"},
		"no-store, by a rule's TTL": {"/models", "no-store", "60s"},
	} {
		for _, isInL1 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, in L1: %v", name, isInL1), func(t *testing.T) {
				w := newWorld(t, `"ttl": "origin", "shared": true}`, `"ttl": "origin", "shared": true, "keep_stale": "`+tt.keep+`"}`)
				if isInL1 {
					w.lease()
				}
				get := func(m *wire.StoreRequest, age time.Duration, fields ...[2]string) *fakeStream {
					s := w.stream("GET", tt.path, "", fields...)
					s.exchange.RequestHeaders(true)
					if m == nil {
						w.take(wire.PathLookup).miss(1)
					} else {
						w.finds(*m, age)
					}
					return s
				}
				get(nil, 0).respond("200", "one", maxAge("max-age=3600, stale-if-error=3600"), tagged)
				m := w.stored()
				if isInL1 {
					w.passes(10 * time.Second)
				}
				s := get(&m, 10*time.Second, maxAge("max-age=0")) // a client reloads
				s.head("304", maxAge(tt.control), tagged)
				s.wants("chatcache; fwd=request; fwd-status=304")
				s.exchange.Done()
				m = w.stored()
				next := get(&m, time.Second)
				if next.status != 0 {
					t.Fatalf("the next client gets %d: %s", next.status, next.cacheStatus())
				}
				next.head("503")
				if next.status != 0 {
					t.Errorf("in place of an error: %d: %s", next.status, next.cacheStatus())
				}
			})
		}
	}
}

// What a 304 says of the one exchange, a cookie for example, leaves what it confirms as fresh as it was for others.
func TestConfirmationOfOneExchange(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=3600"), tagged)
	s := w.page(maxAge("max-age=0"))
	w.finds(m, 10*time.Second)
	s.head("304", maxAge("max-age=3600"), tagged, [2]string{"set-cookie", "a=b"})
	s.wants("chatcache; fwd=request; fwd-status=304")
	s.exchange.Done()
	w.run()
	w.none(wire.PathStore)
	next := w.page()
	w.finds(m, 11*time.Second)
	next.wants("chatcache; hit; ttl=3589; detail=l2")
}

// Whoever waits for a confirmation that forbids goes on by itself, and for a while nobody waits for another one.
func TestWaitersForAConfirmationThatForbids(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	leader := w.page()
	waiting := []*fakeStream{w.page(), w.page(), w.page()}
	w.take(wire.PathLookup).ok(wire.LookupAnswer{
		State: wire.LookupHit, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: m.Entry, Age: 70_000, Remaining: m.TTL - 70_000,
	}.Encode())
	w.held(waiting...)
	leader.head("304", maxAge("private"), tagged)
	leader.exchange.Done()
	w.settle()
	for _, s := range waiting {
		if s.resumed != 1 {
			t.Errorf("%s: resumed %d times, want it let go", s.name, s.resumed)
		}
	}
	release := decoded(w, w.take(wire.PathRelease), wire.DecodeReleaseRequest)
	if store := decoded(w, w.take(wire.PathStore), wire.DecodeStoreRequest); release.Mark == 0 || store.Fetch != "" {
		t.Errorf("the lease is released with a mark of %d ms, and what is stored is the fetch %q", release.Mark, store.Fetch)
	}
}

// What has an empty ETag can't be validated: the client's own condition is forwarded, and its 304 is the client's.
func TestEmptyValidator(t *testing.T) {
	w := newWorld(t)
	m := w.cached("old", maxAge("max-age=60, stale-if-error=600"), [2]string{"etag", ""})
	s := w.page([2]string{"if-none-match", `"new"`})
	w.finds(m, 70*time.Second)
	s.head("304", maxAge("max-age=60"))
	s.wants("chatcache; fwd=stale; detail=status")
	s.exchange.Done()
	w.run()
	w.none(wire.PathStore)
}

// Seconds of the way here, of the body and since then are summed before they are rounded down.
func TestAgeIsRoundedOnce(t *testing.T) {
	w := newWorld(t)
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	w.now += 990 * time.Millisecond
	s.head("200", maxAge("max-age=2"), [2]string{"content-length", "3"})
	w.now += 990 * time.Millisecond
	s.send("one", true)
	s.exchange.Done()
	if m := w.stored(); m.TTL != 1000 {
		t.Errorf("kept for %d ms, want 1000", m.TTL)
	}
}

func TestValidationThatFindsAnotherResponse(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	s := w.page()
	w.finds(m, 70*time.Second)
	s.respond("200", "two", maxAge("max-age=60"), [2]string{"etag", `"b"`})
	s.wants("chatcache; fwd=stale; stored")
	m = w.stored()
	again := w.page()
	w.finds(m, 0)
	if string(again.reply) != "two" {
		t.Errorf("%q", again.reply)
	}
}

// no-cache is stored to be validated each time.
func TestResponseThatNeedsValidation(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("no-cache"), tagged)
	s := w.page()
	w.finds(m, 0)
	s.head("304")
	s.wants("chatcache; fwd=stale; fwd-status=304; stored")
}

// A write that the VM hears of while the origin is asked makes the refreshed response invalid: it
// doesn't enter L1, and in L2 it has the lookup's ticket.
func TestWriteDuringValidation(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=1"), tagged)
	w.now += 2 * time.Second
	w.feed(1)
	s := w.page()
	w.finds(m, 2*time.Second)
	w.feed(2, event(2, wire.EventRaise, "c:pages"))
	s.head("304", maxAge("max-age=60"))
	s.exchange.Done()
	entry, err := wire.DecodeEntry(w.stored().Entry)
	if err != nil || entry.Ticket.Sequence != 1 {
		t.Errorf("stored with ticket %v, %v", entry.Ticket, err)
	}
	if again := w.page(); again.status != 0 {
		t.Error("answered from L1")
	}
}

func TestStaleIfError(t *testing.T) {
	says := maxAge("max-age=60, stale-if-error=30")
	for name, test := range map[string]struct {
		says, request [2]string
		age           time.Duration
		status        string
		event         wire.Event
		want          string
	}{
		"503":             {says: says, age: 70 * time.Second, status: "503", want: "chatcache; fwd=stale; fwd-status=503; detail=stale-if-error"},
		"too old":         {says: says, age: 90 * time.Second, status: "503", want: "chatcache; fwd=stale; detail=no-caching-stated"},
		"404 is no error": {says: says, age: 70 * time.Second, status: "404", want: "chatcache; fwd=stale; detail=stale-on-arrival"},
		"must-revalidate": {says: maxAge("max-age=60, stale-if-error=30, must-revalidate"), age: 70 * time.Second, status: "503",
			want: "chatcache; fwd=stale; detail=no-caching-stated"},
		"the client wants it validated": {says: says, request: maxAge("no-cache"), age: 70 * time.Second, status: "503", want: "chatcache; fwd=stale; detail=no-caching-stated"},
		"invalidated meanwhile": {says: says, age: 70 * time.Second, status: "503", event: event(2, wire.EventRaise, "c:pages"),
			want: "chatcache; fwd=stale; detail=no-caching-stated"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.cached("one", test.says, tagged)
			w.lease()
			request := test.request
			if request[0] == "" {
				request = [2]string{"a", ""}
			}
			s := w.page(request)
			w.finds(m, test.age)
			if test.event.Kind != 0 {
				w.feed(2, test.event)
			}
			s.head(test.status, [2]string{"content-length", "0"})
			s.wants(test.want)
			s.exchange.Done()
			if w.plugin.state.captured != 0 {
				t.Errorf("%d bytes still reserved", w.plugin.state.captured)
			}
		})
	}
}

// While one request validates, others are answered at once with what is stale.
func TestStaleWhileRevalidate(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=1, stale-while-revalidate=60"), tagged)
	w.now += 2 * time.Second
	w.feed(1)
	first := w.page()
	w.finds(m, 2*time.Second)
	if first.resumed != 1 {
		t.Fatal("the first doesn't validate")
	}
	for range 3 {
		w.page().wants("chatcache; hit; ttl=-1; detail=l1")
	}
	w.none(wire.PathLookup)
	first.head("304", maxAge("max-age=1, stale-while-revalidate=60"))
	first.exchange.Done()
	w.page().wants("chatcache; hit; ttl=1; detail=l1")
	w.now += 61 * time.Second
	w.feed(1)
	w.page()
	late := w.page()
	if late.status != 0 {
		t.Error("answered with what is too stale")
	}
}

// What a 304, or the answer to a HEAD, must not be stored with is for its request alone.
func TestValidationBringsACookie(t *testing.T) {
	byRule := func(w *world) *fakeStream {
		s := w.stream("GET", "/models", "")
		s.exchange.RequestHeaders(true)
		return s
	}
	for name, test := range map[string]struct {
		says   string
		age    time.Duration
		ask    func(*world) *fakeStream
		method string
	}{
		"no-cache":          {says: `max-age=60, no-cache="set-cookie"`, age: 70 * time.Second},
		"private":           {says: `max-age=60, private="set-cookie, x-user"`, age: 70 * time.Second},
		"to a HEAD":         {says: `max-age=60, no-cache="set-cookie"`, age: 70 * time.Second, method: "HEAD"},
		"by the rule's TTL": {says: `no-cache="set-cookie"`, age: 700 * time.Second, ask: byRule},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `"models": {"match": ["GET /models"], "ttl": "600s"`, `"models": {"match": ["GET /models"], "ttl": "600s", "keep_stale": "1h"`)
			ask := test.ask
			if ask == nil {
				ask = func(w *world) *fakeStream { return w.page() }
			}
			first := ask(w)
			w.take(wire.PathLookup).miss(1)
			first.respond("200", "one", maxAge(test.says), tagged, [2]string{"set-cookie", "sid=FIRST"})
			m := w.stored()
			ann := first
			answer := httpcache.Fields{maxAge(test.says), tagged, {"set-cookie", "sid=ANN"}}
			if test.method == "HEAD" {
				ann = w.headOfPage()
				w.finds(m, test.age)
				ann.head("200", append(answer, [2]string{"content-length", "3"})...)
			} else {
				ann = ask(w)
				w.finds(m, test.age)
				ann.head("304", answer...)
				if got := ann.replyField().Get("set-cookie"); got != "sid=ANN" {
					t.Errorf("who asked gets the cookie %q", got)
				}
			}
			ann.exchange.Done()
			m = w.stored()
			ben := ask(w)
			w.finds(m, time.Second)
			if got := ben.replyField().Values("set-cookie"); ben.status != 200 || len(got) > 0 {
				t.Errorf("another request is answered %d with the cookies %q", ben.status, got)
			}
		})
	}
}

// lateRead waits for the fetch of what another read has found stale, hears of events meanwhile, and is let go.
func (w *world) lateRead(m wire.StoreRequest, events ...wire.Event) *fakeStream {
	w.t.Helper()
	w.now += 61 * time.Second
	w.feed(1)
	w.page()
	w.take(wire.PathLookup).ok(wire.LookupAnswer{
		State: wire.LookupHit, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: m.Entry, Age: 61_000, Remaining: m.TTL - 61_000,
	}.Encode())
	w.now += 900 * time.Millisecond
	late := w.page()
	if n := len(events); n > 0 {
		w.feed(1+uint64(n), events...)
	}
	w.now += 2100 * time.Millisecond
	for range 3 {
		w.run()
	}
	if late.resumed != 1 {
		w.t.Fatalf("resumed %d times, calls %s", late.resumed, w.paths())
	}
	return late
}

// A read that came after the lookup which found the stale response gets it in place of an error only
// while the VM hears of writes: one may have been acknowledged before it came.
//
//  1. a read looks up, finds something stale, and its origin is slow
//  2. the bridge loses this VM, and a write passes another proxy
//  3. a read comes, waits, and is let go with what 1 has found
//  4. the origin fails
func TestStaleIfErrorForAReadThatCameLater(t *testing.T) {
	for _, hears := range []bool{true, false} {
		w := newWorld(t, `"max_staleness": "3s"`, `"max_staleness": "300ms"`)
		w.lease()
		m := w.cached("before the write", maxAge("max-age=60, stale-if-error=600"), tagged)
		late := w.lateRead(m)
		if hears {
			w.feed(1) // its poll was sent too long ago
			w.feed(1)
		}
		late.head("503", [2]string{"content-length", "0"})
		if got := late.status == 200; got != hears {
			t.Errorf("hears of writes: %v; answered %d %q, %s", hears, late.status, late.reply, late.cacheStatus())
		}
	}
}

// A read that came after a write's acknowledgement, and waited for too long for what a lookup before the write has found, doesn't ask the origin whether that
// is the present response.
//
//  1. a read looks up, finds something stale (ticket 1), and its origin is slow
//  2. a write passes another proxy; its suspension is acknowledged, it commits, and is raised (2)
//  3. a read comes (the feed's event is on its way), and waits
//  4. the event comes: this VM knows that what 1 has found is invalid
//  5. the read of 3 has waited for max_wait: it goes with the validators of 1
//  6. the origin's Last-Modified has seconds: 304
func TestLateReadAfterAWrite(t *testing.T) {
	modified := [2]string{"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"}
	w := newWorld(t)
	w.lease()
	m := w.cached("before the write", maxAge("max-age=60, stale-if-error=600"), modified)
	late := w.lateRead(m, event(2, wire.EventSuspend, "c:pages"), event(3, wire.EventRaise, "c:pages"))
	if got := late.exchange.flow.(*read).request.stream.(*fakeStream).request.Get("if-modified-since"); got != "" {
		t.Errorf("forwarded with if-modified-since %q of what the VM knows to be invalid", got)
	}
	late.head("503")
	if late.status == 200 {
		t.Errorf("in place of an error it gets %q", late.reply)
	}
}

// A part has no fields that are about all of the content, and a 416 none of the response that it isn't.
func TestFieldsOfParts(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.cached("0123456789", maxAge("max-age=60"), tagged, [2]string{"content-type", "text/plain"},
		[2]string{"content-digest", "sha-256=:of-all-ten:"}, [2]string{"content-md5", "of-all-ten"}, [2]string{"repr-digest", "sha-256=:of-all-ten:"})
	for part, want := range map[string][]string{
		"bytes=2-4": {"cache-control", "etag", "content-type", "repr-digest", "date", "content-range", "age", "cache-status"},
		"bytes=10-": {"content-range", "age", "cache-status"},
	} {
		s := w.page([2]string{"range", part})
		var got []string
		for _, f := range s.replyField() {
			if f[0] != "content-length" {
				got = append(got, f[0])
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare)); diff != "" {
			t.Errorf("%s: %d\n%s", part, s.status, diff)
		}
	}
}
