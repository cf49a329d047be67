package linear

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// The Cache-Status of a write whose suspension was acknowledged, and of one that was
// refused because it wasn't.
const (
	statusSuspended = "chatcache; fwd=method"
	statusRefused   = "chatcache; detail=bridge-unreachable"
)

// Claim is what is promised, and to be checked.
type Claim struct {
	// Staleness is how old an answer may be: l1.max_staleness, 0 without L1.
	Staleness time.Duration
	// Forward says that writes are forwarded while the bridge can't be reached.
	Forward bool
	// Covered is how long after it was sent a write may take effect and be sure of its
	// suspension: the shorter of its rule's deadline and settle. 0 is for ever, where
	// nothing keeps a suspension from being renewed.
	Covered time.Duration
}

// exempt tells whether a write that took effect is one of the documented exceptions: until
// the next raise of its groups the cache may still answer with what was before.
func (c Claim) exempt(w Write) bool {
	return c.late(w) || c.Forward && w.Answer != statusSuspended
}

func (c Claim) late(w Write) bool { return c.Covered > 0 && w.Commit-w.Call > int64(c.Covered) }

// span is how long a value may be the answer: from its commit until the next value counts.
type span struct{ from, until int64 }

const never = int64(1) << 62

// timeline is the truth about one register.
type timeline struct {
	commits []Write         // in order
	counts  map[int64]int64 // by value: the moment from which nothing older may be answered; never
	spans   map[int64]span  // by value
}

// timelines derives the truth about every register that was written.
func (h *History) timelines(c Claim, groups func(Register) []string) map[Register]*timeline {
	all := map[Register]*timeline{}
	writes := h.Writes()
	slices.SortFunc(writes, func(a, b Write) int { return cmp.Compare(a.Commit, b.Commit) })
	for _, w := range writes {
		if w.Commit == 0 {
			continue
		}
		for _, r := range w.Registers {
			t := all[r]
			if t == nil {
				t = &timeline{counts: map[int64]int64{}, spans: map[int64]span{}}
				all[r] = t
			}
			t.commits = append(t.commits, w)
			t.counts[w.Value] = w.Commit
			if c.exempt(w) {
				t.counts[w.Value] = h.countsFrom(c, w, groups(r))
			}
		}
	}
	for _, t := range all {
		t.measure()
	}
	return all
}

// measure fills spans: a value may be answered until any later one counts.
func (t *timeline) measure() {
	until := never
	for _, w := range slices.Backward(t.commits) {
		t.spans[w.Value] = span{w.Commit, until}
		until = min(until, t.counts[w.Value])
	}
	t.spans[0] = span{-never, until}
}

// countsFrom is the moment from which an exempt write counts for a register with these groups.
func (h *History) countsFrom(c Claim, w Write, groups []string) int64 {
	raised := h.raisedAfter(w.Commit, groups)
	if w.Lost || c.late(w) || h.settled < w.Commit {
		return raised
	}
	return min(raised, h.settled)
}

// raisedAfter is when the observer knew that one of the groups had been raised after a
// moment: a poll begun later tells the number that stood by then, a later poll a raise with
// a greater one, or another epoch, which forgets everything.
func (h *History) raisedAfter(moment int64, groups []string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var stood wire.Ticket
	for _, p := range h.polls {
		switch {
		case p.Begin < moment:
		case stood.Epoch == 0:
			stood = p.Last
		case p.Last.Epoch != stood.Epoch || raises(p.Raises, stood.Sequence, groups):
			return p.End
		}
	}
	return never
}

func raises(events []wire.Event, after uint64, groups []string) bool {
	return slices.ContainsFunc(events, func(e wire.Event) bool {
		return e.Kind == wire.EventRaise && e.Sequence > after &&
			slices.ContainsFunc(e.Groups, func(g string) bool { return slices.Contains(groups, g) })
	})
}

// Stale is a read that the claim doesn't allow.
type Stale struct {
	Read
	since int64 // the moment from which a later value counted
}

func (s Stale) String() string {
	return fmt.Sprintf("client %d read %s from %v to %v and got %d (%s), which was out of date since %v, %v before it asked",
		s.Client, s.Register, time.Duration(s.Call), time.Duration(s.Return), s.Value, strings.TrimPrefix(s.Answer, "chatcache; "),
		time.Duration(s.since), time.Duration(s.Call-s.since))
}

// stale finds the reads whose value may not be the answer at any moment of theirs. Values
// that were never written are an error of the test, or a mix-up of users.
func (h *History) stale(c Claim, lines map[Register]*timeline) (found []Stale) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reads {
		t := lines[r.Register]
		if t == nil {
			t = &timeline{spans: map[int64]span{0: {-never, never}}}
		}
		s, written := t.spans[r.Value]
		if !written {
			s = span{never, -never}
		}
		if s.from > r.Return || s.until < r.Call-int64(c.Staleness) {
			found = append(found, Stale{r, s.until})
		}
	}
	return found
}
