package exchange

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// groupsOf are those that an entry was stored with.
func groupsOf(t *testing.T, m wire.StoreRequest) []string {
	t.Helper()
	entry, err := wire.DecodeEntry(m.Entry)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Groups
}

func TestResponseBelongsToTheGroupsThatItNames(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=60"), [2]string{"cache-groups", `"a", "b c"`})
	for _, want := range []string{"*", "c:pages", "n:chat.test a", "n:chat.test b c"} {
		if !slices.Contains(groupsOf(t, m), want) {
			t.Errorf("%s is not among %q", want, groupsOf(t, m))
		}
	}
	w.page().wants("chatcache; hit; ttl=60; detail=l1")
	w.feed(2, event(2, wire.EventRaise, "n:chat.test a"))
	if s := w.page(); s.status != 0 {
		t.Error("answered from L1 after a raise of its group")
	}
}

func TestGroupsThatCannotBeKept(t *testing.T) {
	for name, list := range map[string]string{"unreadable": `a, "b`, "too many": strings.TrimPrefix(strings.Repeat(`, "x"`, 1), ", ")} {
		w := newWorld(t)
		if name == "too many" {
			for i := range 61 {
				list += `, "` + strings.Repeat("y", i+1) + `"`
			}
		}
		s := w.page()
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", maxAge("max-age=60"), [2]string{"cache-groups", list})
		s.wants("chatcache; fwd=uri-miss; detail=cache-groups")
	}
}

// A write that has waited for the bridge in vain doesn't wait once more for the groups that its response names.
func TestNamedGroupsOfAPendingWrite(t *testing.T) {
	w := newWorld(t)
	s := w.stream("POST", "/messages", "ann")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathSuspend).done(Answer{}) // timed out
	s.head("200", [2]string{"cache-group-invalidation", `"foo"`})
	if s.holds || s.resumed != 1 {
		t.Errorf("holds the response: %v, resumed %d times", s.holds, s.resumed)
	}
	s.exchange.Done()
	w.run()
	var owed []string
	for _, c := range w.calls {
		if c.path == wire.PathClose {
			m, _ := wire.DecodeCloseRequest(c.frame)
			owed = append(owed, m.Groups...)
		}
	}
	if !slices.ContainsFunc(owed, func(g string) bool { return strings.HasSuffix(g, " foo") }) {
		t.Errorf("the journal owes raises of %q, want that of foo, too", owed)
	}
}

// What must be stored without the field that tells its groups isn't stored, since a validation would forget them.
func TestGroupsThatMustNotBeStored(t *testing.T) {
	for _, says := range []string{`max-age=60, private="surrogate-key"`, `max-age=60, no-cache="cache-groups"`} {
		w := newWorld(t, `"version": 1,`, `"version": 1, "group_headers": ["Surrogate-Key"],`)
		s := w.page()
		w.take(wire.PathLookup).miss(1)
		s.respond("200", "one", maxAge(says), [2]string{"surrogate-key", "post-1"})
		s.wants("chatcache; fwd=uri-miss; detail=cache-groups")
	}
}

// unsafe begins a request that no rule matches, to a URI.
func (w *world) unsafe(method, path string) *fakeStream {
	s := w.stream(method, path, "", [2]string{":scheme", "http"})
	s.exchange.RequestHeaders(true)
	return s
}

