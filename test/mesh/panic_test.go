package mesh

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/test/mutant"
)

// panicking are the places where the test's filter panics when the request's x-panic names them.
var panicking = map[string]struct{ file, function string }{
	"request headers":  {"exchange.go", "func (e *Exchange) RequestHeaders(end bool) Action {\n"},
	"request body":     {"exchange.go", "func (e *Exchange) RequestBody(n int, end bool) Action {\n"},
	"answer":           {"lookup.go", "func (r *read) lookedUp(q query, a Answer) {\n"},
	"waiter":           {"flights.go", "func (r *read) carryOut(d decision, now int64) {\n"},
	"suspended":        {"write.go", "func (w *write) answered(a Answer) {\n"},
	"response headers": {"exchange.go", "func (e *Exchange) ResponseHeaders(end bool) Action {\n"},
	"response body":    {"exchange.go", "func (e *Exchange) ResponseBody(n int, end bool) {\n"},
	"done":             {"exchange.go", "func (e *Exchange) Done() {\n"},
}

// misbehave is what each place calls first.
const misbehave = `
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

// panickingModule builds the filter with a panic at each place.
func panickingModule(t *testing.T) []byte {
	t.Helper()
	const dir, flow = "filter/internal/exchange/", "// flow is what a matched rule makes of a stream"
	m := mutant.Mutant{Name: "panics", Edits: []mutant.Edit{{File: dir + "exchange.go", Old: flow, New: misbehave + flow}}}
	for place, at := range panicking {
		receiver, _, _ := strings.Cut(strings.TrimPrefix(at.function, "func ("), " ")
		call := fmt.Sprintf("\tmisbehave(%s.stream, %q)\n", receiver, place)
		m.Edits = append(m.Edits, mutant.Edit{File: dir + at.file, Old: at.function, New: at.function + call})
	}
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
