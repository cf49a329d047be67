package exchange

import (
	"testing"
	"time"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

var threeInARow = policy.Breaker{Failures: 3, Open: time.Second}

// admitted asks and wants the answer given.
func admitted(t *testing.T, b *breaker, now time.Duration, want bool) permit {
	t.Helper()
	p, got := b.admit(threeInARow, int64(now))
	if got != want {
		t.Errorf("at %v: admitted %v, want %v", now, got, want)
	}
	return p
}

func fails(t *testing.T, b *breaker, now time.Duration, times int) {
	t.Helper()
	for range times {
		b.report(threeInARow, admitted(t, b, now, true), false, int64(now))
	}
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	var b breaker
	fails(t, &b, 0, 2)
	b.report(threeInARow, admitted(t, &b, 0, true), true, 0)
	fails(t, &b, 0, 2)
	admitted(t, &b, 0, true) // two since the last success
	fails(t, &b, 0, 1)
	admitted(t, &b, 0, false)
	admitted(t, &b, time.Second-1, false)
}

func TestBreakerTriesOnceInAnInterval(t *testing.T) {
	var b breaker
	fails(t, &b, 0, 3)
	probe := admitted(t, &b, time.Second, true)
	admitted(t, &b, time.Second, false) // one at a time
	b.report(threeInARow, probe, false, int64(1100*time.Millisecond))
	admitted(t, &b, 2*time.Second-1, false)
	admitted(t, &b, 2*time.Second, true) // its answer never comes
	probe = admitted(t, &b, 3*time.Second, true)
	b.report(threeInARow, probe, true, int64(3*time.Second))
	fails(t, &b, 3*time.Second, 2) // closed, and it counts from the beginning
	admitted(t, &b, 3*time.Second, true)
}

func TestBreakerIgnoresAnswersOfAnEarlierTerm(t *testing.T) {
	var b breaker
	early := admitted(t, &b, 0, true)
	late := admitted(t, &b, 0, true)
	fails(t, &b, 0, 3)
	if b.report(threeInARow, early, true, 0); !b.open {
		t.Error("an answer to a call from before it opened has closed it")
	}
	b.report(threeInARow, late, false, int64(900*time.Millisecond))
	admitted(t, &b, time.Second, true) // not put off by the late failure
}

func TestBreakerThatIsOffNeverOpens(t *testing.T) {
	var b breaker
	for range 100 {
		p, ok := b.admit(policy.Breaker{}, 0)
		if b.report(policy.Breaker{}, p, false, 0); !ok || b.open {
			t.Fatal("it opened")
		}
	}
}

// hang lets lookups fail until the breaker of the default policy is open.
func hang(w *world) {
	w.t.Helper()
	for range 5 {
		w.stream("GET", "/stats", "ann").exchange.RequestHeaders(true)
		w.take(wire.PathLookup).done(Answer{Status: "504"})
	}
}

func TestOpenBreakerCostsNoRequestAnyTime(t *testing.T) {
	w := newWorld(t)
	hang(w)
	if w.counts["chatcache.breaker_opened"] != 1 {
		t.Errorf("counters: %v", w.counts)
	}
	s := w.stream("GET", "/stats", "ann")
	if got := s.exchange.RequestHeaders(true); got != Continue {
		t.Errorf("a read: %v, want Continue", got)
	}
	w.none(wire.PathLookup)
	s.respond("200", "one")
	s.wants("chatcache; fwd=bypass; detail=breaker-open")
	w.run()
	w.none(wire.PathStore)

	save := w.stream("POST", "/messages", "ann")
	if got := save.exchange.RequestHeaders(true); got != Continue {
		t.Errorf("a write: %v, want Continue", got)
	}
	w.take(wire.PathSuspend).ack() // too late to be waited for
	save.respond("201", "")
	save.wants("chatcache; fwd=method; detail=invalidation-pending")
	w.run()
	closed, err := wire.DecodeCloseRequest(w.take(wire.PathClose).frame)
	if err != nil || !closed.Raise {
		t.Errorf("the write's end: %+v, %v; want a close with a raise", closed, err)
	}

	refused := w.stream("PUT", "/messages", "ann")
	if refused.exchange.RequestHeaders(true); refused.status != 503 || refused.resumed != 0 {
		t.Errorf("a write that may be refused: status %d, resumed %d", refused.status, refused.resumed)
	}
}

func TestBreakerClosesWithTheFirstAnswer(t *testing.T) {
	w := newWorld(t)
	hang(w)
	w.now += time.Second
	probe := w.stream("GET", "/stats", "ann")
	if got := probe.exchange.RequestHeaders(true); got != PauseAll {
		t.Fatalf("the attempt: %v, want PauseAll", got)
	}
	other := w.stream("GET", "/stats", "bob")
	if got := other.exchange.RequestHeaders(true); got != Continue {
		t.Errorf("another read meanwhile: %v, want Continue", got)
	}
	w.take(wire.PathLookup).miss(1)
	if got := w.stream("GET", "/stats", "cid").exchange.RequestHeaders(true); got != PauseAll {
		t.Errorf("after the answer: %v, want PauseAll", got)
	}
}

// A bridge that refuses single calls is there: its other answers are worth waiting for.
func TestRefusalsDoNotOpenTheBreaker(t *testing.T) {
	w := newWorld(t)
	for range 20 {
		w.stream("GET", "/stats", "ann").exchange.RequestHeaders(true)
		w.take(wire.PathLookup).done(Answer{Status: "400"})
	}
	if got := w.stream("GET", "/stats", "ann").exchange.RequestHeaders(true); got != PauseAll {
		t.Errorf("%v, want PauseAll", got)
	}
}