// What is stored for its URI an unsafe request suspends, as a rule would.
func TestUnsafeRequestInvalidatesItsURI(t *testing.T) {
	for _, method := range []string{"DELETE", "PUT", "PATCH", "POST", "FROBNICATE"} {
		w := newWorld(t)
		m := w.cached("one", maxAge("max-age=60"))
		s := w.unsafe(method, "/pages/1")
		c := w.take(wire.PathSuspend)
		suspended, err := wire.DecodeSuspendRequest(c.frame)
		if err != nil || len(suspended.Groups) != 1 || !slices.Contains(groupsOf(t, m), suspended.Groups[0]) {
			t.Errorf("%s: suspends %q, stored with %q", method, suspended.Groups, groupsOf(t, m))
		}
		c.ack()
		s.respond("200", "done")
		s.wants("chatcache; fwd=method")
		w.run()
		closed, _ := wire.DecodeCloseRequest(w.take(wire.PathClose).frame)
		if !closed.Raise || closed.ID != suspended.ID {
			t.Errorf("%s: closed as %+v", method, closed)
		}
	}
	for _, method := range []string{"OPTIONS", "TRACE", "CONNECT", "QUERY"} {
		w := newWorld(t)
		w.unsafe(method, "/pages/1")
		w.none(wire.PathSuspend)
	}
}

// RFC 9111 section 4.4 asks for nothing after an error. But a 5xx doesn't say that nothing was written: it
// raises, or where it is a gateway's the suspension lasts until the write has settled. Only a definite 4xx costs nothing.
func TestErrorThatMayHaveCommitted(t *testing.T) {
	for status, want := range map[string]string{
		"500": "raised", "501": "raised", "507": "raised", "502": "suspended", "503": "suspended", "504": "suspended", "408": "suspended",
		"400": "closed", "404": "closed", "409": "closed",
	} {
		w := newWorld(t)
		s := w.unsafe("PUT", "/pages/1")
		w.take(wire.PathSuspend).ack()
		s.respond(status, "no")
		w.run()
		got := "suspended"
		for _, c := range w.calls {
			if c.path == wire.PathClose {
				closed, _ := wire.DecodeCloseRequest(c.frame)
				got = map[bool]string{true: "raised", false: "closed"}[closed.Raise]
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
	}
}

// Groups and URIs that the response names are raised before it goes on.
func TestResponseNamesWhatItInvalidates(t *testing.T) {
	page := func(path string) string {
		w := newWorld(t)
		return groupURI(w.plugin.Policy.Cache("pages"), "chat.test", path)
	}
	for name, test := range map[string]struct {
		status string
		field  [2]string
		want   []string
	}{
		"groups":                 {"200", [2]string{"cache-group-invalidation", `"a", "b"`}, []string{"n:chat.test a", "n:chat.test b"}},
		"groups of an error":     {"500", [2]string{"cache-group-invalidation", `"a"`}, []string{"n:chat.test a"}},
		"unreadable groups":      {"200", [2]string{"cache-group-invalidation", `a"`}, nil},
		"Location":               {"201", [2]string{"location", "/pages/2"}, []string{page("/pages/2")}},
		"a whole URI":            {"201", [2]string{"location", "HTTP://Chat.Test/pages/2?a=b#c"}, []string{page("/pages/2?a=b")}},
		"a relative one":         {"201", [2]string{"content-location", "./../pages/2"}, []string{page("/pages/2")}},
		"its default port":       {"201", [2]string{"location", "http://chat.test.:80/pages/2"}, []string{page("/pages/2")}},
		"another port":           {"201", [2]string{"location", "http://chat.test:8080/pages/2"}, nil},
		"another scheme":         {"201", [2]string{"location", "https://chat.test/pages/2"}, nil},
		"another host":           {"201", [2]string{"location", "//other.test/pages/2"}, nil},
		"Location of an error":   {"404", [2]string{"location", "/pages/2"}, nil},
		"what nobody caches":     {"201", [2]string{"location", "/elsewhere"}, nil},
		"what a rule decides on": {"201", [2]string{"location", "/stats"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			s := w.unsafe("POST", "/other/1")
			w.none(wire.PathSuspend)
			s.head(test.status, test.field)
			if s.holds != (test.want != nil) {
				t.Fatalf("the response is held: %v", s.holds)
			}
			if test.want == nil {
				w.none(wire.PathClose)
				s.wants("")
				return
			}
			c := w.take(wire.PathClose)
			raised, err := wire.DecodeCloseRequest(c.frame)
			if err != nil || !raised.Raise || !slices.Equal(raised.Groups, test.want) {
				t.Errorf("raised %+v, want %q", raised, test.want)
			}
			c.ack()
			if s.released != 1 {
				t.Error("the response doesn't go on")
			}
			s.wants("chatcache; fwd=method")
			s.exchange.Done()
			w.run()
			w.none(wire.PathClose)
		})
	}
}

// A lookup that is executed before the raise, and answered before its acknowledgement, brings what the raise has made stale.
func TestEntryLookedUpBeforeARaiseIsNotUsedAfterIt(t *testing.T) {
	w := newWorld(t)
	w.lease()
	m := w.cached("one", maxAge("max-age=60"), [2]string{"cache-groups", `"a"`})
	s := w.unsafe("POST", "/other/1")
	s.head("200", [2]string{"cache-group-invalidation", `"a"`})
	raise := w.take(wire.PathClose)
	during := w.page()
	w.finds(m, 0)
	during.wants("chatcache; hit; ttl=60; detail=l2")
	raise.ack()
	if s.released != 1 {
		t.Fatal("the response doesn't go on")
	}
	if got := w.page(); got.status != 0 {
		t.Errorf("after the raise a read is answered %q, %s", got.reply, got.cacheStatus())
	}
}

// A response that names more groups than a call takes invalidates everything.
func TestNamedGroupsAreBounded(t *testing.T) {
	for _, n := range []int{maxNamed, maxNamed + 1} {
		w := newWorld(t)
		s := w.unsafe("POST", "/other/1")
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("%q", fmt.Sprint("g", i)))
		}
		s.head("200", [2]string{"cache-group-invalidation", strings.Join(names, ", ")})
		raised := decoded(w, w.take(wire.PathClose), wire.DecodeCloseRequest)
		if everything := slices.Equal(raised.Groups, []string{groupAll}); everything != (n > maxNamed) || !everything && len(raised.Groups) != n {
			t.Errorf("of %d groups %d are raised, %q first", n, len(raised.Groups), raised.Groups[0])
		}
	}
}

