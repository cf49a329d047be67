package exchange

import (
	"slices"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// What was answered by one scheme doesn't answer by the other, whoever says which it is: an http answer is often the
// redirect to https, and served there it would lead to itself.
func TestSchemes(t *testing.T) {
	http, https := [2]string{":scheme", "http"}, [2]string{":scheme", "https"}
	forwarded := func(scheme string) [2]string { return [2]string{"x-forwarded-proto", scheme} }
	for _, test := range []struct {
		first, then [][2]string
		hit         bool
	}{
		{[][2]string{http}, [][2]string{http}, true},
		{[][2]string{http}, [][2]string{https}, false},
		{[][2]string{https}, [][2]string{http}, false},
		{nil, [][2]string{http, forwarded("http")}, true},
		{[][2]string{https, forwarded("http")}, [][2]string{https, forwarded("https")}, false}, // by HTTP/2 a client may send any
		{[][2]string{http, forwarded("https")}, [][2]string{http, forwarded("http")}, false},
	} {
		w := newWorld(t)
		w.lease()
		s := w.page(test.first...)
		w.take(wire.PathLookup).miss(1)
		s.respond("301", "", maxAge("max-age=60"), [2]string{"location", "https://chat.test/pages/1"})
		s.wants("chatcache; fwd=uri-miss; stored")
		if s := w.page(test.then...); (s.status == 301) != test.hit {
			t.Errorf("first %v, then %v: reply %d, want a hit: %t", test.first, test.then, s.status, test.hit)
		}
	}
}

// What an origin makes of a client's own X-Forwarded-Host isn't the answer to anybody else.
func TestForwardedHostOfAClient(t *testing.T) {
	for _, field := range [][2]string{{"x-forwarded-host", "evil.test"}, {"forwarded", "host=evil.test"}, {"x-original-url", "/other"}, {"x_forwarded_host", "evil.test"}, {"x-forwarded-proto", "HTTP"}, {"x-forwarded-scheme", "HTTP"}} {
		w := newWorld(t)
		w.lease()
		s := w.page(field)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "see https://evil.test/", maxAge("max-age=60"))
		s.wants("chatcache; fwd=uri-miss; stored")
		if s := w.page(); s.status != 0 {
			t.Errorf("%q: another client gets %q", field, s.reply)
		}
		if s := w.page(field); s.status != 200 {
			t.Errorf("%q again is no hit", field)
		}
	}
}

// An unsafe request by either scheme invalidates what is stored for its URI by both.
func TestWriteByTheOtherScheme(t *testing.T) {
	for _, schemes := range [][2]string{{"http", "https"}, {"https", "http"}} {
		w := newWorld(t)
		w.lease()
		s := w.page([2]string{":scheme", schemes[0]})
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", maxAge("max-age=60"))
		groups := groupsOf(t, w.stored())
		s = w.stream("PUT", "/pages/1", "", [2]string{":scheme", schemes[1]})
		s.exchange.RequestHeaders(true)
		m, err := wire.DecodeSuspendRequest(w.take(wire.PathSuspend).frame)
		if err != nil || !slices.ContainsFunc(m.Groups, func(g string) bool { return slices.Contains(groups, g) }) {
			t.Errorf("%v: suspended %q, %v; stored with %q", schemes, m.Groups, err, groups)
		}
	}
}

// A refresh has the scheme of the read that it is for. Where the way through the listener has changed that, it is refused: it
// would be another's response.
func TestRefreshHasTheScheme(t *testing.T) {
	for _, arrives := range []string{"https", "http"} {
		w := newWorld(t, `"allow_on_headers_stop_iteration": true`, withLoopback)
		scheme := [2]string{":scheme", "https"}
		s := w.page(scheme)
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", maxAge("max-age=60, stale-while-revalidate=600"), tagged)
		m := w.stored()
		w.page(scheme)
		w.finds(m, 70*time.Second)
		w.run()
		fields := slices.Clone(w.fetched[0])
		if got := fields.Get(":scheme"); got != "https" {
			t.Fatalf("scheme %q of the refresh, want https", got)
		}
		for i := range fields {
			if fields[i][0] == ":scheme" {
				fields[i][1] = arrives
			}
		}
		if s := w.arrives(fields); (s.status == 421) != (arrives == "http") {
			t.Errorf("by %s: reply %d", arrives, s.status)
		}
	}
}

// A prefetch that would fill another key than the reader's reaches no origin.
func TestPrefetchOfAnothersKey(t *testing.T) {
	w := paged(t)
	https := [2]string{":scheme", "https"}
	w.paging("/stats?page=1", page, https)
	for name, test := range map[string]struct {
		drop, add [2]string
		refused   bool
	}{
		"as it was sent":     {},
		"by another scheme":  {https, [2]string{":scheme", "http"}, true},
		"another's":          {[2]string{"authorization", "Bearer ann"}, [2]string{"authorization", "Bearer ben"}, true},
		"its scheme is told": {https, [2]string{"x-forwarded-proto", "https"}, false}, // Envoy takes it for the scheme
	} {
		fields := slices.DeleteFunc(slices.Clone(w.fetched[0]), func(f [2]string) bool { return f == test.drop })
		if test.add[0] != "" {
			fields = append(fields, test.add)
		}
		s := w.arrives(fields)
		if (s.status == 421) != test.refused {
			t.Errorf("%s: reply %d, refused %t", name, s.status, test.refused)
			continue
		}
		if test.refused {
			s.wants("chatcache; detail=misdirected")
		} else if got := s.request.Values(prefetchField); !slices.Equal(got, []string{"1"}) {
			t.Errorf("%s: the origin sees the mark %q", name, got)
		}
		s.exchange.Done()
	}
}
