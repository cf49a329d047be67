package mesh

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/test/mutant"
)

// place is where the test's filter panics: at the beginning of a function. In the root context, which has no request of its own,
// it does so once for each request that names it.
type place struct {
	file, function string
	root           bool
}

// panicking are the places where the test's filter panics when the request's x-panic names them.
var panicking = map[string]place{
	"request headers":   {file: "exchange.go", function: "func (e *Exchange) RequestHeaders(end bool) Action {\n"},
	"request body":      {file: "exchange.go", function: "func (e *Exchange) RequestBody(n int, end bool) Action {\n"},
	"request trailers":  {file: "exchange.go", function: "func (e *Exchange) RequestTrailers() Action {\n"},
	"answer":            {file: "lookup.go", function: "func (r *read) lookedUp(q query, a Answer) {\n"},
	"waiter":            {file: "flights.go", function: "func (r *read) carryOut(d decision, now int64) {\n"},
	"suspended":         {file: "write.go", function: "func (w *write) answered(a Answer) {\n"},
	"response headers":  {file: "exchange.go", function: "func (e *Exchange) ResponseHeaders(end bool) Action {\n"},
	"response body":     {file: "exchange.go", function: "func (e *Exchange) ResponseBody(n int, end bool) {\n"},
	"response trailers": {file: "exchange.go", function: "func (e *Exchange) ResponseTrailers() {\n"},
	"done":              {file: "exchange.go", function: "func (e *Exchange) Done() {\n"},
	"end of a write":    {file: "write.go", function: "func (w *write) done() {\n"},
	"abort":             {file: "capture.go", function: "func (r *read) abort() {\n"}, // after one in response headers

	"run":    {file: "state.go", function: "func (s *State) run(p *Plugin) {\n", root: true},
	"feed":   {file: "follower.go", function: "func (f *follower) answered(p *Plugin, this *poll, a Answer) {\n", root: true},
	"stored": {file: "outbox.go", function: "func (o *outbox) landed(p *Plugin, s *parcel, acknowledged bool) {\n", root: true},
	"closed": {file: "journal.go", function: "func (j *journal) answered(p *Plugin, e *journalEntry, a Answer) {\n", root: true},
	"page":   {file: "loopback.go", function: "	finish := func(status string) {\n", root: true},
}

// misbehave is what each place calls first.
const misbehave = `
var misbehaving = map[Stream]string{}

func misbehave(s Stream, place string) {
	if _, known := misbehaving[s]; !known {
		fields, _ := s.RequestFields(nil) // in the request's header callback, the first of all
		misbehaving[s] = fields.Get("x-panic")
	}
	if asked := misbehaving[s]; asked == place || asked == "abort" && place == "response headers" {
		panic("x-panic: " + place)
	}
}

func misbehaveOnce(place string) {
	for s, asked := range misbehaving {
		if asked == place {
			misbehaving[s] = ""
			panic("x-panic: " + place)
		}
	}
}

`

// panickingModule builds the filter with a panic at each place, and at the start and the end of plugins by the names of their policies.
func panickingModule(t *testing.T) []byte {
	t.Helper()
	const dir, flow = "filter/internal/exchange/", "// flow is what a matched rule makes of a stream"
	m := mutant.Mutant{Name: "panics", Edits: []mutant.Edit{{File: dir + "exchange.go", Old: flow, New: misbehave + flow}}}
	insert := func(at place, call string) {
		m.Edits = append(m.Edits, mutant.Edit{File: dir + at.file, Old: at.function, New: at.function + "\t" + call + "\n"})
	}
	for name, at := range panicking {
		if at.root {
			insert(at, fmt.Sprintf("misbehaveOnce(%q)", name))
			continue
		}
		receiver, _, _ := strings.Cut(strings.TrimPrefix(at.function, "func ("), " ")
		insert(at, fmt.Sprintf("misbehave(%s.stream, %q)", receiver, name))
	}
	const start = "func NewPlugin(p *policy.Policy, secret []byte, host Host, states *States) (*Plugin, error) {\n"
	insert(place{file: "plugin.go", function: start}, `if p.Name == "panics-at-start" { panic(p.Name) }`)
	insert(place{file: "plugin.go", function: "func (p *Plugin) Close() (done bool) {\n"}, `if p.Policy.Name == "panics-at-end" { panic(p.Policy.Name) }`)
	overlay, err := m.Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	module, err := buildFilter("-overlay", overlay)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// paged is the chat policy that prefetches pages of sessions.
func paged(document map[string]any) {
	document["caches"].(map[string]any)["sessions"].(map[string]any)["prefetch"] = map[string]any{"parameter": "page", "more": "/sessions"}
	document["host"].(map[string]any)["loopback_cluster"] = Loopback
}

// withTrailers answers with trailers whom x-panic says so.
func withTrailers(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if r.Header.Get("x-panic") == "response trailers" {
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}
	}
}