// Where the raise isn't acknowledged it is owed, and what it concerns isn't used meanwhile.
func TestRaiseThatIsNotAcknowledged(t *testing.T) {
	for name, fails := range map[string]func(w *world, s *fakeStream){
		"bridge fails":       func(w *world, s *fakeStream) { w.take(wire.PathClose).fails() },
		"client leaves":      func(w *world, s *fakeStream) { w.take(wire.PathClose); s.exchange.Done() },
		"bridge unreachable": func(w *world, s *fakeStream) {},
		"a panic":            func(w *world, s *fakeStream) { w.take(wire.PathClose); s.exchange.Abort() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			m := w.cached("one", maxAge("max-age=60"), [2]string{"cache-groups", `"a"`})
			s := w.unsafe("POST", "/other/1")
			w.down = name == "bridge unreachable"
			s.head("200", [2]string{"cache-group-invalidation", `"a"`})
			if !w.down { // the lookup of a read overtakes the raise
				w.page()
				w.finds(m, 0)
			}
			w.down = false
			fails(w, s)
			if name != "client leaves" && name != "a panic" {
				s.wants("chatcache; fwd=method; detail=invalidation-pending")
			}
			if gone := name == "client leaves"; gone != (s.released == 0) && name != "bridge unreachable" {
				t.Errorf("the response goes on %d times", s.released)
			}
			if got := w.page(); got.status != 0 {
				t.Error("answered with what is owed an invalidation")
			}
			w.run()
			raised, _ := wire.DecodeCloseRequest(w.take(wire.PathClose).frame)
			if !raised.Raise || !slices.Equal(raised.Groups, []string{"n:chat.test a"}) {
				t.Errorf("owed: %+v", raised)
			}
		})
	}
}

