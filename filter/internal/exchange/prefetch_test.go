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

// paged is a world in which the pages of /stats follow each other, and the cluster self leads to the proxy.
func paged(t *testing.T) *world {
	w := newWorld(t)
	w.plugin = w.configure(pagedPolicy("self"))
	w.lease()
	return w
}

func pagedPolicy(loopback string) string {
	host := `"allow_on_headers_stop_iteration": true`
	if loopback != "" {
		host += `, "loopback_cluster": "` + loopback + `"`
	}
	return strings.NewReplacer(
		`"allow_on_headers_stop_iteration": true`, host,
		`["GET /stats"], "ttl": "600s"`, `["GET /stats"], "ttl": "600s", "prefetch": {"parameter": "page", "more": "/more"}`,
	).Replace(testPolicy)
}

const (
	page     = `{"more":true}`
	lastPage = `{"more":false}`
)

// paging is ann's read of a path that misses and is answered with the body.
func (w *world) paging(path, body string, extra ...[2]string) {
	w.t.Helper()
	s := w.stream("GET", path, "ann", extra...)
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", body)
	w.run()
	w.take(wire.PathStore).ack()
}

// wantPrefetches compares the pages that were asked for, and the metrics.
func (w *world) wantPrefetches(fetched, failed, hits uint64, paths ...string) {
	w.t.Helper()
	var got []string
	for _, f := range w.fetched {
		got = append(got, f.Get(":path"))
	}
	if diff := cmp.Diff(paths, got); diff != "" {
		w.t.Errorf("pages asked for:\n%s", diff)
	}
	for name, want := range map[string]uint64{"prefetches": fetched, "prefetch_failures": failed, "prefetch_hits": hits} {
		if got := w.counts["chatcache.cache.stats."+name]; got != want {
			w.t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// When a page is read the next one is asked for, as whoever has read it, at a cluster that leads to the proxy.
// The read that this makes prefetches nothing; who reads the page then is answered with it, and it is counted.
func TestPrefetch(t *testing.T) {
	w := paged(t)
	own := [][2]string{{"accept", "a"}, {"x-request-id", "1"}, {"x-envoy-internal", "true"}, {"cookie", "c=1"}, {"te", "trailers"}, {"if-none-match", `"a"`},
		{"if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"}, {"if-range", `"a"`}, {"cache-control", "max-age=60"}, {"pragma", "no-cache"},
		{"connection", "keep-alive"}, {"keep-alive", "timeout=5"}, {"proxy-connection", "keep-alive"}, {"trailer", "x-sum"}, {"content-length", "0"}}
	w.paging("/stats?page=1&q=a", page, own...)
	call := w.take("self /stats?page=2&q=a")
	want := httpcache.Fields{{":method", "GET"}, {":path", "/stats?page=2&q=a"}, {":authority", "chat.test"}, {"x-chatcache-prefetch", w.fetched[0].Get(prefetchField)},
		{"authorization", "Bearer ann"}, {"accept", "a"}, {"cookie", "c=1"}}
	if diff := cmp.Diff(want, w.fetched[0]); call.owner != "root" || diff != "" {
		t.Errorf("asked from %s:\n%s", call.owner, diff)
	}
	ask := w.stream("GET", "/stats?page=2&q=a", "ann", want[3])
	ask.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	ask.respond("200", page, [2]string{"content-type", "application/json"})
	w.run()
	w.take(wire.PathStore).ack()
	call.done(Answer{Status: "200"})
	w.wantPrefetches(1, 0, 0, "/stats?page=2&q=a")

	s := w.stream("GET", "/stats?page=2&q=a", "ann")
	s.exchange.RequestHeaders(true)
	s.wants("chatcache; hit; ttl=600; detail=l1")
	if got := s.replyField(); got.Has(prefetchField) || got.Get("content-type") != "application/json" {
		t.Errorf("the client sees %v, want the page's fields without the mark", got)
	}
	w.run()
	w.wantPrefetches(1, 0, 1, "/stats?page=2&q=a", "/stats?page=3&q=a")
}

// What keeps a page from being asked for.
func TestNothingIsPrefetched(t *testing.T) {
	for name, read := range map[string]func(w *world){
		"the last page":     func(w *world) { w.paging("/stats", lastPage) },
		"not JSON":          func(w *world) { w.paging("/stats", "<html>") },
		"a prefetched page": func(w *world) { w.paging("/stats", page, [2]string{prefetchField, "1"}) },
		"another cache":     func(w *world) { w.paging("/models", page) },
		"it is in L1 already": func(w *world) {
			w.paging("/stats?page=2", lastPage)
			w.paging("/stats", page)
		},
		"it was asked for just now": func(w *world) {
			w.paging("/stats", page)
			w.fetched = nil
			s := w.stream("GET", "/stats", "ann")
			s.exchange.RequestHeaders(true)
			s.wants("chatcache; hit; ttl=600; detail=l1")
		},
		"nothing leads to the proxy": func(w *world) {
			w.plugin = w.configure(pagedPolicy(""))
			w.plugin.state.follower.follow()
			w.paging("/stats", page)
		},
		"what is not stored": func(w *world) {
			s := w.missed("ann")
			s.head("200", [2]string{"content-length", "99"})
			s.send(page, false)
			s.exchange.Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := paged(t)
			read(w)
			w.run()
			w.wantPrefetches(0, 0, 0)
		})
	}
}

// A page that was asked for is asked for again later; a failure is counted, and so is a cluster that isn't there.
func TestPrefetchAgain(t *testing.T) {
	w := paged(t)
	w.paging("/stats", page)
	w.take("self /stats?page=2").done(Answer{Status: "403"})
	w.now += prefetchAgainAfter
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true) // its lease is over: the bridge is asked
	w.take(wire.PathLookup).miss(1)
	s.respond("200", page)
	w.down = true
	w.run()
	w.wantPrefetches(0, 2, 0, "/stats?page=2", "/stats?page=2")
}

// However many pages are read, the requests under way and those of a second are bounded.
func TestPrefetchesAreBounded(t *testing.T) {
	w := paged(t)
	read := func(from, to int) {
		for i := from; i < to; i++ {
			w.paging(fmt.Sprintf("/stats?q=%d", i), page)
		}
	}
	read(0, 20)
	if len(w.fetched) != maxPrefetches {
		t.Errorf("%d are under way", len(w.fetched))
	}
	for i := 20; len(w.fetched) < prefetchesASecond; i++ {
		for _, c := range w.calls {
			if strings.HasPrefix(c.path, "self ") {
				w.take(c.path).done(Answer{Status: "200"})
				break
			}
		}
		read(i, i+1)
	}
	for len(w.plugin.state.loopback.sent) > 0 {
		for _, c := range w.calls {
			if strings.HasPrefix(c.path, "self ") {
				w.take(c.path).done(Answer{Status: "200"})
				break
			}
		}
	}
	read(100, 110)
	if len(w.fetched) != prefetchesASecond {
		t.Errorf("%d were begun in a second", len(w.fetched))
	}
	w.now += time.Second
	read(110, 111)
	if len(w.fetched) != prefetchesASecond+1 {
		t.Errorf("%d were begun, a second later", len(w.fetched))
	}
	w.plugin.Close()
	if n := len(w.plugin.state.loopback.sent); n > 0 {
		t.Errorf("%d are left of a plugin that has ended", n)
	}
}

// However many pages are read within the time for which each is left alone, what is remembered of them is bounded.
func TestPagesThatWereReadAreBounded(t *testing.T) {
	w := paged(t)
	ps := &w.plugin.state.prefetches
	for i := range 2 * maxPagesSeen {
		if !ps.mayBegin(fmt.Append(nil, i), w.Now()) {
			t.Fatalf("page %d leads to no other", i)
		}
	}
	if n := len(ps.seen); n > maxPagesSeen {
		t.Errorf("%d are remembered", n)
	}
}

// Pages that were under way when their plugin ended, or when the policy had no loopback any more, have failed, and keep others from nothing.
func TestPrefetchesOfAPolicyBefore(t *testing.T) {
	for name, sent := range map[string]bool{"under way": true, "not sent yet": false} {
		w := paged(t)
		for i := range maxPrefetches {
			s := w.stream("GET", fmt.Sprint("/stats?q=", i), "ann")
			s.exchange.RequestHeaders(true)
			w.take(wire.PathLookup).miss(1)
			s.respond("200", page)
		}
		old := w.plugin
		if sent {
			w.run()
			w.plugin = w.configure(pagedPolicy("self"))
		} else {
			w.plugin = w.configure(pagedPolicy("")) // it speaks for the VM now
			w.run()
			w.plugin = w.configure(pagedPolicy("self"))
		}
		calls := slices.Clone(w.calls)
		old.Close()
		for _, c := range calls {
			if strings.HasPrefix(c.path, "self ") {
				c.done(Answer{Status: "200"}) // it may stay until its writes are delivered
			}
		}
		w.run()
		if n := w.counts["chatcache.cache.stats.prefetch_failures"]; n != maxPrefetches {
			t.Errorf("%s: %d failures are counted, want %d", name, n, maxPrefetches)
		}
		if n := w.counts["chatcache.cache.stats.prefetches"]; n != 0 {
			t.Errorf("%s: %d of them are counted once more", name, n)
		}
		before := len(w.fetched)
		w.paging("/stats?q=next", page)
		if len(w.fetched) != before+1 {
			t.Errorf("%s: no page is prefetched any more", name)
		}
	}
}

// Where nothing is prefetched the mark of a prefetch is a client's own field, and nobody else's.
func TestMarkOfAClient(t *testing.T) {
	w := newWorld(t)
	w.lease()
	s := w.page([2]string{prefetchField, "1"})
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "one", maxAge("max-age=60"))
	w.stored()
	if s := w.page(); s.status != 200 || s.replyField().Has(prefetchField) {
		t.Errorf("%d with the fields %v", s.status, s.replyField())
	}
}

