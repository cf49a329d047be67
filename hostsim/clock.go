package hostsim

import (
	"context"
	"slices"
	"sync"
	"time"
)

// DefaultStart is the virtual time at which a Clock starts when nothing else is asked for.
var DefaultStart = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Clock is virtual time together with the event loop that moves it. Several
// Sims may share one. Now and Wait may be called from handlers' goroutines,
// everything else only from the goroutine that drives the simulation.
type Clock struct {
	mu     sync.Mutex // guards now, timers, ready, jobs: handlers touch them too
	now    time.Time
	start  time.Time
	seq    uint64
	timers timerHeap
	ready  []event
	jobs   []*job

	hooks     []func(time.Time)
	order     order // nil: first in, first out
	watchdog  time.Duration
	onStuck   func(j *job)
	onEndless func()
}

// event is work for the loop. Events of one lane keep their order; an order
// may interleave lanes.
type event struct {
	lane any
	run  func()
}

// NewClock gives a clock that stands at start (DefaultStart if zero).
func NewClock(start time.Time) *Clock {
	if start.IsZero() {
		start = DefaultStart
	}
	return &Clock{now: start, start: start, watchdog: 30 * time.Second}
}

// OnAdvance calls f whenever virtual time has moved, before what is due then
// runs. A test moves a fake server's clock along with it.
func (c *Clock) OnAdvance(f func(now time.Time)) { c.hooks = append(c.hooks, f) }

// Now is the virtual time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Since is the virtual time that has passed since the clock's start, the
// modules' monotonic clock.
func (c *Clock) Since() time.Duration { return c.Now().Sub(c.start) }

// Wait lets virtual time pass for a handler: it returns when wake is closed
// (nothing is ever received from it by anyone else; it may be nil), when ctx
// is done, or after d. The loop notices that the handler waits, and goes on.
//
// ctx must descend from the handler's request. A goroutine with another ctx
// may wait too, but the loop doesn't know when it has finished what it does after.
func (c *Clock) Wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	if d <= 0 || ctx.Err() != nil {
		return
	}
	fired := make(chan struct{})
	t := c.after(d, func() { close(fired) })
	defer c.stop(t)
	j, _ := ctx.Value(jobKey{}).(*job)
	if j == nil {
		select {
		case <-wake:
		case <-ctx.Done():
		case <-fired:
		}
		return
	}
	j.park(func() bool { return isClosed(wake) || isClosed(fired) || ctx.Err() != nil })
}

func isClosed(ch <-chan struct{}) bool {
	if ch == nil {
		return false
	}
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// maxSteps bounds what can happen without time passing.
const maxSteps = 1 << 18

// Settle runs everything that can happen without time passing. Events that
// cause each other for ever are cut and reported.
func (c *Clock) Settle() {
	for n := 0; c.step(); n++ {
		if n == maxSteps {
			c.mu.Lock()
			c.ready = nil
			c.mu.Unlock()
			if c.onEndless != nil {
				c.onEndless()
			}
			return
		}
	}
}

// step runs one event or lets one handler go on; false when there is neither.
func (c *Clock) step() bool {
	if c.order != nil {
		return c.stepInOrder()
	}
	if ev, ok := c.take(); ok {
		ev.run()
		return true
	}
	if able := c.wakeable(); len(able) > 0 {
		c.runJob(able[0])
		return true
	}
	return false
}

// Advance moves virtual time by d, stopping at every timer on the way to run
// what is due.
func (c *Clock) Advance(d time.Duration) {
	target := c.Now().Add(d)
	c.Settle()
	for c.advanceToNext(target) {
	}
	c.moveTo(target)
	c.Settle()
}

// advanceToNext moves to the next timer that is due at limit or before, runs
// it and settles. It reports whether there was one.
func (c *Clock) advanceToNext(limit time.Time) bool {
	c.mu.Lock()
	if len(c.timers) == 0 || c.timers[0].at.After(limit) {
		c.mu.Unlock()
		return false
	}
	t := c.timers[0]
	c.mu.Unlock()
	c.moveTo(t.at)
	if c.order != nil {
		c.Settle() // the timer is one of what can happen now
	}
	if c.stop(t) {
		t.run()
		c.Settle()
	}
	return true
}

func (c *Clock) moveTo(at time.Time) {
	c.mu.Lock()
	moved := at.After(c.now)
	if moved {
		c.now = at
	}
	c.mu.Unlock()
	if !moved {
		return
	}
	for _, f := range c.hooks {
		f(at)
	}
}

// post adds work to the loop; any goroutine may.
func (c *Clock) post(lane any, run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, event{lane, run})
}

func (c *Clock) take() (event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) == 0 {
		return event{}, false
	}
	return c.takeAt(0), true
}

func (c *Clock) takeAt(i int) event {
	ev := c.ready[i]
	c.ready = slices.Delete(c.ready, i, i+1)
	return ev
}
