package redisbridge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// feedGate holds reads of the feed until the test lets them go on, and tells of each how many
// polls it is for.
type feedGate struct {
	polls chan int
	after chan struct{} // the read has been executed; its answer is held
}

func newFeedGate() *feedGate {
	return &feedGate{polls: make(chan int), after: make(chan struct{})}
}

func (*feedGate) DialHook(next redis.DialHook) redis.DialHook { return next }

func (g *feedGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if polls := pollsOf(cmd); polls > 0 && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			g.polls <- polls
			<-g.after
		}
		return err
	}
}

func (*feedGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// pollsOf counts the VMs that a command registers: they are named vm-….
func pollsOf(cmd redis.Cmder) (n int) {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return 0
	}
	for _, arg := range cmd.Args()[2:] {
		if text, ok := arg.(string); ok && strings.HasPrefix(text, "vm-") {
			n++
		}
	}
	return n
}

// ask lets VMs poll with that cursor.
func (w *world) ask(cursor wire.Ticket, vms ...string) <-chan wire.FeedAnswer {
	answers := make(chan wire.FeedAnswer, len(vms))
	for _, vm := range vms {
		m := w.pollRequest(cursor, 0)
		m.VM = vm
		go func() {
			a, err := w.Feed(context.WithoutCancel(w.t.Context()), m)
			if err != nil {
				w.t.Error(vm, err)
			}
			answers <- a
		}()
	}
	return answers
}

// waitingPolls waits until so many polls wait for their turn.
func (w *world) waitingPolls(n int) {
	w.t.Helper()
	reads := &w.policies.known("chat").reads
	w.inQueue(fmt.Sprint(n, " polls wait"), n, &reads.mu, func() int { return len(reads.waiting) })
}

// inQueue waits until so many are in a queue that a lock guards.
func (w *world) inQueue(what string, n int, mu *sync.Mutex, length func() int) {
	w.t.Helper()
	eventually(w.t, what, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return length() == n
	})
}

// Polls that come while another one's read is under way are read together, after it: what it
// reads may be older than they are.
func TestPollsReadTogether(t *testing.T) {
	gate := newFeedGate()
	onEachRedis(t, func(o *Options) { o.Hooks = []redis.Hook{gate} }, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		first := w.ask(cursor, "vm-first")
		if n := <-gate.polls; n != 1 {
			t.Fatalf("the first read is for %d polls, want 1", n)
		}
		w.close("w1", true, "c:stats") // what the first has read is from before
		others := w.ask(cursor, "vm-1", "vm-2", "vm-3")
		w.waitingPolls(3)
		gate.after <- struct{}{}
		if a := within(t, first); len(a.Events) != 0 || !a.Continues(cursor) {
			t.Errorf("the first got %v, want that nothing has happened", a)
		}
		if n := <-gate.polls; n != 3 {
			t.Errorf("the second read is for %d polls, want all 3", n)
		}
		gate.after <- struct{}{}
		for range 3 {
			if a := within(t, others); len(a.Events) != 1 || !a.Continues(cursor) {
				t.Errorf("a poll that came after the raise got %v", a)
			}
		}
		if vms := w.raw.ZRange(w.ctx, "{chatcache:chat}:vms", 0, -1).Val(); len(vms) != 4 {
			t.Errorf("registered are %v, want all 4", vms)
		}
	})
}

// Each of the polls that are read together gets what happened after its own cursor.
func TestPollsOfDifferentCursors(t *testing.T) {
	gate := newFeedGate()
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{gate} })
	cursors := []wire.Ticket{w.look().Ticket}
	for range 3 {
		cursors = append(cursors, w.close("w1", true, "c:stats"))
	}
	old := cursors[0]
	old.Epoch++
	first := w.ask(old, "vm-first")
	<-gate.polls
	var answers []<-chan wire.FeedAnswer
	for i, cursor := range append(cursors, old) {
		answers = append(answers, w.ask(cursor, fmt.Sprint("vm-", i)))
	}
	w.waitingPolls(5)
	gate.after <- struct{}{}
	<-gate.polls
	gate.after <- struct{}{}
	within(t, first)
	for i, cursor := range cursors {
		if a := within(t, answers[i]); !a.Continues(cursor) || len(a.Events) != 3-i {
			t.Errorf("at %v: got %v, want the %d events after it", cursor, a, 3-i)
		}
	}
	if a := within(t, answers[4]); a.Continues(old) || len(a.Events) != 0 || a.Last != cursors[3] {
		t.Errorf("of another epoch: got %v, want the position alone", a)
	}
}

// What happens while a held poll reads, and finds nothing yet, isn't slept through either: it reads once more.
func TestNoLostWakeOfAHeldPoll(t *testing.T) {
	clock, gate := newStepClock(), newFeedGate()
	w := newMemoryWorld(t, func(o *Options) { o.Clock, o.Hooks = clock, []redis.Hook{gate} })
	cursor := w.look().Ticket
	answer := w.askHeld(cursor)
	<-gate.polls
	gate.after <- struct{}{}
	<-clock.waiting
	w.policies.known("chat").wake.all() // as for a deadline that was moved forward
	<-gate.polls                        // with others of the same cursor
	gate.after <- struct{}{}
	<-gate.polls // by itself
	w.close("w1", true, "c:stats")
	gate.after <- struct{}{}
	select {
	case <-gate.polls:
		gate.after <- struct{}{}
	case <-time.After(patience):
		t.Fatal("it waits on, and has missed a raise")
	}
	if a := within(t, answer); len(a.Events) != 1 {
		t.Errorf("got %v, want the raise", a)
	}
}