// What was prefetched under a policy before has a mark that isn't for clients.
func TestMarkOfAPolicyBefore(t *testing.T) {
	with := strings.NewReplacer(`"allow_on_headers_stop_iteration": true`, withLoopback, `"match": ["GET /pages/{page}"], "ttl": "origin", "shared": true`,
		`"match": ["GET /pages/{page}"], "ttl": "origin", "shared": true, "prefetch": {"parameter": "p", "more": "/more"}`).Replace(testPolicy)
	w := newWorld(t)
	w.plugin = w.configure(with)
	w.lease()
	s := w.page([2]string{prefetchField, "1"})
	w.take(wire.PathLookup).miss(1)
	s.respond("200", "{}", maxAge("max-age=60"))
	m := w.stored()
	w.plugin = w.configure(testPolicy)
	s = w.page()
	if s.status == 0 {
		w.finds(m, 0)
	}
	if s.status != 0 && s.replyField().Has(prefetchField) {
		t.Errorf("%v", s.replyField())
	}
}

// What the proxy refreshes nobody reads, so it leads to no other page.
func TestRefreshPrefetchesNothing(t *testing.T) {
	w, m := refreshing(t, `["GET /pages/{page}"], "ttl": "origin", "shared": true`,
		`["GET /pages/{page}"], "ttl": "origin", "shared": true, "prefetch": {"parameter": "p", "more": "/more"}`)
	own, _ := w.refreshes(m)
	own.respond("200", page, maxAge("max-age=60"))
	w.run()
	if len(w.fetched) != 1 {
		t.Errorf("asked for %v", w.fetched[1:])
	}
}

