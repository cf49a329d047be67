package redisbridge

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// breakerScript is a breaker in virtual time, with calls under way by name.
type breakerScript struct {
	t     *testing.T
	b     breaker
	now   time.Time
	calls map[string]admission
}

func newBreakerScript(t *testing.T, limit int) *breakerScript {
	return &breakerScript{t: t, b: breaker{limit: limit, wait: time.Second}, now: time.Unix(1_790_000_000, 0), calls: map[string]admission{}}
}

var errSilence = errors.New("no answer")

func (s *breakerScript) begin(kind callKind, names ...string) {
	s.t.Helper()
	for _, name := range names {
		a, err := s.b.admit(kind, s.now)
		if err != nil {
			s.t.Errorf("%s was refused: %v", name, err)
		}
		s.calls[name] = a
	}
}

func (s *breakerScript) refused(kind callKind, when string) {
	s.t.Helper()
	if _, err := s.b.admit(kind, s.now); !errors.Is(err, errBreaker) || !errors.Is(err, errSilence) {
		s.t.Errorf("%s: got %v, want a refusal that names the last failure", when, err)
	}
}

func (s *breakerScript) end(o outcome, names ...string) {
	for _, name := range names {
		s.b.settle(s.calls[name], o, errSilence, s.now)
	}
}

func (s *breakerScript) state(want, when string) {
	s.t.Helper()
	if got := s.b.status(s.now).State; got != want {
		s.t.Errorf("%s: %s, want %s", when, got, want)
	}
}

func (s *breakerScript) opened() *breakerScript {
	s.begin(callProbe, "f1", "f2")
	s.end(outcomeFailed, "f1", "f2")
	s.state("open", "after two failures")
	return s
}

func TestBreakerOpensAndCloses(t *testing.T) {
	s := newBreakerScript(t, 2)
	s.begin(callProbe, "a", "b", "c", "d")
	s.end(outcomeFailed, "a")
	s.end(outcomeAnswered, "b")
	s.end(outcomeFailed, "c")
	s.state("closed", "failures that aren't in a row")
	s.begin(callProbe, "gone")
	s.end(outcomeUnknown, "gone")
	s.end(outcomeFailed, "d")
	s.state("open", "two failures in a row, between them one whose caller left")
	s.refused(callProbe, "a lookup while open")
	s.refused(callSpared, "a store while open")
	s.begin(callAlways, "suspend")

	s.now = s.now.Add(time.Second)
	s.state("half-open", "after the wait")
	s.refused(callSpared, "a store is no probe")
	s.begin(callProbe, "probe")
	s.refused(callProbe, "a second probe")
	s.end(outcomeFailed, "probe")
	s.state("open", "after a failed probe")
	s.now = s.now.Add(time.Second)
	s.begin(callProbe, "probe")
	s.end(outcomeAnswered, "probe")
	s.state("closed", "after an answered probe")
	s.begin(callSpared, "store")
	if got := s.b.status(s.now); got != (BreakerStatus{State: "closed", Openings: 1, Refused: 4}) {
		t.Errorf("status %+v", got)
	}
}

// What invalidates closes the breaker before its time, and its failures don't keep it open.
func TestBreakerClosesEarly(t *testing.T) {
	s := newBreakerScript(t, 2).opened()
	s.begin(callAlways, "close 1", "close 2")
	s.now = s.now.Add(900 * time.Millisecond)
	s.end(outcomeFailed, "close 1")
	s.now = s.now.Add(100 * time.Millisecond)
	s.state("half-open", "a close that failed doesn't prolong the wait")
	s.end(outcomeAnswered, "close 2")
	s.state("closed", "a close succeeded")
}

// The interleaving of breaker's comment.
func TestBreakerTurns(t *testing.T) {
	s := newBreakerScript(t, 2)
	s.begin(callProbe, "A", "A'") // 1
	s.opened()                    // 2
	s.now = s.now.Add(time.Second)
	s.begin(callProbe, "P")
	s.end(outcomeFailed, "A") // 3
	s.state("half-open", "a failure of the turn before")
	s.refused(callProbe, "while P probes")
	s.end(outcomeAnswered, "A'")
	s.state("half-open", "an answer of the turn before: Redis gave it before it fell silent")
	s.begin(callAlways, "S")
	s.end(outcomeAnswered, "S") // 4
	s.state("closed", "a suspension was answered")
	s.begin(callProbe, "other")
	s.end(outcomeFailed, "P", "other") // 5
	s.state("closed", "one failure of this turn")
}

