package redisbridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

func (w *world) closeAlso(id string, raise bool, also int64, groups ...string) wire.Ticket {
	w.t.Helper()
	a, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: id, Groups: groups, Raise: raise, AlsoAfter: also})
	w.check(err)
	return a.Ticket
}

// dueFields are what the state holds of raises to come.
func (w *world) dueFields() (fields []string) {
	for _, field := range must(w.raw.HKeys(w.ctx, "{chatcache:chat}:state").Result()) {
		if field == "due" || strings.HasPrefix(field, "d:") {
			fields = append(fields, field)
		}
	}
	return fields
}

// However a write ends, what is stored between its raise and the one that comes also
// after it is a hit until then, and a miss from then on.
func TestAlsoAfter(t *testing.T) {
	const also = 40_000
	ends := map[string]func(w *world){
		"a close": func(w *world) {
			w.suspend("w1", 30_000, "c:stats")
			w.closeAlso("w1", true, also, "c:stats")
		},
		"a close of an unknown id": func(w *world) { w.closeAlso("w1", true, also, "c:stats") },
		"a close of a wider suspension": func(w *world) {
			w.suspend("w1", 30_000, "c:stats", "c:search")
			w.closeAlso("w1", true, also, "c:search")
		},
		"a deadline": func(w *world) {
			_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Deadline: 1, AlsoAfter: also})
			w.check(err)
			w.pass(5)
		},
		"an administrator": func(w *world) {
			a, err := w.Invalidate(w.ctx, InvalidateRequest{Rule: "spend"})
			w.check(err)
			if a.AlsoAfterMS != also {
				w.t.Errorf("the administrator was told of another raise in %d ms, want %d", a.AlsoAfterMS, also)
			}
		},
	}
	withRule := func(o *Options) {
		withPolicy(t)(o)
		text := strings.Replace(document, `"invalidations": [`,
			fmt.Sprintf(`"invalidations": [{"name": "spend", "match": ["POST /x"], "invalidate": ["stats"], "also_after": "%dms"},`, also), 1)
		o.Policies[0] = parsePolicy(t, text)
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, withRule, func(t *testing.T, w *world) {
				end(w)
				w.fill(w.want(wire.LookupMiss, "after the write").Ticket)
				between := w.want(wire.LookupHit, "before the other raise: it isn't a suspension").Ticket
				w.sooner(also + also/32 + 1)
				after := w.want(wire.LookupMiss, "after the other raise").Ticket
				a := w.poll(between, 0)
				if len(a.Events) == 0 || !a.Continues(between) || a.Events[0].Kind != wire.EventRaise || a.Last != after {
					t.Errorf("the feed tells %v", a)
				}
				if left := w.dueFields(); len(left) > 0 {
					t.Errorf("the state still holds %q", left)
				}
			})
		})
	}
}

func TestNothingComesAfterARejectedWrite(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.fill(w.look().Ticket)
	w.suspend("w1", 30_000, "c:stats")
	w.closeAlso("w1", false, 400, "c:stats")
	if left := w.dueFields(); len(left) > 0 {
		t.Errorf("the state holds %q", left)
	}
	w.pass(1000)
	w.want(wire.LookupHit, "after a rejected write")
}

// What is due in one moment is one raise, however many writes asked for it, and the
// moments are few.
func TestDueRaisesAreFew(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		start := w.look().Ticket
		const also, writes, grid = 60_000, 100, 1024
		began := must(w.raw.Time(w.ctx).Result())
		for i := range writes {
			w.closeAlso(fmt.Sprint("w", i), true, also, fmt.Sprint("n:", i%50))
		}
		took := must(w.raw.Time(w.ctx).Result()).Sub(began).Milliseconds()
		if n := int64(len(w.dueFields())); n > 1+3+took/grid {
			t.Errorf("%d fields for %d writes in %d ms", n, writes, took)
		}
		if w.memory == nil {
			return // a minute passes on miniredis only
		}
		w.pass(also + also/32)
		a := w.poll(start, 0)
		if n := len(a.Events) - writes; n != 1 || len(a.Events[writes].Groups) != 50 {
			t.Errorf("%d raises were due, want one of 50 groups", n)
		}
		for i := range 200 {
			w.closeAlso(fmt.Sprint("x", i), true, also, "c:stats")
			w.pass(also / 100)
		}
		if n := len(w.dueFields()); n > 1+65 {
			t.Errorf("%d fields at most for any number of writes, want 66 at most", n)
		}
	})
}

