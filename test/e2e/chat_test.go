// Package e2e tests what a user of chatcache would notice, on the simulated and on the
// real mesh alike.
package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/test/mesh"
)

// read is a request of one of the chat policy's caches.
type read struct {
	cache        string
	method, path string
	body         string
	shared       bool
}

var (
	readStats  = read{cache: "stats", method: "GET", path: "/api/chat/stats"}
	readSearch = read{cache: "search", method: "GET", path: "/api/chat/search?q=hello"}
	readUser   = read{cache: "user", method: "GET", path: "/api/user/me"}
	readModels = read{cache: "models", method: "GET", path: "/api/models", shared: true}
	readFlags  = read{cache: "flags", method: "POST", path: "/v1/initialize", body: `{"client": "web", "version": 3}`}
)

// reads has at least one request of every cache.
var reads = []read{
	readStats,
	readSearch,
	readUser,
	{cache: "sessions", method: "GET", path: "/api/chat/sessions?page=1&limit=2"},
	{cache: "sessions", method: "GET", path: "/api/chat/sessions?page=2&limit=2"},
	{cache: "sessions", method: "GET", path: "/api/chat/sessions/s1"},
	readModels,
	{cache: "activity", method: "GET", path: "/api/activity"},
	{cache: "rankings", method: "GET", path: "/api/rankings", shared: true},
	readFlags,
}

func (r read) as(user string) mesh.Request {
	if r.shared {
		user = ""
	}
	return mesh.Request{Method: r.method, Path: r.path, Body: r.body, User: user}
}

func (r read) String() string { return r.method + " " + r.path }

// withoutL1 turns the VMs' own memory off.
func withoutL1(document map[string]any) { document["l1"] = false }

// quick shortens the time that writes may be suspended for.
func quick(document map[string]any) { suspendedFor("1s")(document) }

func suspendedFor(d string) func(document map[string]any) {
	return func(document map[string]any) {
		for _, rule := range document["invalidations"].([]any) {
			rule.(map[string]any)["deadline"], rule.(map[string]any)["settle"] = d, d
		}
	}
}

// wantHit and wantStored fail the test where the response isn't that.
func wantHit(t *testing.T, what any, r mesh.Response) {
	t.Helper()
	if !r.Hit() {
		t.Errorf("%v: %v, want a hit", what, r)
	}
}

func wantStored(t *testing.T, what any, r mesh.Response) {
	t.Helper()
	if r.Status != 200 || !r.Stored() {
		t.Errorf("%v: %v, want 200 from the origin, stored", what, r)
	}
}

// everyWorker tells whether what a request gets is as wanted, from each worker most probably: which one of a proxy's answers
// is a matter of chance.
func everyWorker(m mesh.Mesh, r mesh.Request, wanted func(mesh.Response) bool) bool {
	for i := range 4 * mesh.Proxies {
		if !wanted(m.Do(i%mesh.Proxies, r)) {
			return false
		}
	}
	return true
}

// bypassed and notBefore are what may be wanted of a response: that the cache was passed by, and why; that the origin
// has answered at the serial or later.
func bypassed(detail string) func(mesh.Response) bool {
	return func(r mesh.Response) bool { return r.CacheStatus() == "chatcache; fwd=bypass; detail="+detail }
}

func notBefore(serial int64) func(mesh.Response) bool {
	return func(r mesh.Response) bool { return r.Serial() >= serial }
}

func TestEachCacheMissesThenHits(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		for _, r := range reads {
			before := m.Origin().Serial()
			first := m.Do(0, r.as("ann"))
			wantStored(t, r, first)
			m.Settle()
			for i := range 6 {
				again := m.Do(i%mesh.Proxies, r.as("ann"))
				wantHit(t, r, again)
				if again.Body != first.Body || again.Header.Get("Age") == "" {
					t.Errorf("%v: %v (age %q), want the body of %v", r, again, again.Header.Get("Age"), first)
				}
			}
			if asked := m.Origin().Serial() - before; asked != 1 {
				t.Errorf("%v: the origin was asked %d times", r, asked)
			}
		}
	})
}