// A probe of an earlier turn doesn't free the place of this turn's.
func TestBreakerProbes(t *testing.T) {
	s := newBreakerScript(t, 2).opened()
	s.now = s.now.Add(time.Second)
	s.begin(callProbe, "P1")
	s.begin(callAlways, "S")
	s.end(outcomeAnswered, "S")
	s.begin(callProbe, "g1", "g2")
	s.end(outcomeFailed, "g1", "g2")
	s.now = s.now.Add(time.Second)
	s.begin(callProbe, "P2")
	s.end(outcomeFailed, "P1")
	s.refused(callProbe, "while P2 probes")
	// Its caller left: nothing is known, the next one may try at once.
	s.end(outcomeUnknown, "P2")
	s.state("half-open", "after a probe without an outcome")
	s.begin(callProbe, "P3")
}

func TestBreakerOff(t *testing.T) {
	s := newBreakerScript(t, -1)
	for range 100 {
		s.begin(callProbe, "a")
		s.end(outcomeFailed, "a")
	}
	s.state("closed", "a breaker that is turned off")
}

// A Redis that is silent costs a read its timeout a few times, and from then on
// nothing; what invalidates is tried all the time, and ends that.
func TestSilentRedis(t *testing.T) {
	change := func(o *Options) {
		o.BreakerFailures, o.BreakerWait = 3, time.Hour
	}
	onEachRedis(t, change, func(t *testing.T, w *world) {
		lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}
		ticket := w.look().Ticket
		w.fill(ticket)
		w.silence()
		w.impatient()
		for range 3 {
			_, err := w.Lookup(w.ctx, lookup)
			wantError(t, err, ErrRedis)
			if errors.Is(err, errBreaker) {
				t.Errorf("refused too early: %v", err)
			}
		}
		status, body := call(w, "POST", wire.PathLookup, "", lookup.Encode())
		if status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "redis: circuit breaker is open, after: redis") {
			t.Errorf("a lookup got %d %s", status, body)
		}
		piece := wire.Entry{Head: wire.Head{Ticket: ticket, TTL: 1000, Groups: []string{"*"}}}.Encode()
		for path, body := range map[string][]byte{
			wire.PathStore:   wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1000, Entry: entryOf(ticket)}.Encode(),
			wire.PathPiece:   wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u", Bytes: piece}.Encode(),
			wire.PathCommit:  wire.CommitRequest{Scope: w.scope, Key: w.key, Upload: "u", Size: 1, TTL: 1000}.Encode(),
			wire.PathRelease: wire.ReleaseRequest{Scope: w.scope, Key: w.key, Fetch: "f1"}.Encode(),
			wire.PathLookups: wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{lookup}}.Encode(),
		} {
			status, body := call(w, "POST", path, "", body)
			if status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "redis: circuit breaker is open, after: redis") {
				t.Errorf("%s got %d %s", path, status, body)
			}
		}
		for name, call := range map[string]func() error{
			"suspend": func() error {
				_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: w.groups, Deadline: 30_000})
				return err
			},
			"close": func() error {
				_, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: w.groups})
				return err
			},
			"purge": func() error { _, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true}); return err },
			"feed":  func() error { _, err := w.Feed(w.ctx, w.pollRequest(ticket, 0)); return err },
		} {
			if err := call(); !errors.Is(err, ErrRedis) || errors.Is(err, errBreaker) {
				t.Errorf("%s: %v, want that it was tried", name, err)
			}
		}
		w.wakeUp()
		w.patient()
		eventually(t, "a close succeeds", func() bool {
			_, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "w2", Groups: []string{"c:search"}})
			return err == nil
		})
		if _, err := w.Lookup(w.ctx, lookup); err != nil {
			t.Errorf("a lookup after a close succeeded: %v", err)
		}
	})
	// By itself, too.
	soon := func(o *Options) { change(o); o.BreakerWait = 10 * time.Millisecond }
	onEachRedis(t, soon, func(t *testing.T, w *world) {
		lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}
		w.look()
		w.silence()
		w.impatient()
		eventually(t, "the breaker opens", func() bool {
			_, err := w.Lookup(w.ctx, lookup)
			return errors.Is(err, errBreaker)
		})
		w.wakeUp()
		w.patient()
		eventually(t, "lookups are answered again", func() bool {
			_, err := w.Lookup(w.ctx, lookup)
			return err == nil
		})
	})
}

// An error is an answer: Redis is there, and nobody waits for it.
func TestErrorsDontOpenTheBreaker(t *testing.T) {
	w := newRealWorld(t, func(o *Options) { o.BreakerFailures = 1 })
	w.look()
	w.check(w.raw.ConfigSet(w.ctx, "maxmemory", "1").Err())
	for range 3 {
		_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
		wantError(t, err, ErrRedis)
	}
	if s := w.Status(w.ctx).Redis.Breaker; s.State != "closed" || s.Openings > 0 {
		t.Errorf("breaker %+v", s)
	}
}
