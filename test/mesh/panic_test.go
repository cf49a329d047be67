package mesh

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/test/stack"
)

// panicking are the places where the test's filter panics when the request's x-panic names them.
var panicking = map[string]struct{ file, function string }{
	"request headers":  {"exchange.go", "func (e *Exchange) RequestHeaders(end bool) Action {"},
	"request body":     {"exchange.go", "func (e *Exchange) RequestBody(n int, end bool) Action {"},
	"answer":           {"lookup.go", "func (e *read) lookedUp(q query, a Answer) {"},
	"waiter":           {"flights.go", "func (e *read) carryOut(d decision, now int64) {"},
	"suspended":        {"write.go", "func (e *write) answered(a Answer) {"},
	"response headers": {"exchange.go", "func (e *Exchange) ResponseHeaders(end bool) Action {"},
	"response body":    {"exchange.go", "func (e *Exchange) ResponseBody(n int, end bool) {"},
	"done":             {"exchange.go", "func (e *Exchange) Done() {"},
}

// panickingModule builds the filter with a panic at each place.
func panickingModule(t *testing.T) []byte {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "filter", "internal", "exchange")
	sources := map[string]string{}
	for place, at := range panicking {
		text, ok := sources[at.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(dir, at.file))
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		// Receivers have other names in the source.
		_, signature, _ := strings.Cut(at.function, ") ")
		before, after, found := strings.Cut(text, ") "+signature)
		if !found {
			t.Fatalf("%s has no %s", at.file, at.function)
		}
		receiver := before[strings.LastIndex(before, "func (")+len("func (") : strings.LastIndex(before, " ")]
		sources[at.file] = before + ") " + signature + "\n\tmisbehave(" + receiver + ".stream, \"" + place + "\")\n" + after
	}
	sources["exchange.go"] += `
var misbehaving = map[Stream]string{}

func misbehave(s Stream, place string) {
	if _, known := misbehaving[s]; !known {
		fields, _ := s.RequestFields(nil) // in the request's header callback, the first of all
		misbehaving[s] = fields.Get("x-panic")
	}
	if misbehaving[s] == place {
		panic("x-panic: " + place)
	}
}
`
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	tmp := t.TempDir()
	for file, text := range sources {
		replaced := filepath.Join(tmp, file)
		if err := os.WriteFile(replaced, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[filepath.Join(dir, file)] = replaced
	}
	b, _ := json.Marshal(overlay)
	path := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	module, err := buildFilter("-overlay", path)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

// A panic in any callback is counted, its request is answered by the origin, and the VM and
// everybody else's streams live on.
func TestPanicsStayInside(t *testing.T) {
	m := newSimulated(t)
	m.origin = newOrigin(m.clock.Wait)
	m.start(panickingModule(t), ChatPolicy(t), m.origin)
	panics := uint64(0)
	for place := range panicking {
		r := Request{Method: "GET", Path: "/api/chat/stats", User: place, Fields: [][2]string{{"x-panic", place}}}
		want := 200
		switch place {
		case "request body":
			r.Method, r.Path, r.Body = "POST", "/v1/initialize", `{"client":"web"}`
		case "suspended":
			r.Method, r.Path, r.Body, want = "POST", "/api/chat/sessions", `{"title":"x"}`, 201
		}
		before, asked := m.origin.Serial(), int64(1)
		if place == "waiter" { // which is let go, beside the leader
			asked = 2
			m.origin.Slow(time.Second)
			m.proxies[0].Start(1, m.request(r))
			m.next[0] = 1 // the same worker
		}
		got := m.Do(0, r)
		m.origin.Slow(0)
		if got.Status != want || m.origin.Serial() != before+asked {
			t.Errorf("%s: %v; the origin was asked %d times, want %d", place, got, m.origin.Serial()-before, asked)
		}
		m.clock.Settle()
		if now := m.Sum("chatcache.panics"); now <= panics {
			t.Errorf("%s: no panic was counted", place)
		} else {
			panics = now
		}
	}
	if died := m.proxies[0].Failures(); len(died) > 0 {
		t.Errorf("the proxy suffered: %v", died)
	}
	if got := m.Do(0, Request{Method: "GET", Path: "/api/chat/stats", User: "ann"}); !got.Stored() {
		t.Errorf("afterwards: %v", got)
	}
}