// panicker is a mesh of the filter that panics.
func panicker(t *testing.T) *simulated {
	t.Helper()
	m := newSimulated(t)
	m.origin = newOrigin(m.clock.Wait)
	m.http2 = true // HTTP/1 has no trailers
	m.start(panickingModule(t), ChatPolicy(t, paged), withTrailers(m.origin))
	return m
}

// A panic in any callback is counted, its request is answered by the origin, and the VM and
// everybody else's streams live on. What the callback has left undone is done later: whoever panicked can use the
// cache again.
func TestPanicsStayInside(t *testing.T) {
	m := panicker(t)
	panics := uint64(0)
	for name, at := range panicking {
		stats := Request{Method: "GET", Path: "/api/chat/stats", User: name}
		r := stats
		r.Fields = [][2]string{{"x-panic", name}}
		want := 200
		switch name {
		case "request body", "request trailers":
			r.Method, r.Path, r.Body = "POST", "/v1/initialize", `{"client":"web"}`
		case "suspended", "end of a write", "closed":
			r.Method, r.Path, r.Body, want = "POST", "/api/chat/sessions", `{"title":"x"}`, 201
		case "page":
			r.Path = "/api/chat/sessions?page=1&limit=1"
		}
		before, asked := m.origin.Serial(), int64(1)
		if name == "page" { // and the next one
			asked = 2
		}
		if name == "waiter" { // which is let go, beside the leader
			asked = 2
			m.origin.Slow(time.Second)
			m.proxies[0].Start(1, m.request(r))
			m.next[0] = 1 // the same worker
		}
		request := m.request(r)
		if name == "request trailers" {
			request.HTTP2, request.Trailers = true, hostsim.Headers{{"x-sum", "1"}}
		}
		got := m.response(m.proxies[0].Do(m.worker(0), request))
		m.clock.Settle()
		m.origin.Slow(0)
		if got.Status != want || m.origin.Serial() != before+asked {
			t.Errorf("%s: %v; the origin was asked %d times, want %d", name, got, m.origin.Serial()-before, asked)
		}
		if at.root {
			m.clock.Advance(10 * time.Second) // what is due in the root context, and what it was asked for there
		}
		if now := m.Sum("chatcache.panics"); now <= panics {
			t.Errorf("%s: no panic was counted", name)
		} else {
			panics = now
		}
		m.Until(time.Minute, name+": the cache answers again", func() bool { return m.Do(0, stats).Hit() })
	}
	if died := m.proxies[0].Failures(); len(died) > 0 {
		t.Errorf("the proxy suffered: %v", died)
	}
	if owed := m.Gauge("chatcache.journal_entries"); owed != 0 {
		t.Errorf("%d ends of writes are still owed", owed)
	}
	if n := strings.Count(m.Logs(), "chatcache: recovered from a panic: x-panic: "); uint64(n) != panics {
		t.Errorf("%d panics were logged, and %d counted", n, panics)
	}
}

// A panic while a policy is taken over, or let go, is no worse than a policy that is refused, or one that has ended: the VM and
// the policy before go on.
func TestPanicsOfAPluginStayInside(t *testing.T) {
	m := panicker(t)
	stats := Request{Method: "GET", Path: "/api/chat/stats", User: "ann"}
	named := func(name string) string {
		return ChatPolicy(t, func(document map[string]any) { document["name"] = name })
	}
	m.Refused(named("panics-at-start"))
	if got := m.Sum("chatcache.panics"); got != 1 {
		t.Errorf("%d panics were counted at the start, want 1", got)
	}
	if got := m.Do(0, stats); !got.Stored() {
		t.Errorf("after the start: %v", got)
	}
	m.Reconfigure(named("panics-at-end"), 0)
	m.Reconfigure(ChatPolicy(t), 0)
	m.clock.Advance(time.Minute) // the old one drains
	if got := m.Sum("chatcache.panics"); got < 2 {
		t.Errorf("%d panics were counted, want those at the end, too", got)
	}
	if got := m.Do(0, stats); !got.Hit() {
		t.Errorf("after the end: %v", got)
	}
	if died := m.proxies[0].Failures(); len(died) > 0 {
		t.Errorf("the proxy suffered: %v", died)
	}
}