// A prefetch that comes without its reader's identity never reaches the origin: it would store nothing.
func TestPrefetchOfNobody(t *testing.T) {
	w := paged(t)
	s := w.stream("GET", "/stats?page=2", "", [2]string{prefetchField, "a digest"})
	s.exchange.RequestHeaders(true)
	if s.status != 421 || s.resumed != 0 {
		t.Errorf("reply %d, resumed %d", s.status, s.resumed)
	}
}

// A client's own field of that name is no reason to refuse what the cache can't be asked for.
func TestMarkOfAClientWithoutIdentity(t *testing.T) {
	w := paged(t)
	s := w.stream("GET", "/stats?page=2", "", [2]string{prefetchField, prefetchedMark})
	if got := s.exchange.RequestHeaders(true); got != Continue || s.status != 0 {
		t.Errorf("action %v, reply %d: it isn't forwarded", got, s.status)
	}
	s.respond("200", page)
	s.wants("chatcache; fwd=bypass; detail=no-identity")
}

// A page that was prefetched is of use once a client reads it, and not by another prefetch.
func TestPrefetchOfWhatIsPrefetched(t *testing.T) {
	w := paged(t)
	w.paging("/stats?page=1", page)
	mark := [2]string{prefetchField, w.fetched[0].Get(prefetchField)}
	w.paging("/stats?page=2", page, mark)
	s := w.stream("GET", "/stats?page=2", "ann", mark)
	s.exchange.RequestHeaders(true)
	s.wants("chatcache; hit; ttl=600; detail=l1")
	w.wantPrefetches(0, 0, 0, "/stats?page=2")
}

// Nor does one whose lookup the cache can't use: what it would fetch isn't stored.
func TestPrefetchThatCannotBeStored(t *testing.T) {
	for name, answer := range map[string]func(*call){
		"the bridge fails":  func(c *call) { c.fails() },
		"a write in flight": func(c *call) { c.answer(wire.LookupAnswer{State: wire.LookupSuspended}) },
	} {
		w := paged(t)
		w.paging("/stats?page=1", page)
		w.take("self /stats?page=2")
		s := w.stream("GET", "/stats?page=2", "ann", [2]string{prefetchField, w.fetched[0].Get(prefetchField)})
		s.exchange.RequestHeaders(true)
		answer(w.take(wire.PathLookup))
		if s.status != 421 || s.resumed != 0 {
			t.Errorf("%s: reply %d, resumed %d", name, s.status, s.resumed)
		}
	}
}
