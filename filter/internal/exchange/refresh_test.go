package exchange

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"

	"github.com/google/go-cmp/cmp"
)

const withLoopback = `"allow_on_headers_stop_iteration": true, "loopback_cluster": "self"`

// refreshing is a world with a loopback, in which a page was stored two seconds ago and is stale
// since a second.
func refreshing(t *testing.T, edits ...string) (*world, wire.StoreRequest) {
	w := newWorld(t)
	edits = append([]string{`"allow_on_headers_stop_iteration": true`, withLoopback}, edits...)
	w.plugin = w.configure(strings.NewReplacer(edits...).Replace(testPolicy))
	w.lease()
	m := w.cached("one", maxAge("max-age=1, stale-while-revalidate=60"), tagged)
	w.passes(2 * time.Second)
	return w, m
}

// passes lets time pass in which the feed goes on.
func (w *world) passes(d time.Duration) {
	w.t.Helper()
	w.now += d
	w.run()
	w.feed(1)
}

// asksAgain is the request that the VM sends through its proxy to refresh the page; answered ends it.
func (w *world) asksAgain() (fields httpcache.Fields, answered func(status string)) {
	w.t.Helper()
	w.run()
	c := w.take("self /pages/1")
	if c.owner != "root" {
		w.t.Errorf("asked from %s", c.owner)
	}
	return w.fetched[len(w.fetched)-1], func(status string) { c.done(Answer{Status: status}) }
}

// arrives is a request that was sent through the proxy.
func (w *world) arrives(fields httpcache.Fields) *fakeStream {
	s := w.stream(fields.Get(":method"), fields.Get(":path"), "", fields[3:]...)
	s.exchange.RequestHeaders(true)
	return s
}

// refreshes has the stale page answer, and the request that refreshes it find the same.
func (w *world) refreshes(m wire.StoreRequest) (own *fakeStream, answered func(status string)) {
	w.t.Helper()
	w.page()
	w.finds(m, 2*time.Second)
	fields, answered := w.asksAgain()
	own = w.arrives(fields)
	w.finds(m, 2*time.Second)
	return own, answered
}

func (w *world) wantRefreshes(ended, failed uint64) {
	w.t.Helper()
	if e, f := w.counts["chatcache.cache.pages.refreshes"], w.counts["chatcache.cache.pages.refresh_failures"]; e != ended || f != failed {
		w.t.Errorf("%d refreshes, %d failed, want %d and %d", e, f, ended, failed)
	}
}

// What is stale answers at once and is validated by a request of the proxy's own, once, as whoever was answered.
func TestRefresh(t *testing.T) {
	w, m := refreshing(t)
	s := w.page([2]string{"cookie", "c=1"}, [2]string{"if-none-match", `"b"`}, [2]string{"x-request-id", "1"})
	w.finds(m, 2*time.Second)
	s.wants("chatcache; hit; ttl=-1; detail=l2")
	fields, answered := w.asksAgain()
	want := httpcache.Fields{{":method", "GET"}, {":path", "/pages/1"}, {":authority", "chat.test"},
		{refreshField, fields.Get(refreshField)}, {"cookie", "c=1"}}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("asked for:\n%s", diff)
	}
	for range 3 {
		w.page().wants("chatcache; hit; ttl=-1; detail=l1")
	}
	w.none(wire.PathLookup)

	own := w.arrives(fields)
	w.finds(m, 2*time.Second)
	if own.status != 0 || own.request.Get("if-none-match") != `"a"` || own.request.Has(refreshField) {
		t.Fatalf("reply %d, the origin is asked %v", own.status, own.request)
	}
	own.head("304", maxAge("max-age=30"))
	own.wants("chatcache; fwd=stale; fwd-status=304; stored")
	own.exchange.Done()
	answered("200")
	w.wantRefreshes(1, 0)
	w.stored()
	w.page().wants("chatcache; hit; ttl=30; detail=l1")
	w.run()
	if len(w.fetched) != 1 {
		t.Errorf("asked %d times", len(w.fetched))
	}
}