// The origin may go on with a write after the header section that names groups: they end as the rule's own do.
func TestNamedGroupsAtTheEndOfTheStream(t *testing.T) {
	for name, test := range map[string]struct {
		path, status string
		end          func(s *fakeStream)
		want         string // what is asked of the bridge at the end
	}{
		"streamed":          {"/other/1", "200", func(s *fakeStream) { s.send("done", true) }, wire.PathClose},
		"of a rule":         {"/messages", "200", func(s *fakeStream) { s.send("done", true) }, wire.PathClose},
		"trailers":          {"/other/1", "200", func(s *fakeStream) { s.exchange.ResponseTrailers() }, wire.PathClose},
		"cut off":           {"/other/1", "200", func(s *fakeStream) { s.send("do", false) }, wire.PathSuspend},
		"a gateway's error": {"/other/1", "503", func(s *fakeStream) { s.send("no", true) }, wire.PathSuspend},
		"rejected":          {"/other/1", "409", func(s *fakeStream) { s.send("no", true) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.lease()
			s := w.stream("POST", test.path, "ann")
			s.exchange.RequestHeaders(true)
			if test.path == "/messages" {
				w.take(wire.PathSuspend).ack()
			}
			s.head(test.status, [2]string{"cache-group-invalidation", `"a"`})
			w.take(wire.PathClose).ack()
			w.cached("before the commit", maxAge("max-age=60"), [2]string{"cache-groups", `"a"`})
			test.end(s)
			s.exchange.Done()
			if got := w.page(); (got.status != 0) != (test.want == "") {
				t.Errorf("a read after the end is answered with status %d", got.status)
			}
			w.run()
			var again []string
			for _, c := range w.calls {
				if m, err := wire.DecodeCloseRequest(c.frame); err == nil && m.Raise && slices.Contains(m.Groups, "n:chat.test a") {
					again = append(again, c.path)
				}
				if m, err := wire.DecodeSuspendRequest(c.frame); err == nil && m.Deadline == 10_000 && slices.Contains(m.Groups, "n:chat.test a") {
					again = append(again, c.path)
				}
			}
			if got := strings.Join(again, " "); got != test.want {
				t.Errorf("asks for %q, want %q", got, test.want)
			}
		})
	}
}

// A response without a body has no end but its header section.
func TestNamedGroupsOfAResponseWithoutABody(t *testing.T) {
	w := newWorld(t)
	s := w.unsafe("POST", "/other/1")
	s.fields = httpcache.Fields{{":status", "204"}, {"cache-group-invalidation", `"a"`}}
	s.exchange.ResponseHeaders(true)
	w.take(wire.PathClose).ack()
	s.exchange.Done()
	w.run()
	w.none(wire.PathClose)
	w.none(wire.PathSuspend)
}

// Likewise that of a gateway, whose origin may still go on with the write: what it names stays suspended.
func TestNamedGroupsOfAnErrorWithoutABody(t *testing.T) {
	w := newWorld(t)
	s := w.unsafe("POST", "/other/1")
	s.fields = httpcache.Fields{{":status", "504"}, {"cache-group-invalidation", `"a"`}}
	s.exchange.ResponseHeaders(true)
	w.take(wire.PathClose).ack()
	s.exchange.Done()
	w.run()
	last := decoded(w, w.take(wire.PathSuspend), wire.DecodeSuspendRequest)
	if !slices.Equal(last.Groups, []string{"n:chat.test a"}) || last.Deadline != 10_000 {
		t.Errorf("last term %+v", last)
	}
}

