package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// What the client has, and which part it wants, is answered from what is stored.
func TestStoredResponseIsSelected(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		field  [2]string
		status uint32
		body   string
		ranges string
	}{
		"plain":             {"GET", [2]string{"a", ""}, 200, "0123456789", ""},
		"HEAD":              {"HEAD", [2]string{"a", ""}, 200, "0123456789", ""},
		"the client's tag":  {"GET", [2]string{"if-none-match", `W/"a", "b"`}, 304, "", ""},
		"HEAD with the tag": {"HEAD", [2]string{"if-none-match", `"a"`}, 304, "", ""},
		"another tag":       {"GET", [2]string{"if-none-match", `"b"`}, 200, "0123456789", ""},
		"not modified":      {"GET", [2]string{"if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"}, 304, "", ""},
		"modified":          {"GET", [2]string{"if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT"}, 200, "0123456789", ""},
		"a part":            {"GET", [2]string{"range", "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		"the end":           {"GET", [2]string{"range", "bytes=-3"}, 206, "789", "bytes 7-9/10"},
		"beyond the end":    {"GET", [2]string{"range", "bytes=10-"}, 416, "", "bytes */10"},
		"several parts":     {"GET", [2]string{"range", "bytes=0-1,3-4"}, 200, "0123456789", ""},
		"HEAD with a range": {"HEAD", [2]string{"range", "bytes=2-4"}, 200, "0123456789", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			w.cached("0123456789", maxAge("max-age=60"), tagged, [2]string{"last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"})
			s := w.stream(test.method, "/pages/1", "", test.field)
			s.exchange.RequestHeaders(true)
			if s.status != test.status || string(s.reply) != test.body || s.replyField().Get("content-range") != test.ranges {
				t.Errorf("%d %q, content-range %q", s.status, s.reply, s.replyField().Get("content-range"))
			}
			s.wants("chatcache; hit; ttl=60; detail=l1")
		})
	}
}

// The Content-Range of a 200 has no meaning, and none beside a part's own.
func TestPartOfAResponseWithContentRange(t *testing.T) {
	w := newWorld(t)
	w.lease()
	odd := [2]string{"content-range", "odd"}
	w.cached("0123456789", maxAge("max-age=60"), odd)
	if s := w.page(); s.replyField().Get(odd[0]) != odd[1] {
		t.Errorf("the whole has %v", s.replyField())
	}
	for asked, want := range map[string]string{"bytes=2-4": "bytes 2-4/10", "bytes=10-": "bytes */10"} {
		if got := w.page([2]string{"range", asked}).replyField().Values(odd[0]); len(got) != 1 || got[0] != want {
			t.Errorf("%s: content-range %q", asked, got)
		}
	}
}

// A rule with a TTL answers them, too.
func TestConditionalRequestWithAFixedTTL(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.missed("ann")
	s.respond("200", "one", tagged)
	s = w.stream("GET", "/stats", "ann", [2]string{"if-none-match", `"a"`})
	s.exchange.RequestHeaders(true)
	if s.status != 304 || s.reply != nil {
		t.Errorf("%d %q", s.status, s.reply)
	}
}

// HEAD and Range that miss are forwarded as they came, alone, and nothing partial is stored.
func TestMissOfAPart(t *testing.T) {
	for name, test := range map[string]struct {
		method, status, want string
		field                [2]string
	}{
		"HEAD":             {"HEAD", "200", "chatcache; fwd=uri-miss; detail=head", [2]string{"a", ""}},
		"206":              {"GET", "206", "chatcache; fwd=uri-miss; detail=status", [2]string{"range", "bytes=0-1"}},
		"200 all the same": {"GET", "200", "chatcache; fwd=uri-miss; stored", [2]string{"range", "bytes=0-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.stream(test.method, "/pages/1", "", test.field)
			s.exchange.RequestHeaders(true)
			c := w.take(wire.PathLookup)
			if asked, _ := wire.DecodeLookupRequest(c.frame); asked.Fetch != "" {
				t.Error("it asks for the fetch lease")
			}
			c.miss(1)
			if s.request.Get(test.field[0]) != test.field[1] {
				t.Errorf("forwarded as %v", s.request)
			}
			s.respond(test.status, "one", maxAge("max-age=60"))
			s.wants(test.want)
		})
	}
}