// Another worker of the proxy may get the request. The VM that has sent it then finds in Redis what that one has stored.
func TestRefreshByAnotherVM(t *testing.T) {
	w, m := refreshing(t)
	w.page()
	w.finds(m, 2*time.Second)
	fields, answered := w.asksAgain()
	other, _ := refreshing(t)
	own := other.arrives(fields)
	other.finds(m, 2*time.Second)
	own.respond("200", "two", maxAge("max-age=60"))
	own.wants("chatcache; fwd=stale; stored")
	m = other.stored()
	answered("200")
	s := w.page()
	w.finds(m, 0)
	if s.wants("chatcache; hit; ttl=60; detail=l2"); string(s.reply) != "two" {
		t.Errorf("%q", s.reply)
	}
}

// Reads that HEAD, a range or a condition makes other answers are answered stale, too, and refresh the whole response.
func TestRefreshOfAPart(t *testing.T) {
	for name, field := range map[string][2]string{"range": {"range", "bytes=0-0"}, "HEAD": {":method", "HEAD"}, "condition": {"if-none-match", `"a"`}} {
		t.Run(name, func(t *testing.T) {
			w, m := refreshing(t)
			s := w.stream("GET", "/pages/1", "")
			if s.request = append(s.request, field); field[0] == ":method" {
				s.request = append(httpcache.Fields{field}, s.request[1:len(s.request)-1]...)
			}
			s.exchange.RequestHeaders(true)
			w.finds(m, 2*time.Second)
			s.wants("chatcache; hit; ttl=-1; detail=l2")
			if fields, _ := w.asksAgain(); fields.Get(":method") != "GET" || fields.Has("range") || fields.Has("if-none-match") {
				t.Errorf("asked %v", fields)
			}
		})
	}
}

// Where a refresh has changed nothing, requests validate by themselves for a while.
func TestRefreshInVain(t *testing.T) {
	for _, status := range []string{"200", "404", "421", ""} {
		t.Run("status "+status, func(t *testing.T) {
			w, m := refreshing(t)
			w.page()
			w.finds(m, 2*time.Second)
			_, answered := w.asksAgain()
			answered(status)
			s := w.page()
			w.finds(m, 2*time.Second)
			if s.resumed != 1 || s.request.Get("if-none-match") != `"a"` {
				t.Errorf("resumed %d: %v", s.resumed, s.request)
			}
			s.exchange.Done()
			w.settle()
			w.passes(refreshRemembers)
			w.page()
			w.finds(m, 2*time.Second+refreshRemembers)
			w.asksAgain()
		})
	}
}

// After an error of the origin the stale response goes on to answer, and the origin is left alone for a moment.
func TestRefreshThatFails(t *testing.T) {
	w, m := refreshing(t)
	own, answered := w.refreshes(m)
	own.respond("503", "broken")
	own.wants("chatcache; fwd=stale; detail=no-caching-stated")
	answered("503")
	w.wantRefreshes(1, 1)
	w.settle()
	w.page().wants("chatcache; hit; ttl=-1; detail=l1")
	w.passes(markFault)
	s := w.page()
	w.finds(m, 2*time.Second+markFault)
	s.wants("chatcache; hit; ttl=-2; detail=l2")
	w.asksAgain()
}

// A refresh that was refused, since it came back with another scheme or identity, has failed, and so has one without an answer: else nobody would see why
// every stale response is validated by who finds it.
func TestRefreshesThatFailAreCounted(t *testing.T) {
	for _, status := range []string{"421", "", "503"} {
		w, m := refreshing(t)
		w.page()
		w.finds(m, 2*time.Second)
		_, answered := w.asksAgain()
		answered(status)
		w.wantRefreshes(1, 1)
	}
}

// What a write has made invalid, or may make at this moment, is never used stale, whatever is under way.
func TestRefreshAndWrites(t *testing.T) {
	w, m := refreshing(t)
	own, _ := w.refreshes(m)
	w.feed(2, event(2, wire.EventRaise, "c:pages"))
	own.head("304", maxAge("max-age=60"))
	own.exchange.Done()
	if entry, err := wire.DecodeEntry(w.stored().Entry); err != nil || entry.Ticket.Sequence != 1 {
		t.Errorf("stored with the ticket %v (%v), want that of the refresh's lookup", entry.Ticket, err)
	}
	s := w.page()
	if s.status != 0 {
		t.Error("a read after the write is answered from L1")
	}
	w.take(wire.PathLookup).miss(2)
	s.respond("200", "two", maxAge("max-age=60"))
	s.wants("chatcache; fwd=uri-miss; stored")
}

