package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// readGate holds lookups' reads until the test lets them go on, and tells of each how many entries
// it is for.
type readGate struct {
	entries chan int
	after   chan struct{} // the read has been executed; its answer is held
}

func newReadGate() *readGate {
	return &readGate{entries: make(chan int), after: make(chan struct{})}
}

func (*readGate) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*readGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *readGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if len(cmds) == 2 && !redis.HasErrorPrefix(err, "NOSCRIPT") { // validity and entries
			if keys, ok := cmds[1].Args()[2].(int); ok {
				g.entries <- keys / 2
				<-g.after
			}
		}
		return err
	}
}

// lookedUp is what came of a lookup.
type lookedUp struct {
	answer wire.LookupAnswer
	err    error
}

// lookUp looks up while the test goes on.
func (w *world) lookUp(ctx context.Context, user string) <-chan lookedUp {
	found := make(chan lookedUp, 1)
	go func() {
		a, err := w.Lookup(ctx, w.ofUser(user))
		found <- lookedUp{a, err}
	}()
	return found
}

// waitingLookups waits until so many lookups wait for their turn.
func (w *world) waitingLookups(n int) {
	w.t.Helper()
	lookups := &w.policies.known("chat").lookups
	w.inQueue(fmt.Sprint(n, " lookups wait"), n, &lookups.mu, func() int { return len(lookups.waiting) })
}

// fullReads has as many reads under way as there may be, which the gate holds.
func (w *world) fullReads(gate *readGate) (held []<-chan lookedUp) {
	begun := w.lookUp(w.ctx, "a") // alone: whoever begins an epoch is waited for
	<-gate.entries
	gate.after <- struct{}{}
	<-begun
	for range maxReads {
		held = append(held, w.lookUp(w.ctx, "a"))
		<-gate.entries
	}
	return held
}

// Lookups that come while enough reads are under way are read together, after one of these: what those read may be
// older than they are.
func TestLookupsReadTogether(t *testing.T) {
	gate := newReadGate()
	patient := func(o *Options) { o.Hooks, o.Timeout = []redis.Hook{gate}, time.Minute }
	onEachRedis(t, patient, func(t *testing.T, w *world) {
		pass := func(entries int) {
			t.Helper()
			if n := <-gate.entries; n != entries {
				t.Errorf("a read is for %d entries, want %d", n, entries)
			}
			gate.after <- struct{}{}
		}
		users := []string{"a", "b", "c", "d", "e", "f"}
		for _, user := range users {
			found := w.lookUp(w.ctx, user)
			pass(1)
			w.storeOf(user, (<-found).answer.Ticket)
		}
		var first, others []<-chan lookedUp
		for i := range maxReads {
			first = append(first, w.lookUp(w.ctx, users[i]))
			if n := <-gate.entries; n != 1 {
				t.Errorf("a read is for %d entries while there is room, want 1", n)
			}
		}
		w.close("w1", true, "c:stats") // what those have read is from before
		for i, user := range users {
			others = append(others, w.lookUp(w.ctx, user))
			w.waitingLookups(i + 1)
		}
		gone, leave := context.WithCancel(w.ctx)
		left := w.lookUp(gone, "a")
		w.waitingLookups(len(users) + 1)
		leave()
		if got := <-left; !errors.Is(got.err, ErrRedis) || !errors.Is(got.err, context.Canceled) {
			t.Errorf("who has left while waiting got %v", got.err)
		}
		gate.after <- struct{}{}
		pass(len(users))
		for range maxReads - 1 {
			gate.after <- struct{}{}
		}
		for _, found := range first {
			if got := <-found; got.err != nil || got.answer.State != wire.LookupHit {
				t.Errorf("who was read before the write got state %d, %v", got.answer.State, got.err)
			}
		}
		for i, found := range others {
			if got := <-found; got.err != nil || got.answer.State != wire.LookupMiss {
				t.Errorf("%s, who came after the write, got state %d, %v", users[i], got.answer.State, got.err)
			}
		}
		again := w.lookUp(w.ctx, "a")
		pass(1)
		if got := <-again; got.err != nil {
			t.Error(got.err)
		}
	})
}

// Where Redis fails, all who were read together hear of it.
func TestLookupsReadTogetherFailTogether(t *testing.T) {
	gate := newReadGate()
	w := newMemoryWorld(t, func(o *Options) { o.Hooks, o.Timeout = []redis.Hook{gate}, time.Minute })
	all := w.fullReads(gate)
	for i := range 3 {
		all = append(all, w.lookUp(w.ctx, fmt.Sprint(i)))
		w.waitingLookups(i + 1)
	}
	w.memory.SetError("LOADING")
	gate.after <- struct{}{}
	<-gate.entries
	for range maxReads {
		gate.after <- struct{}{}
	}
	for i, found := range all {
		if got := <-found; errors.Is(got.err, ErrRedis) != (i >= maxReads) {
			t.Errorf("lookup %d: %v", i, got.err)
		}
	}
}

// A lookup that is behind others which Redis is slow with waits for a part of its time only.
func TestLookupBehindSlowOnes(t *testing.T) {
	gate, clock := newReadGate(), newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Hooks, o.Timeout, o.Clock = []redis.Hook{gate}, time.Minute, clock })
	slow := w.fullReads(gate)
	behind := w.lookUp(w.ctx, "b")
	if d := <-clock.waiting; d != time.Minute/shareOfWait {
		t.Errorf("it waits for %v at most, want %v", d, time.Minute/shareOfWait)
	}
	clock.release <- struct{}{}
	if n := <-gate.entries; n != 1 {
		t.Errorf("it reads with %d others", n-1)
	}
	for range maxReads + 1 {
		gate.after <- struct{}{}
	}
	for _, found := range append(slow, behind) {
		if got := <-found; got.err != nil {
			t.Error(got.err)
		}
	}
}

// One whose entry can't be read concerns nobody else: a script's error is that of all entries that it reads.
func TestUnreadableEntryTogether(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.want(wire.LookupMiss, "at first")
		broken := w.ofUser("ann")
		w.check(w.raw.LPush(w.ctx, broken.Key, "no entry").Err())
		w.storeOf("bob", w.look().Ticket)
		got, _ := w.together(broken, w.ofUser("bob"))
		if fmt.Sprint(got) != "[alone alone]" {
			t.Errorf("got %v, want that both are to be asked alone", got)
		}
		if _, err := w.Lookup(w.ctx, broken); !errors.Is(err, ErrRedis) {
			t.Errorf("the one that can't be read: %v", err)
		}
		if a, err := w.Lookup(w.ctx, w.ofUser("bob")); err != nil || a.State != wire.LookupHit {
			t.Errorf("the other one: state %d, %v", a.State, err)
		}
	})
}