// More groups than one event holds are several raises; more than the bound are everything.
func TestDueGroupsAreBounded(t *testing.T) {
	for groups, want := range map[int]string{64: "1 raises of 64 groups", 200: "4 raises of 200 groups", 1024: "16 raises of 1024 groups", 1025: "1 raises of 1 groups"} {
		t.Run(fmt.Sprint(groups), func(t *testing.T) {
			w := newMemoryWorld(t, nil)
			for first := 0; first < groups; first += 25 {
				var some []string
				for i := first; i < min(first+25, groups); i++ {
					some = append(some, fmt.Sprint("n:", i))
				}
				w.closeAlso(fmt.Sprint("w", first), true, 2000, some...)
			}
			before := w.look().Ticket
			w.fill(before, "n:7")
			w.want(wire.LookupHit, "before")
			w.pass(3000)
			w.want(wire.LookupMiss, "after") // by its group, or by everything
			a, named := w.poll(before, 0), 0
			for _, e := range a.Events {
				named += len(e.Groups)
			}
			if got := fmt.Sprintf("%d raises of %d groups", len(a.Events), named); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// A raise that was asked for so long after a write doesn't come before that: what is stored under the ticket of a raise that came
// too early is what the origin had before it has committed.
func TestDueRaisesAreNotEarly(t *testing.T) {
	for _, also := range []int{1, 63, 64, 65, 1000, 4097, 60_000, 100_001} {
		w := newMemoryWorld(t, nil)
		for _, begins := range []int{0, 1, 31, 500} { // with the grid that times are rounded to, and beside it
			w.pass(begins)
			w.closeAlso("w1", true, int64(also), "c:stats")
			w.fill(w.want(wire.LookupMiss, "after the write").Ticket)
			w.pass(also - 1)
			w.want(wire.LookupHit, fmt.Sprintf("1 ms before %d ms are over", also))
			w.pass(1 + also/32)
			w.want(wire.LookupMiss, fmt.Sprintf("after %d ms", also))
		}
	}
}

// After a deadline the raise is due that long after the deadline, also where nobody has noticed for a while that it had passed.
func TestDueRaisesCountFromTheDeadline(t *testing.T) {
	w := newMemoryWorld(t, nil)
	_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Deadline: 1000, AlsoAfter: 40_000})
	w.check(err)
	w.pass(31_000)
	w.fill(w.want(wire.LookupMiss, "30 s after the deadline").Ticket)
	w.want(wire.LookupHit, "before the raise is due")
	w.pass(10_000 + 40_000/32)
	w.want(wire.LookupMiss, "40 s after the deadline")
}

// Whichever comes first counts, a deadline of one write or the raise that is due after another: the later one doesn't hold it up.
func TestDueRaisesBesideDeadlines(t *testing.T) {
	for name, times := range map[string]struct{ deadline, also int64 }{
		"the raise first":    {90_000, 20_000},
		"the deadline first": {20_000, 90_000},
	} {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				due, suspended := "c:stats", "c:search"
				if times.deadline < times.also {
					due, suspended = suspended, due
				}
				w.suspend("open", times.deadline, suspended)
				start := w.closeAlso("ended", true, times.also, due)
				if due == "c:stats" {
					w.fill(w.want(wire.LookupMiss, "after the write that has ended").Ticket)
					w.want(wire.LookupHit, "before its raise is due")
				}
				w.sooner(22_000)
				w.want(wire.LookupMiss, "after the first of the two")
				if got := fmt.Sprint(raisesSince(w, start)); got != "[c:stats]" {
					t.Errorf("raised %s, want c:stats alone", got)
				}
				w.sooner(90_000)
				w.look()
				if got := fmt.Sprint(raisesSince(w, start)); got != "[c:stats c:search]" {
					t.Errorf("raised %s in the end, want both", got)
				}
			})
		})
	}
}

// Raises that are due are found in the order of their times, by whoever comes first.
func TestDueRaisesOfSeveralDelays(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for i, also := range []int64{3000, 200, 60_000, 1000} {
		w.closeAlso(fmt.Sprint("w", i), true, also, fmt.Sprint("n:", also))
	}
	at := w.look().Ticket
	for _, step := range []struct {
		pass int
		want string
	}{{210, "[n:200]"}, {1000, "[n:1000]"}, {500, ""}, {60_000, "[n:3000][n:60000]"}} {
		w.pass(step.pass)
		a := w.poll(at, 0)
		got := ""
		for _, e := range a.Events {
			got += fmt.Sprint(e.Groups)
		}
		if got != step.want {
			t.Errorf("after %d ms more: raised %s, want %s", step.pass, got, step.want)
		}
		at = a.Last
	}
}

// A held poll waits no longer than until a raise is due, whichever bridge was told.
func TestHeldPollsWaitForDueRaises(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		w.look() // begins the epoch
		o := w.options
		o.Clock, o.Bootstrap = nil, false
		other := newBridge(t, o)
		a, err := other.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Raise: true, AlsoAfter: 20_000})
		w.check(err)
		w.look() // so that what the other bridge publishes is no news any more
		answer, wait := waitingPoll(t, w.Bridge, clock, w.pollRequest(a.Ticket, wire.MaxHold))
		if wait < 5*time.Second || wait > 21*time.Second {
			t.Errorf("waits for %v, want about 20 s", wait)
		}
		w.sooner(22_000)
		clock.release <- struct{}{}
		if a := within(t, answer); len(a.Events) != 1 || a.Events[0].Kind != wire.EventRaise {
			t.Errorf("got %v, want the raise that was due", a)
		}
	})
}

// A new epoch that lost a due raise begins suspended for at least as long as it was to come.
func TestNewEpochWaitsOutDueRaises(t *testing.T) {
	for name, write := range map[string]func(w *world){
		"closed": func(w *world) { w.closeAlso("w1", true, 5000, "c:stats") },
		"open": func(w *world) {
			_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Deadline: 1000, AlsoAfter: 4000})
			w.check(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newMemoryWorld(t, nil)
			write(w)
			w.check(w.raw.FlushDB(w.ctx).Err())
			w.look()
			w.pass(4990)
			w.want(wire.LookupSuspended, "before it would have been raised")
			w.pass(20)
			w.want(wire.LookupMiss, "after")
		})
	}
}