// A refresh that finds out that the origin has nothing in place of what is stored, or nothing that may be stored: that is used
// no more before the origin has confirmed it. An answer that is about the request alone says nothing of it.
func TestRefreshThatFindsNothingToStore(t *testing.T) {
	for name, tt := range map[string]struct {
		status, control string
		used            bool
	}{
		"private now": {status: "200", control: "private"},
		"not found":   {status: "404"},
		"gone":        {status: "410", control: "no-store"},
		"refused":     {status: "406", used: true},
		"an error":    {status: "500", used: true},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := refreshing(t)
			own, answered := w.refreshes(m)
			own.respond(tt.status, "new", maxAge(tt.control))
			if !tt.used {
				m = w.stored()
			}
			answered(tt.status)
			w.run()
			w.calls = nil
			w.passes(11 * time.Second)
			next := w.page()
			w.finds(m, 13*time.Second)
			if (next.status == 200) != tt.used {
				t.Errorf("the next client gets %d: %s", next.status, next.cacheStatus())
			}
		})
	}
}

// A client may send the mark of a refresh, and make the origin answer with what can't be stored. What is fresh stays so.
func TestRefreshOfAClient(t *testing.T) {
	w := newWorld(t)
	m := w.cached("one", maxAge("max-age=3600"), tagged)
	s := w.page()
	digest := wire.KeyDigest(s.exchange.flow.(*read).base)
	w.finds(m, 10*time.Second)
	s = w.page(maxAge("max-age=0"), [2]string{refreshField, digest + " client"})
	w.finds(m, 10*time.Second)
	s.respond("200", "new", maxAge("max-age=3600"), [2]string{"set-cookie", "a=b"})
	s.wants("chatcache; fwd=request; detail=set-cookie")
	w.run()
	w.none(wire.PathStore)
}

// A refresh that finds a response which turns out to be too large does that, too, and one of what had no validator.
func TestRefreshThatCannotStore(t *testing.T) {
	t.Run("too large", func(t *testing.T) {
		w, m := refreshing(t)
		own, _ := w.refreshes(m)
		own.head("200", maxAge("max-age=60"), [2]string{"transfer-encoding", "chunked"})
		w.run()
		w.none(wire.PathStore)
		own.send(strings.Repeat("x", w.plugin.Policy.Cache("pages").MaxResponse+1), false)
		if m := w.stored(); m.TTL == 0 {
			t.Error("nothing is stored")
		}
		own.exchange.Done()
	})
	t.Run("no validator", func(t *testing.T) {
		w := newWorld(t, `"allow_on_headers_stop_iteration": true`, withLoopback)
		w.lease()
		m := w.cached("one", maxAge("max-age=1, stale-while-revalidate=60"))
		w.passes(2 * time.Second)
		own, _ := w.refreshes(m)
		own.respond("200", "new", maxAge("private"))
		m = w.stored()
		next := w.page()
		w.finds(m, time.Second)
		if next.status != 0 {
			t.Errorf("the next client gets %d: %s", next.status, next.cacheStatus())
		}
	})
}

// A request for a refresh that is another's than the one that was answered never reaches the origin, and
// neither does one that could store nothing.
func TestMisdirectedRefresh(t *testing.T) {
	w, m := refreshing(t)
	w.page()
	w.finds(m, 2*time.Second)
	right, _ := w.asksAgain()
	change := func(name, value string) httpcache.Fields {
		fields := slices.Clone(right)
		for i, f := range fields {
			if f[0] == name {
				fields[i][1] = value
			}
		}
		return fields
	}
	for name, refused := range map[string]struct {
		fields  httpcache.Fields
		happens func()
	}{
		"another path":       {fields: change(":path", "/pages/2")},
		"another cache":      {fields: change(":path", "/models")},
		"nobody":             {fields: change(":path", "/stats")},
		"a digest of none":   {fields: change(refreshField, "1")},
		"an id with a space": {fields: change(refreshField, right.Get(refreshField)+" x")},
		"no id":              {fields: change(refreshField, strings.Fields(right.Get(refreshField))[0])},
		"an id of nobody's":  {fields: change(refreshField, right.Get(refreshField)+strings.Repeat("x", wire.MaxID))},
		"a cache of bodies":  {fields: httpcache.Fields{{":method", "POST"}, {":path", "/flags"}, {":authority", "chat.test"}, right[3]}},
		"no-store":           {fields: append(slices.Clone(right), [2]string{"cache-control", "no-store"})},
		"a write in flight": {fields: right, happens: func() {
			w.take(wire.PathLookup).answer(wire.LookupAnswer{State: wire.LookupSuspended})
		}},
		"the bridge fails": {fields: right, happens: func() { w.take(wire.PathLookup).fails() }},
	} {
		s := w.arrives(refused.fields)
		if refused.happens != nil {
			refused.happens()
		}
		if s.status != 421 || s.resumed != 0 {
			t.Errorf("%s: reply %d, resumed %d", name, s.status, s.resumed)
			continue
		}
		s.wants("chatcache; detail=misdirected")
		s.exchange.Done()
		w.settle()
	}
	w.nothingLeft()
}

