//go:build !wasip1

package sched

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"chatcache/hostsim"
	"chatcache/test/mesh"
)

// TestReplayOnWasm records what each VM of a schedule is told and does, tells the
// filter's .wasm in hostsim the same at the same times, and wants the same of it:
// every call with its frame, every request that goes on, every answer.
// CHATCACHE_REPLAYS says how many schedules.
func TestReplayOnWasm(t *testing.T) {
	module, err := mesh.FilterModule()
	if err != nil {
		t.Fatal(err)
	}
	replays := uint64(10)
	if n, err := strconv.ParseUint(os.Getenv("CHATCACHE_REPLAYS"), 10, 64); err == nil {
		replays = n
	}
	var worlds []*world
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, newFake())
		defer b.end()
		for seed := range replays {
			worlds = append(worlds, b.record(seed))
		}
	})
	for _, w := range worlds {
		for i, r := range w.recordings {
			t.Run(fmt.Sprintf("seed %d, VM %c", w.plan.seed, 'A'+i), func(t *testing.T) {
				newReplay(t, module, w).run(r)
			})
		}
	}
}

// record runs a schedule with what a replay can do: no VM dies, its configuration stays, no
// request is sent to the origin twice, and a proxy sends none to itself.
func (b *bubble) record(seed uint64) *world {
	p := newPlan(seed)
	p.breaking, p.recorded, p.configured, p.stale, p.named, p.anonymous, p.gathers, p.elsewhere = 0, true, false, false, false, false, false, false
	p.wrong &^= 1 << step{kind: dies}.class()
	return b.runPlan(p)
}

// replay is one VM of the .wasm.
type replay struct {
	t       *testing.T
	clock   *hostsim.Clock
	sim     *hostsim.Sim
	begun   time.Time
	streams map[int16]*hostsim.Stream
	told    map[int16]bool // whose end is known
	calls   map[recordedCall]*held
	said    map[string]int
	origin  map[int16]*held
	outputs []string
}

// held is a call or a request whose handler waits for its answer.
type held struct {
	wake   chan struct{}
	answer func(http.ResponseWriter)
}

func newReplay(t *testing.T, module []byte, w *world) *replay {
	r := &replay{
		t: t, clock: hostsim.NewClock(w.start), begun: w.start,
		streams: map[int16]*hostsim.Stream{}, told: map[int16]bool{},
		calls: map[recordedCall]*held{}, said: map[string]int{}, origin: map[int16]*held{},
	}
	r.sim = hostsim.RunT(t, hostsim.Options{
		Module: module, PluginConfig: []byte(documentOf(w.plan)), Workers: 1, Clock: r.clock, Seed: 1,
		Env:   map[string]string{"CHATCACHE_PARTITION_SECRET": string(secret), "CHATCACHE_BRIDGE_TOKEN": "t"},
		Route: hostsim.RouteTo("chat"), RouteTimeout: time.Hour,
		HandlerTimeout: time.Hour, Patience: time.Hour,
		Clusters: map[string]http.Handler{"chat": http.HandlerFunc(r.serveOrigin), "bridge": http.HandlerFunc(r.serveBridge)},
	})
	return r
}

func (r *replay) did(format string, args ...any) {
	r.outputs = append(r.outputs, fmt.Sprintf(format, args...))
}

func (r *replay) serveBridge(w http.ResponseWriter, request *http.Request) {
	frame, err := io.ReadAll(request.Body)
	if err != nil {
		r.t.Error(err)
	}
	what := says(request.URL.Path, frame)
	h := &held{wake: make(chan struct{})}
	r.calls[recordedCall{what, r.said[what]}] = h
	r.said[what]++
	r.did("calls %s", what)
	h.wait(request.Context(), r.clock, w)
}

func (r *replay) serveOrigin(w http.ResponseWriter, request *http.Request) {
	n, err := strconv.Atoi(request.Header.Get("x-stream"))
	if err != nil {
		r.t.Error(err)
	}
	h := &held{wake: make(chan struct{})}
	r.origin[int16(n)] = h
	r.did("stream %d is forwarded", n)
	h.wait(request.Context(), r.clock, w)
}

func (h *held) wait(ctx context.Context, clock *hostsim.Clock, w http.ResponseWriter) {
	clock.Wait(ctx, h.wake, time.Hour)
	if h.answer != nil {
		h.answer(w)
	}
}

func (h *held) give(answer func(http.ResponseWriter)) {
	h.answer = answer
	close(h.wake)
}

// run tells the VM what was recorded, window by window.
func (r *replay) run(recorded recording) {
	for i, w := range recorded {
		r.clock.Advance(time.Duration(w.at)*time.Millisecond - r.clock.Now().Sub(r.begun))
		if w.input != nil {
			r.tell(*w.input)
		}
		r.clock.Settle()
		r.ends()
		slices.Sort(r.outputs)
		slices.Sort(w.outputs)
		if !slices.Equal(r.outputs, w.outputs) {
			r.t.Fatalf("step %d, told %+v:\nthe .wasm did %q\n natively      %q", i+1, w.input, r.outputs, w.outputs)
		}
		r.outputs = nil
	}
}

func (r *replay) tell(i input) {
	switch i.kind {
	case readBegins:
		method, path := "GET", "/stats"
		if i.rule != nil {
			method, path = i.rule.method, "/messages"
		}
		q := hostsim.NewRequest(method, path, "authorization", "Bearer ann", "x-stream", fmt.Sprint(i.stream))
		q.Authority = "chat.test"
		r.streams[i.stream] = r.sim.Start(1, q)
	case answered:
		r.calls[i.call].give(func(w http.ResponseWriter) {
			status, _ := strconv.Atoi(i.answer.Status)
			w.WriteHeader(status)
			w.Write(i.answer.Body)
		})
	case originEnds:
		r.origin[i.stream].give(func(w http.ResponseWriter) { respond(w, 200, i.body) })
	case responseEnds:
		r.origin[i.stream].give(func(w http.ResponseWriter) { i.ending.respond(w) })
	case clientLeaves:
		r.told[i.stream] = true
		r.streams[i.stream].Disconnect()
	}
}

func respond(w http.ResponseWriter, status int, body string) {
	w.Header()["Date"], w.Header()["Content-Type"] = nil, nil // natively there are none
	w.Header().Set("content-length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// respond is the origin's, as the proxy is to see it.
func (e ending) respond(w http.ResponseWriter) {
	switch e {
	case changed, changedLater:
		respond(w, 201, "{}")
	case rejected:
		respond(w, 422, "{}")
	case cutOff:
		w.Header().Set("content-length", "2")
		w.WriteHeader(201)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case unavailable:
		panic(http.ErrAbortHandler)
	}
}

// ends notes the streams that have ended.
func (r *replay) ends() {
	for n, s := range r.streams {
		if !s.Done() || r.told[n] {
			continue
		}
		r.told[n] = true
		got := s.Response()
		r.did("stream %d: %s", n, ended(got.Status, got.Headers.Get("cache-status"), string(got.Body), got.Complete))
	}
}
