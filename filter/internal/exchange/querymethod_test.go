package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

const asksFor = `{"color": "red", "page": 1}`

// asks sends a request with a body to the cache of queries.
func (w *world) asks(method, body string, extra ...[2]string) *fakeStream {
	s := w.stream(method, "/queries", "", append([][2]string{{"content-type", "Application/JSON; charset=utf-8"}}, extra...)...)
	s.body = []byte(body)
	if s.exchange.RequestHeaders(false) == PauseForBody {
		s.exchange.RequestBody(len(body), true)
	}
	return s
}

// A QUERY is keyed by its body, answered from what is stored with the client's preconditions and ranges like a GET, and validated.
func TestQuery(t *testing.T) {
	w := newWorld(t)
	s := w.asks("QUERY", asksFor)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "red things", maxAge("max-age=60"), tagged)
	s.wants("chatcache; fwd=uri-miss; stored")
	m := w.stored()
	for name, test := range map[string]struct {
		extra  [2]string
		status uint32
		body   string
	}{
		"the same in another form": {status: 200, body: "red things"},
		"a condition":              {[2]string{"if-none-match", `"a"`}, 304, ""},
		"a range":                  {[2]string{"range", "bytes=0-2"}, 206, "red"},
	} {
		s := w.asks("QUERY", `{"page":1,"color":"red"}`, test.extra)
		if asked := w.calls[len(w.calls)-1].lookup(w); asked.Key != m.Key {
			t.Errorf("%s: asked for %s, stored as %s", name, asked.Key, m.Key)
		}
		w.finds(m, 0)
		if s.wants("chatcache; hit; ttl=60; detail=l2"); s.status != test.status || string(s.reply) != test.body {
			t.Errorf("%s: %d %q", name, s.status, s.reply)
		}
		s.exchange.Done()
	}
	stale := w.asks("QUERY", asksFor, [2]string{"if-none-match", `"b"`})
	w.finds(m, 70*time.Second)
	if got := stale.request.Values("if-none-match"); len(got) != 1 || got[0] != `"a"` {
		t.Errorf("the origin is asked for %q", got)
	}
	stale.head("304", maxAge("max-age=60"))
	stale.wants("chatcache; fwd=stale; fwd-status=304; stored")
	stale.exchange.Done()

	other := w.asks("QUERY", `{"color": "blue"}`)
	if asked := w.take(wire.PathLookup).lookup(w); asked.Key == m.Key {
		t.Error("another query has the same key")
	}
	other.exchange.Done()
}

// What isn't said to be JSON isn't compared as JSON.
func TestQueryOfAnotherMediaType(t *testing.T) {
	w := newWorld(t)
	for _, media := range []string{"application/jsonpath+json", "text/plain", ""} {
		s := w.stream("QUERY", "/queries", "", [2]string{"content-type", media})
		if s.exchange.RequestHeaders(false) != Continue {
			t.Fatalf("%q is held", media)
		}
		s.respond("200", "x")
		s.wants("chatcache; fwd=bypass; detail=body-not-json")
	}
}

// A POST is never made conditional: with If-None-Match it would fail where a GET is answered 304.
func TestStalePostIsNotConditional(t *testing.T) {
	w := newWorld(t)
	s := w.asks("POST", asksFor)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "red things", maxAge("max-age=60, stale-if-error=600"), tagged)
	m := w.stored()
	s = w.asks("POST", asksFor)
	w.finds(m, 70*time.Second)
	if s.resumed != 1 || s.request.Has("if-none-match") {
		t.Errorf("resumed %d: %v", s.resumed, s.request)
	}
	s.head("503")
	s.wants("chatcache; fwd=stale; fwd-status=503; detail=stale-if-error")
	s.exchange.Done()
	w.run()
	w.take(wire.PathRelease).ack()
	w.nothingLeft()
}