// A read that fetches for others asks for the whole response.
func TestConditionalRequestThatFetchesForOthers(t *testing.T) {
	w := newWorld(t)
	s := w.page([2]string{"if-none-match", `"a"`})
	c := w.take(wire.PathLookup)
	c.ok(wire.LookupAnswer{State: wire.LookupMiss, Granted: true, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}.Encode())
	if s.request.Has("if-none-match") {
		t.Error("its answer may be a 304 that is of no use to anybody else")
	}
	s = w.stream("GET", "/pages/2", "", [2]string{"if-none-match", `"a"`})
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1) // without the lease: nobody waits
	if !s.request.Has("if-none-match") {
		t.Error("the client's condition is lost")
	}
}

func TestRequestDirectives(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		age     time.Duration
		hit     bool
		why     string
	}{
		"max-age":   {"max-age=30", 30 * time.Second, true, ""},
		"older":     {"max-age=30", 31 * time.Second, false, "request"},
		"min-fresh": {"min-fresh=40", 30 * time.Second, false, "request"},
		"no-cache":  {"no-cache", 0, false, "request"},
		"max-stale": {"max-stale=10", 65 * time.Second, true, ""},
		"too stale": {"max-stale=10", 75 * time.Second, false, "stale"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := w.cached("one", maxAge("max-age=60"), tagged)
			s := w.page(maxAge(test.request))
			w.finds(m, test.age)
			if (s.status == 200) != test.hit {
				t.Errorf("reply %d", s.status)
			}
			if test.hit {
				return
			}
			s.respond("200", "two", maxAge("max-age=60"))
			s.wants("chatcache; fwd=" + test.why + "; stored")
		})
	}
}

func TestOnlyIfCached(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.page(maxAge("only-if-cached"))
	w.take(wire.PathLookup).miss(1)
	s.wants("chatcache; detail=only-if-cached")
	if s.status != 504 || s.resumed != 0 {
		t.Errorf("%d, resumed %d", s.status, s.resumed)
	}
	w.down = true
	s = w.page(maxAge("only-if-cached"))
	if s.status != 504 {
		t.Errorf("without a bridge: %d", s.status)
	}
	w.down = false
	w.cached("one", maxAge("max-age=60"))
	w.page(maxAge("only-if-cached")).wants("chatcache; hit; ttl=60; detail=l1")
}

func TestStatusTTLAndJitter(t *testing.T) {
	w := newWorld(t)
	w.plugin = w.configure(`{"version": 1, "name": "other", "bridge": {"cluster": "bridge"}, "l1": false, "collapse": false,
		"caches": {"pages": {"match": ["GET /pages/{page}"], "ttl": "100s", "status_ttl": {"404": "10s"}, "ttl_jitter": "50%", "shared": true}}}`)
	seen := map[int64]bool{}
	for range 20 {
		w.now += 12345 * time.Microsecond
		s := w.page()
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one")
		ttl := w.stored().TTL
		if ttl < 50_000 || ttl > 100_000 {
			t.Errorf("kept for %d ms", ttl)
		}
		seen[ttl] = true
	}
	if len(seen) < 5 {
		t.Errorf("all are kept equally long: %v", seen)
	}
	s := w.page()
	w.take(wire.PathLookup).miss(1)
	s.respond("404", "none")
	m := w.stored()
	if m.TTL > 10_000 {
		t.Errorf("404 is kept for %d ms", m.TTL)
	}
	s = w.page()
	w.finds(m, time.Second)
	if s.status != 404 || string(s.reply) != "none" {
		t.Errorf("%d %q", s.status, s.reply)
	}
	s = w.page()
	w.take(wire.PathLookup).miss(1)
	s.respond("500", "broken")
	s.wants("chatcache; fwd=uri-miss; detail=status")
}

// Another path, query, host or partition is another response.
func TestTheKeyTellsRequestsApart(t *testing.T) {
	w := newWorld(t)
	w.lease()
	w.cached("one", maxAge("max-age=60"))
	for _, path := range []string{"/pages/2", "/pages/1?a=b"} {
		s := w.stream("GET", path, "")
		s.exchange.RequestHeaders(true)
		if s.status != 0 {
			t.Errorf("%s is answered with what was stored for /pages/1", path)
		}
	}
	s := w.stream("GET", "/pages/1", "")
	s.request[1][1] = "other.test"
	s.exchange.RequestHeaders(true)
	if s.status != 0 {
		t.Error("another host is answered with it")
	}
	w.page().wants("chatcache; hit; ttl=60; detail=l1")
}