// Where no request of the proxy's own can stand for the client's, the client's validates.
func TestNotRefreshed(t *testing.T) {
	for name, edits := range map[string][]string{
		"no loopback": {withLoopback, `"upstream_http2": false`, `"allow_on_headers_stop_iteration": true`, `"upstream_http2": false`},
		"the identity is of the connection": {
			`{"header": "authorization"}`, `{"property": ["connection", "uri_san_peer_certificate"]}`, `"ttl": "origin", "shared": true`, `"ttl": "origin"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			edits = append(edits, `"allow_on_headers_stop_iteration": true`, withLoopback)
			w.plugin = w.configure(strings.NewReplacer(edits...).Replace(testPolicy))
			page := func() *fakeStream {
				s := w.stream("GET", "/pages/1", "")
				s.properties["connection.uri_san_peer_certificate"] = []byte("ann")
				s.exchange.RequestHeaders(true)
				return s
			}
			first := page()
			w.take(wire.PathLookup).miss(1)
			first.respond("200", "one", maxAge("max-age=1, stale-while-revalidate=60"), tagged)
			m := w.stored()
			s := page()
			w.finds(m, 2*time.Second)
			w.run()
			if s.resumed != 1 || len(w.fetched) > 0 {
				t.Errorf("resumed %d, reply %d, asked for %v", s.resumed, s.status, w.fetched)
			}
		})
	}
}

// However much is stale, the refreshes under way are bounded; beyond that requests validate.
func TestRefreshesAreBounded(t *testing.T) {
	w, m := refreshing(t)
	stale := func(i int) *fakeStream {
		s := w.stream("GET", fmt.Sprintf("/pages/%d", i), "")
		s.exchange.RequestHeaders(true)
		w.finds(m, 2*time.Second)
		w.run()
		return s
	}
	for i := range maxRefreshes {
		stale(i).wants("chatcache; hit; ttl=-1; detail=l2")
	}
	if s := stale(maxRefreshes); s.resumed != 1 || len(w.fetched) != maxRefreshes {
		t.Errorf("resumed %d, %d under way", s.resumed, len(w.fetched))
	}
	w.plugin.Close()
	if rs := w.plugin.state.refreshes; len(rs.under) > 0 || len(w.plugin.state.loopback.sent) > 0 {
		t.Errorf("%d are left of a plugin that has ended", len(rs.under))
	}
	for i := range 2 * maxRefreshed {
		w.plugin.state.refreshes.begin(fmt.Sprint(i), nil, &w.plugin.metrics[0], 0)
		for _, f := range w.plugin.state.loopback.queue {
			f.ended(w.plugin, "200")
		}
		w.plugin.state.loopback.queue = nil
	}
	if n := len(w.plugin.state.refreshes.ended); n > maxRefreshed {
		t.Errorf("%d are remembered", n)
	}
}

// A refresh whose response can't be held at the moment says nothing of what is stored.
func TestRefreshThatCannotBeHeld(t *testing.T) {
	w, m := refreshing(t)
	own, _ := w.refreshes(m)
	before := w.plugin.state.captured
	w.plugin.state.captured = maxCaptured
	own.head("200", maxAge("max-age=60"), [2]string{"content-length", "10"})
	own.wants("chatcache; fwd=stale; detail=capture-limit")
	w.run()
	w.none(wire.PathStore)
	w.plugin.state.captured = before
	own.exchange.Done()
}