// A write with a rule suspends what the rule says and its URI, and raises what its response names.
func TestRuleAndNamedGroups(t *testing.T) {
	w := newWorld(t)
	s := w.stream("POST", "/messages", "ann")
	s.exchange.RequestHeaders(true)
	w.take(wire.PathSuspend).ack()
	s.head("201", [2]string{"cache-group-invalidation", `"a"`}, [2]string{"content-length", "0"})
	w.take(wire.PathClose).fails()
	s.wants("chatcache; fwd=method; detail=invalidation-pending")
	s.send("", true)
	s.exchange.Done()
	w.run()
	var owed [][]string
	for range 3 { // that of the header section, that of the end, and the rule's
		c := w.take(wire.PathClose)
		m, _ := wire.DecodeCloseRequest(c.frame)
		owed = append(owed, m.Groups)
		c.ack()
	}
	if len(owed[0]) != 1 || len(owed[1]) != 1 || len(owed[2]) != 2 || len(w.plugin.state.journal.blocked) != 0 {
		t.Errorf("owed %q, blocked %v", owed, w.plugin.state.journal.blocked)
	}
}

// However an authority is written, its groups are the same; another port's or host's are others.
func TestGroupsOfAnAuthority(t *testing.T) {
	w := newWorld(t)
	pages := w.plugin.Policy.Cache("pages")
	for authority, same := range map[string]bool{
		"chat.test": true, "Chat.TEST": true, "chat.test.": true, "chat.test:80": true, "chat.test:443": true, "chat.test.:80": true, "chat.test:": true,
		"chat.test:8080": false, "chat.test:180": false, "chat.test:808": false, "other.test": false, "test": false, "": false, "[::1]:80": false, "[::80]": false,
	} {
		if got := groupNamed(authority, "a") == groupNamed("chat.test", "a"); got != same {
			t.Errorf("%q: the group that an origin has named is that of chat.test: %t", authority, got)
		}
		if got := groupURI(pages, authority, "/pages/1") == groupURI(pages, "chat.test", "/pages/1"); got != same {
			t.Errorf("%q: the group of a URI is that of chat.test: %t", authority, got)
		}
	}
	if plainAuthority("[::80]") != "[::80]" || plainAuthority("[::1]:80") != "[::1]" || plainAuthority("[::1]:8080") != "[::1]:8080" {
		t.Error("an address has lost a part")
	}
}

// What a cache stores for every authority belongs to the groups of none, and what any authority's response names
// invalidates it, beside its own.
func TestNamedGroupsOfACacheOfAnyAuthority(t *testing.T) {
	w := newWorld(t, `"match": ["GET /pages/{page}"], "ttl": "origin"`, `"match": ["GET /pages/{page}"], "authority": "ignore", "ttl": "origin"`)
	w.lease()
	m := w.cached("one", maxAge("max-age=60"), [2]string{"cache-groups", `"a"`})
	write := w.stream("POST", "/other/1", "", [2]string{":scheme", "http"})
	write.request[1][1] = "other.test"
	write.exchange.RequestHeaders(true)
	write.head("200", [2]string{"cache-group-invalidation", `"a"`})
	raised, err := wire.DecodeCloseRequest(w.take(wire.PathClose).frame)
	if err != nil || !slices.Contains(raised.Groups, "n:other.test a") ||
		!slices.ContainsFunc(groupsOf(t, m), func(g string) bool { return slices.Contains(raised.Groups, g) }) {
		t.Errorf("raised %q, %v; stored with %q", raised.Groups, err, groupsOf(t, m))
	}
	if s := w.page(); s.status != 0 {
		t.Error("answered from L1 with what another authority's response has invalidated")
	}
}

func TestGroupNamesAreBounded(t *testing.T) {
	if long := groupNamed("chat.test", strings.Repeat("x", 1000)); len(long) > wire.MaxGroup || long == groupNamed("chat.test", strings.Repeat("x", 1001)) {
		t.Errorf("%d bytes: %s", len(long), long)
	}
	if groupNamed("Chat.test", "a") != groupNamed("chat.TEST", "a") || groupNamed("a", "x") == groupNamed("b", "x") {
		t.Error("a group is one authority's, in whatever case")
	}
}