// askHeld lets a VM poll that is held.
func (w *world) askHeld(cursor wire.Ticket) <-chan wire.FeedAnswer {
	answers := make(chan wire.FeedAnswer, 1)
	go func() {
		m := w.pollRequest(cursor, 30_000)
		a, err := w.Feed(w.ctx, m)
		if err != nil {
			w.t.Error(err)
		}
		answers <- a
	}()
	return answers
}

// However many polls come at once, one read is for so many of them, and what isn't asked for any
// more registers nobody.
func TestPollsReadTogetherAreBounded(t *testing.T) {
	gate := newFeedGate()
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{gate} })
	first := w.ask(wire.Ticket{}, "vm-first")
	<-gate.polls
	gone, leave := context.WithCancel(w.ctx)
	left := make(chan error)
	go func() {
		m := w.pollRequest(wire.Ticket{}, 0)
		m.VM = "vm-gone"
		_, err := w.Feed(gone, m)
		left <- err
	}()
	w.waitingPolls(1)
	var vms []string
	for i := range maxTogether + 5 {
		vms = append(vms, fmt.Sprint("vm-", i))
	}
	answers := w.ask(wire.Ticket{}, vms...)
	w.waitingPolls(maxTogether + 6)
	leave()
	wantError(t, <-left, context.Canceled)
	for _, want := range []int{maxTogether, 5} {
		gate.after <- struct{}{}
		if n := <-gate.polls; n != want {
			t.Errorf("a read for %d polls, want %d", n, want)
		}
	}
	gate.after <- struct{}{}
	within(t, first)
	for range vms {
		within(t, answers)
	}
	if w.raw.ZScore(w.ctx, "{chatcache:chat}:vms", "vm-gone").Err() != redis.Nil {
		t.Error("a VM is registered that doesn't listen any more")
	}
}

// A VM that is one too many costs those that are read with it nothing.
func TestOneOfThePollsIsRefused(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		var many []redis.Z
		for i := range maxVMs - 1 {
			many = append(many, redis.Z{Score: 1e15, Member: fmt.Sprint("vm-", i)})
		}
		w.check(w.raw.ZAdd(w.ctx, "{chatcache:chat}:vms", many...).Err())
		polls := make([]*pollRead, 3)
		for i, vm := range []string{"last", "beyond", "vm-7"} {
			m := w.pollRequest(cursor, 0)
			m.VM = vm
			report := wire.Report{Number: 1, Caches: []wire.Counts{{Cache: "stats", Values: [wire.Counters]uint64{1}}}}
			polls[i] = &pollRead{ctx: w.ctx, request: wire.FollowRequest{FeedRequest: m, Report: report}}
		}
		w.readFeed(w.policies.known("chat"), polls)
		for i, want := range []error{nil, ErrTooMany, nil} {
			if r := polls[i]; want != nil {
				wantError(t, r.err, want)
			} else if r.err != nil || !r.answer.Continues(cursor) {
				t.Errorf("poll %d: %v, %v", i, r.answer, r.err)
			}
		}
		if reported := must(w.raw.HKeys(w.ctx, "{chatcache:chat}:reported").Result()); len(reported) != 2 || slices.Contains(reported, "beyond") {
			t.Errorf("reports of %q are kept, want those of VMs that are registered: with these they go", reported)
		}
	})
}

// The first event after a while is told at once, and what follows soon is gathered.
func TestFirstEventIsToldAtOnce(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	gathered := 0
	clock.gather = func() { gathered++ }
	tell := func(name string, passed time.Duration, cursor wire.Ticket, want int) wire.Ticket {
		t.Helper()
		gathered = 0
		answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 1000))
		clock.pass(passed)
		w.close("w1", true, "c:stats")
		a := within(t, answer)
		if len(a.Events) != 1 || gathered != want {
			t.Errorf("%s: %d events after gathering %d times, want 1 after %d", name, len(a.Events), gathered, want)
		}
		return a.Last
	}
	cursor := tell("after a while", time.Second, w.look().Ticket, 0)
	cursor = tell("soon after", gather-1, cursor, 1)
	cursor = tell("after a while again", gather, cursor, 0)

	// A poll that comes late, and finds what has happened.
	gathered = 0
	w.close("w1", true, "c:stats")
	clock.pass(gather)
	if a := w.poll(cursor, 1000); len(a.Events) != 1 || gathered != 0 {
		t.Errorf("late: %v after gathering %d times, want one event at once", a, gathered)
	}
}

// deadlines remembers how much time each command has.
type deadlines struct {
	countingHook
	left chan time.Duration
}

func (d *deadlines) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if end, ok := ctx.Deadline(); ok && cmd.Name() == "evalsha" {
			d.left <- time.Until(end)
		}
		return next(ctx, cmd)
	}
}

// A read of the feed has more time than what a request waits for.
func TestFeedHasMorePatience(t *testing.T) {
	seen := &deadlines{left: make(chan time.Duration, 10)}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{seen} })
	w.suspend("w1", 1000, "c:stats")
	if left := <-seen.left; left > patience {
		t.Errorf("a suspension has %v, want %v at most", left, patience)
	}
	w.poll(wire.Ticket{}, 0)
	if left := <-seen.left; left <= (feedPatience-1)*patience || left > feedPatience*patience {
		t.Errorf("a read of the feed has %v, want %v", left, feedPatience*patience)
	}
}
