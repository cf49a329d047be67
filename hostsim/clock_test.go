package hostsim_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// slow answers after d of virtual time.
func slow(c *hostsim.Clock, d time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Wait(r.Context(), nil, d)
		fmt.Fprint(w, "slow")
	})
}

func TestVirtualTimeIsAllThatPasses(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["backend"] = slow(clock, 10*time.Second)
	})
	began := time.Now()
	resp := do(s, "x-on-request-headers", "now", "x-on-done", "now")
	if resp.Get("x-envoy-upstream-service-time") != "10000" || string(resp.Body) != "slow" {
		t.Fatalf("got %+v", resp)
	}
	if real := time.Since(began); real >= 10*time.Second {
		t.Errorf("took %v of real time", real)
	}
	var nows []string
	for _, l := range s.Logs() {
		if rest, ok := strings.CutPrefix(l.Message, "now "); ok {
			nows = append(nows, rest)
		}
	}
	if fmt.Sprint(nows) != "[2030-01-01T00:00:00Z 2030-01-01T00:00:10Z]" {
		t.Errorf("the module's clock showed %v", nows)
	}
}

func TestTicksComeWithVirtualTime(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte("tick 100") })
	s.Advance(time.Second)
	ticks := map[int]int{}
	for _, l := range s.Logs() {
		if l.Message == "tick" {
			ticks[l.Worker]++
		}
	}
	if ticks[0] != 10 || ticks[1] != 10 {
		t.Errorf("ticks by worker %v, want 10 on the main thread and on worker 1", ticks)
	}
}

func TestACallThatTakesTooLongIs504(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["slow"] = slow(clock, time.Hour)
	})
	resp := do(s, "x-on-request-headers", "call slow / 50; pause", "x-on-call", "resume-request")
	if resp.Status != 200 || clock.Since() != 50*time.Millisecond {
		t.Fatalf("got %+v after %v", resp, clock.Since())
	}
	wantLogs(t, s, "request-headers end=true", `call answered 504 "upstream request timeout"`,
		"response-headers end=false", "response-body size=7 end=false", "response-body size=0 end=true", "done")
}

func TestWaitersWakeByChannel(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	wake := make(chan struct{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["poll"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			clock.Wait(r.Context(), wake, time.Minute)
			fmt.Fprint(w, "woken")
		})
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(wake)
			fmt.Fprint(w, "wrote")
		})
	})
	poller := s.Start(1, hostsim.Get("/poll", "x-on-request-headers", "call poll / 0; pause", "x-on-call", "reply 200 ok"))
	s.Settle()
	if poller.Done() {
		t.Fatal("the poll was answered before anything happened")
	}
	do(s)
	if !poller.Done() || clock.Since() != 0 {
		t.Errorf("the poll ended: %v, after %v; want at once", poller.Done(), clock.Since())
	}
}

func TestTwoProxiesShareOneClock(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	shared := func(o *hostsim.Options) { o.Clock, o.Workers, o.PluginConfig = clock, 2, []byte("tick 1000") }
	a, b := probe(t, shared), probe(t, shared)
	a.Advance(3 * time.Second)
	for name, s := range map[string]*hostsim.Sim{"a": a, "b": b} {
		ticks := 0
		for _, l := range s.Logs() {
			if l.Message == "tick" {
				ticks++
			}
		}
		if ticks != 9 {
			t.Errorf("proxy %s: %d ticks, want 3 on each of its 3 threads", name, ticks)
		}
	}
	if got := b.Do(2, hostsim.Get("/x")).Status; got != 200 {
		t.Errorf("status %d", got)
	}
}

func TestHooksMoveOtherClocksAlong(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	var seen []time.Duration
	clock.OnAdvance(func(now time.Time) { seen = append(seen, now.Sub(hostsim.DefaultStart)) })
	s := probe(t, func(o *hostsim.Options) { o.Clock, o.PluginConfig = clock, []byte("tick 400") })
	s.Advance(time.Second)
	if fmt.Sprint(seen) != "[400ms 800ms 1s]" {
		t.Errorf("hook saw %v", seen)
	}
}

func TestAHandlerThatNeverWaitsIsReported(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	inner := &failing{TB: t}
	s := hostsim.RunT(inner, hostsim.Options{
		Module: toolchain.Module(t, "probe"), Route: hostsim.RouteTo("backend"), HandlerTimeout: 50 * time.Millisecond,
		Clusters: clusters(func(http.ResponseWriter, *http.Request) { <-release }),
	})
	s.Start(1, hostsim.Get("/x"))
	s.Settle()
	if f := s.Expect(hostsim.HandlerStuck); len(f) != 1 || !strings.Contains(f[0].Detail, "stream 1: GET /x") {
		t.Errorf("failures %v", f)
	}
}

func TestAHandlerThatPanicsIsReported(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) {
		o.Clusters["backend"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a mistake") })
	})
	for what, resp := range map[string]*hostsim.Response{"stream": do(s), "call": do(s, "x-on-request-headers", "call backend /a 100; pause", "x-on-call", "reply 503; pause")} {
		if f := s.Failures(); resp.Status != 503 || len(f) != 2 || f[0].Kind != hostsim.HandlerPanicked || f[1].Detail != "cluster backend: a mistake" {
			t.Errorf("%s: status %d, failures %v", what, resp.Status, f)
		}
	}
	s.Expect(hostsim.HandlerPanicked)
}

func TestWaitReturnsWhenTheRequestIsGone(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	var err error
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["backend"] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			clock.Wait(r.Context(), nil, time.Hour)
			err = r.Context().Err()
		})
	})
	st := s.Start(1, hostsim.Get("/x"))
	s.Settle()
	st.Disconnect()
	s.Settle()
	if err != context.Canceled || clock.Since() != 0 {
		t.Errorf("handler saw %v after %v", err, clock.Since())
	}
	if r := st.Response(); r.Complete || r.Details != "downstream_remote_disconnect" {
		t.Errorf("response %+v", r)
	}
}
