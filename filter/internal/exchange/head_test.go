package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// headOfPage begins a HEAD of the page.
func (w *world) headOfPage(extra ...[2]string) *fakeStream {
	s := w.stream("HEAD", "/pages/1", "", extra...)
	s.exchange.RequestHeaders(true)
	return s
}

// What the origin answers to a HEAD that was forwarded updates what is stored for a GET, or makes it stale (RFC 9111 section 4.3.5).
func TestHeadUpdates(t *testing.T) {
	length := [2]string{"content-length", "3"}
	for name, test := range map[string]struct {
		answer [][2]string
		status string // of the HEAD, behind why it was forwarded
		age    string // of a GET after it; "" where that validates
	}{
		"it is the present one":      {[][2]string{tagged, length, maxAge("max-age=50"), {"x-new", "1"}}, "stored", "0"},
		"another tag":                {[][2]string{{"etag", `"b"`}, length, maxAge("max-age=50")}, "detail=head", ""},
		"another length":             {[][2]string{tagged, {"content-length", "4"}, maxAge("max-age=50")}, "detail=head", ""},
		"it must not be stored more": {[][2]string{tagged, length, maxAge("no-store")}, "detail=head", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.cached("one", maxAge("max-age=60, stale-while-revalidate=600"), tagged)
			s := w.headOfPage(maxAge("max-age=10"))
			w.finds(m, 20*time.Second)
			s.head("200", test.answer...)
			s.wants("chatcache; fwd=request; " + test.status)
			s.exchange.ResponseBody(0, true)
			s.exchange.Done()
			w.run()
			for _, c := range w.calls {
				if c.path == wire.PathStore {
					m = w.stored()
				}
			}
			get := w.page()
			w.finds(m, 0)
			if got := get.replyField().Get("age"); got != test.age {
				t.Errorf("a GET after it has age %q, want %q; resumed %d", got, test.age, get.resumed)
			}
			if test.age != "" && (get.replyField().Get("x-new") != "1" || string(get.reply) != "one") {
				t.Errorf("a GET after it: %q %v", get.reply, get.replyField())
			}
			if test.age == "" && get.request.Get("if-none-match") != `"a"` {
				t.Errorf("a GET after it asks %v", get.request)
			}
			if n := w.counts["chatcache.cache.pages.reason.head.unstored"]; n != 0 {
				t.Errorf("%d counted as unstored: what is stored was stored again", n)
			}
			if get.exchange.Done(); w.plugin.state.captured != 0 {
				t.Errorf("%d bytes still reserved", w.plugin.state.captured)
			}
		})
	}
}

// A HEAD validates like a GET, and is answered in place of errors like one.
func TestHeadValidates(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60, stale-if-error=60"), tagged)
	s := w.headOfPage()
	w.finds(m, 70*time.Second)
	if s.request.Get("if-none-match") != `"a"` {
		t.Errorf("the origin is asked %v", s.request)
	}
	s.head("304")
	s.wants("chatcache; fwd=stale; fwd-status=304; stored")
	s.exchange.Done()
	m = w.stored()
	s = w.headOfPage()
	w.finds(m, 0)
	s.wants("chatcache; hit; ttl=60; detail=l2")
	s.exchange.Done()
	s = w.headOfPage()
	w.finds(m, 70*time.Second)
	s.head("503", [2]string{"content-length", "0"})
	s.wants("chatcache; fwd=stale; fwd-status=503; detail=stale-if-error")
	s.exchange.Done()
	w.nothingLeft()
}

// The proxy's own answer, and one without a validator, say nothing of what is stored.
func TestHeadThatSaysNothing(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=60"), tagged)
	for details, fields := range map[string][2]string{"direct_response": tagged, "via_upstream": {"x", "1"}} {
		s := w.headOfPage()
		w.finds(m, 70*time.Second)
		s.properties["response.code_details"] = []byte(details)
		s.head("200", fields, [2]string{"content-length", "3"}, maxAge("max-age=60"))
		s.wants("chatcache; fwd=stale; detail=head")
		s.exchange.Done()
	}
	w.run()
	w.none(wire.PathStore)
	w.nothingLeft()
}

// What a HEAD has shown to be outdated leaves L1 also where that may not be filled at the moment.
func TestHeadOutdatesL1(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=60"), tagged)
	w.now += 10 * time.Second // the lease is over
	s := w.headOfPage(maxAge("no-cache"))
	w.finds(m, 10*time.Second)
	s.head("200", [2]string{"etag", `"b"`}, [2]string{"content-length", "3"})
	s.wants("chatcache; fwd=request; detail=head")
	s.exchange.Done()
	w.feed(1)
	w.run()
	w.feed(1) // the lease is back
	if get := w.page(); get.status != 0 {
		t.Errorf("a GET after it: %q, %q", get.cacheStatus(), get.reply)
	}
}

// What a HEAD's answer says of its own exchange, a cookie for example, leaves what is stored as it is; and one that a client has
// made look like a refresh says what it says once.
func TestHeadOfOneExchange(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=3600"), tagged)
	s := w.headOfPage(maxAge("max-age=0"))
	w.finds(m, 10*time.Second)
	digest := wire.KeyDigest(s.exchange.flow.(*read).base)
	s.head("200", maxAge("max-age=3600"), tagged, [2]string{"content-length", "3"}, [2]string{"set-cookie", "a=b"})
	s.exchange.ResponseBody(0, true)
	s.exchange.Done()
	w.run()
	w.none(wire.PathStore)

	refresh := [2]string{refreshField, digest + " client"}
	s = w.headOfPage(maxAge("max-age=0"), refresh)
	w.finds(m, 10*time.Second)
	s.head("200", maxAge("max-age=3600"), [2]string{"etag", `"b"`}, [2]string{"content-length", "3"})
	s.exchange.ResponseBody(0, true)
	s.exchange.Done()
	w.stored()
	w.run()
	w.none(wire.PathStore)
}