func TestUsersNeverSeeEachOther(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		for _, user := range []string{"ann", "bob"} {
			m.Do(0, mesh.Request{Method: "POST", Path: "/api/chat/sessions", User: user, Body: fmt.Sprintf(`{"title":"secret of %s"}`, user)})
			m.Settle()
		}
		for _, r := range reads {
			ann := m.Do(0, r.as("ann"))
			m.Settle()
			bob := m.Do(0, r.as("bob"))
			if r.shared {
				wantHit(t, r, bob)
				continue
			}
			wantStored(t, r, bob)
			if strings.Contains(bob.Body, "secret of ann") || ann.Serial() == bob.Serial() {
				t.Errorf("%v: bob got ann's response: %v", r, bob)
			}
			nobody := m.Do(0, r.as(""))
			if nobody.Status != 401 || nobody.CacheStatus() != "chatcache; fwd=bypass; detail=no-identity" {
				t.Errorf("%v without a user: %v", r, nobody)
			}
		}
	})
}

// A body key is the body's meaning, not its spelling.
func TestBodyKey(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		ask := func(body string) mesh.Response {
			return m.Do(0, mesh.Request{Method: "POST", Path: "/v1/initialize", User: "ann", Body: body})
		}
		wantStored(t, "first", ask(`{"client":"web","version":3}`))
		m.Settle()
		wantHit(t, "another order", ask(`{ "version": 3, "client": "web" }`))
		wantStored(t, "another value", ask(`{"client":"web","version":4}`))
		long := `"` + strings.Repeat("x", 60<<10) + `"`
		wantStored(t, "a long one", ask(`{"client":`+long+`,"version":3}`))
		m.Settle()
		wantHit(t, "a long one in another order", ask(`{"version":3,"client":`+long+`}`))
		wantStored(t, "another long one", ask(`{"client":`+long+`,"version":4}`))
		large := ask(`{"client":"` + strings.Repeat("x", 70<<10) + `"}`)
		if large.CacheStatus() != "chatcache; fwd=bypass; detail=body-too-large" || large.Status != 200 {
			t.Errorf("a large body: %v", large)
		}
	})
}

// write is a request of one of the chat policy's rules.
type write struct {
	rule        string
	invalidates []string
	make        func(m mesh.Mesh) mesh.Request // as ann
}

func asAnn(method, path, body string) mesh.Request {
	return mesh.Request{Method: method, Path: path, Body: body, User: "ann"}
}

// newest gives the id of what a POST creates, which every worker has heard of: stats count both kinds.
func newest(m mesh.Mesh, path, body string) string {
	r := m.Do(0, asAnn("POST", path, body))
	m.Settle()
	untilHeard(m, "POST "+path, r.Serial(), func(r read) bool { return r.cache == "stats" })
	_, rest, _ := strings.Cut(r.Body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

var (
	createSession = write{"create session", []string{"stats", "sessions"}, func(mesh.Mesh) mesh.Request {
		return asAnn("POST", "/api/chat/sessions", `{"title":"new"}`)
	}}
	saveMessage = write{"save message", []string{"stats", "search", "user"}, func(mesh.Mesh) mesh.Request {
		return asAnn("POST", "/api/chat/sessions/s1/messages", `{"content":"hello again"}`)
	}}
)

// writes has a request of every rule.
var writes = []write{
	createSession,
	{"update session", []string{"sessions", "search"}, func(mesh.Mesh) mesh.Request {
		return asAnn("PATCH", "/api/chat/sessions/s1", `{"title":"renamed"}`)
	}},
	{"delete session", []string{"stats", "sessions", "search"}, func(m mesh.Mesh) mesh.Request {
		return asAnn("DELETE", "/api/chat/sessions/"+newest(m, "/api/chat/sessions", `{"title":"to go"}`), "")
	}},
	saveMessage,
	{"delete message", []string{"stats", "search"}, func(m mesh.Mesh) mesh.Request {
		return asAnn("DELETE", "/api/chat/sessions/s1/messages/"+newest(m, "/api/chat/sessions/s1/messages", `{"content":"to go"}`), "")
	}},
}

func (w write) reaches(r read) bool { return slices.Contains(w.invalidates, r.cache) }

// untilHeard waits until no worker answers ann's reads that a write reaches with what is older
// than the write's serial, and gives how long that took.
func untilHeard(m mesh.Mesh, what string, written int64, reaches func(read) bool) time.Duration {
	return m.Until(3*time.Second, "every worker has heard of "+what, func() bool {
		for _, r := range reads {
			if reaches(r) && !everyWorker(m, r.as("ann"), notBefore(written)) {
				return false
			}
		}
		return true
	})
}

// warm makes every read of the users a hit on every worker.
func warm(t *testing.T, m mesh.Mesh, users ...string) {
	t.Helper()
	for _, user := range users {
		for _, r := range reads {
			m.Do(0, r.as(user))
			m.Settle()
			for i := range 4 * mesh.Proxies {
				wantHit(t, r, m.Do(i%mesh.Proxies, r.as(user)))
			}
		}
	}
}

// With L1 off, what is stale misses at once: not one old answer after the write's own.
func TestEachRuleInvalidatesItsCachesAndNoOthersAtOnce(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		for _, w := range writes {
			request := w.make(m)
			warm(t, m, "ann", "bob")
			done := m.Do(0, request)
			written := done.Serial()
			if done.Status >= 300 || done.CacheStatus() != "chatcache; fwd=method" {
				t.Fatalf("%s: %v", w.rule, done)
			}
			for _, r := range reads { // before the write's end is acknowledged
				if got := m.Do(1, r.as("ann")); w.reaches(r) && got.Serial() < written {
					t.Errorf("after %s, %v: old answer: %v", w.rule, r, got)
				}
			}
			m.Settle()
			for _, r := range reads {
				got := m.Do(1, r.as("ann"))
				if w.reaches(r) == (got.Serial() < written) {
					t.Errorf("after %s, %v: %v, written at %d", w.rule, r, got, written)
				}
				if !w.reaches(r) {
					wantHit(t, "after "+w.rule+", "+r.String(), got)
				}
				wantHit(t, "after "+w.rule+", bob's "+r.String(), m.Do(1, r.as("bob")))
			}
		}
	})
}

