package redisbridge

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// errBreaker says that a call was not tried: Redis has failed to answer so often
// that waiting for it isn't worth a read's time.
var errBreaker = errors.New("circuit breaker is open")

// breaker is the circuit breaker between the bridge and Redis: after some calls
// in a row that Redis didn't answer, reads fail at once instead of after their
// timeout. It decides only; the time is handed in.
//
// Closed, every call is tried. Open, what may be refused is, for a while; then
// it is half-open: one lookup at a time is tried, a probe. What invalidates is
// always tried, and its success closes the breaker as a probe's does.
//
// Each change between closed and not closed begins another turn, and a call's
// outcome counts in the turn that it began in:
//
//  1. lookup A is tried while the breaker is closed (turn 1);
//  2. other calls fail, the breaker opens (turn 2) and later lets lookup P through as a probe;
//  3. A fails at last: an outcome of turn 1, which neither ends P's turn as the
//     probe nor makes the breaker wait anew;
//  4. a suspension S that began after 2 succeeds: closed (turn 3);
//  5. P fails: an outcome of turn 2, and the breaker stays closed.
type breaker struct {
	limit int           // failures in a row that open it; negative: it never opens
	wait  time.Duration // from opening to the first probe, and from a failed probe to the next

	mu       sync.Mutex
	turn     uint64
	open     bool
	row      int       // failures in a row, while closed
	until    time.Time // no probe before, while open
	probing  bool      // a probe of this turn is under way
	last     error     // the last failure
	openings int64
	refused  int64
}

// callKind says what the breaker may do to a call.
type callKind int

const (
	callAlways callKind = iota // never refused: it invalidates, or keeps a lease alive
	callProbe                  // refused while open, and may be the probe
	callSpared                 // refused unless closed: it is no probe, because it may take long
)

// outcome is how a call ended.
type outcome int

const (
	outcomeUnknown  outcome = iota // its caller gave up, or it never got to Redis
	outcomeAnswered                // by Redis, be it with an error
	outcomeFailed                  // no answer
)

// admission is a call's right to be tried; settle must be told how it ended.
type admission struct {
	turn  uint64
	probe bool
}

// admit lets a call be tried, or gives the reason why not, which matches errBreaker.
func (b *breaker) admit(kind callKind, now time.Time) (admission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := admission{turn: b.turn}
	switch {
	case !b.open || kind == callAlways:
		return a, nil
	case kind == callProbe && !b.probing && !now.Before(b.until):
		b.probing, a.probe = true, true
		return a, nil
	}
	b.refused++
	return a, fmt.Errorf("%w, after: %w", errBreaker, b.last)
}

// settle takes in how an admitted call ended.
func (b *breaker) settle(a admission, o outcome, cause error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.turn != b.turn {
		return
	}
	if a.probe {
		b.probing = false
	}
	switch {
	case o == outcomeAnswered:
		b.row = 0
		if b.open {
			b.turn, b.open, b.probing = b.turn+1, false, false
		}
	case o == outcomeFailed && b.open:
		if a.probe {
			b.until, b.last = now.Add(b.wait), cause
		}
	case o == outcomeFailed:
		b.row, b.last = b.row+1, cause
		if b.limit > 0 && b.row >= b.limit {
			b.turn, b.open, b.row, b.until = b.turn+1, true, 0, now.Add(b.wait)
			b.openings++
		}
	}
}

// BreakerStatus says how the circuit breaker between bridge and Redis is.
type BreakerStatus struct {
	State    string `json:"state"`           // closed, open or half-open
	Cause    string `json:"cause,omitempty"` // the last failure, unless closed
	Openings int64  `json:"openings"`        // how often it opened
	Refused  int64  `json:"refused"`         // lookups and stores that were not tried
}

// status tells how the breaker is at that moment.
func (b *breaker) status(now time.Time) BreakerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := BreakerStatus{State: "closed", Openings: b.openings, Refused: b.refused}
	if b.open {
		s.State, s.Cause = "half-open", b.last.Error()
		if now.Before(b.until) {
			s.State = "open"
		}
	}
	return s
}