// With L1 on, every worker of every proxy follows within the feed's delay.
func TestEachRuleInvalidatesInEveryWorkerWithinTheFeedsDelay(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		for _, w := range writes {
			request := w.make(m)
			warm(t, m, "ann", "bob")
			written := m.Do(0, request).Serial()
			m.Settle()
			delay := untilHeard(m, w.rule, written, w.reaches)
			t.Logf("%s: all workers answer with what is new %v after its end was acknowledged (reading included)", w.rule, delay.Round(time.Millisecond))
			for _, r := range reads {
				if !w.reaches(r) {
					wantHit(t, "after "+w.rule+", "+r.String(), m.Do(1, r.as("ann")))
				}
				wantHit(t, "after "+w.rule+", bob's "+r.String(), m.Do(1, r.as("bob")))
			}
		}
	})
}

// A write that the origin rejects costs nothing.
func TestRejectedWriteInvalidatesNothing(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1)}, func(t *testing.T, m mesh.Mesh) {
		warm(t, m, "ann")
		rejected := m.Do(0, asAnn("DELETE", "/api/chat/sessions/none", ""))
		if rejected.Status != 404 {
			t.Fatal(rejected)
		}
		m.Settle()
		for _, r := range reads {
			wantHit(t, r, m.Do(1, r.as("ann")))
		}
	})
}

// While a message streams, reads go to the origin and store nothing; after it they are new.
func TestStreamedSave(t *testing.T) {
	for name, edit := range map[string]func(map[string]any){"L1": func(map[string]any) {}, "no L1": withoutL1} {
		t.Run(name, func(t *testing.T) {
			mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, edit)}, streamedSave)
		})
	}
}

func streamedSave(t *testing.T, m mesh.Mesh) {
	stats := readStats.as("ann")
	old := m.Do(0, stats)
	m.Settle()
	wantHit(t, "before", m.Do(1, stats))
	open := m.Origin().Hold()
	stream := m.Open(0, asAnn("POST", "/api/chat/sessions/s1/messages", `{"content":"hello","stream":true}`))
	m.Until(heardWithin, "every worker bypasses", func() bool { return everyWorker(m, stats, bypassed("write-in-flight")) })
	during := m.Do(1, stats)
	if during.Body != old.Body {
		t.Errorf("the origin had committed already: %v", during)
	}
	open()
	if whole := stream.Finish(); !strings.Contains(whole.Body, "data:") {
		t.Errorf("the stream: %v", whole)
	}
	m.Settle()
	for i := range 4 * mesh.Proxies {
		if after := m.Do(i%mesh.Proxies, stats); after.Body == old.Body {
			t.Errorf("after the stream: old answer: %v", after)
		}
	}
}
