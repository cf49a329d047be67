package redisbridge

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// heldLookup starts a lookup that must wait, and returns when it does.
func heldLookup(t *testing.T, b *Bridge, clock *stepClock, m wire.LookupRequest) <-chan wire.LookupAnswer {
	t.Helper()
	answer := make(chan wire.LookupAnswer, 1)
	go func() {
		a, err := b.Lookup(context.WithoutCancel(t.Context()), m)
		if err != nil {
			t.Error(err)
		}
		answer <- a
	}()
	select {
	case <-clock.waiting:
	case a := <-answer:
		t.Fatalf("the lookup was answered at once: %s", fetchState(a))
	case <-time.After(patience):
		t.Fatal("the lookup doesn't wait")
	}
	return answer
}

func (w *world) waiting(id string, ms int64) wire.LookupRequest {
	m := w.fetchRequest(id)
	m.Wait = ms
	return m
}

func answered(t *testing.T, answer <-chan wire.LookupAnswer, want string) wire.LookupAnswer {
	t.Helper()
	select {
	case a := <-answer:
		if got := fetchState(a); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		return a
	case <-time.After(patience):
		t.Fatalf("still held, want %s", want)
		panic("unreachable")
	}
}

// endPauses ends the pauses between looks at once, as long as the test lasts. Only these: what a lookup
// waits for has to wake it.
func endPauses(t *testing.T, clock *stepClock) {
	go func() {
		for {
			select {
			case wait := <-clock.waiting:
				if wait > relookEvery {
					continue
				}
				select {
				case clock.release <- struct{}{}:
				case <-t.Context().Done():
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
}

// A held lookup is answered as soon as anything lets it do something, wherever that happens.
func TestHeldLookup(t *testing.T) {
	wakes := map[string]struct {
		want string
		by   func(w, other *world, ticket wire.Ticket)
	}{
		"a store":                     {"hit", func(w, _ *world, ticket wire.Ticket) { w.fillAs("f1", ticket) }},
		"a store at another bridge":   {"hit", func(_, other *world, ticket wire.Ticket) { other.fillAs("f1", ticket) }},
		"a release":                   {"granted", func(w, _ *world, _ wire.Ticket) { w.letGo("f1", 0) }},
		"a release at another bridge": {"granted", func(_, other *world, _ wire.Ticket) { other.letGo("f1", 0) }},
		"a mark":                      {"miss", func(w, _ *world, _ wire.Ticket) { w.letGo("f1", 5000) }},
		"a write's beginning":         {"suspended", func(_, other *world, _ wire.Ticket) { other.suspend("w1", 30_000, "c:stats") }},
		"a raise":                     {"granted", func(_, other *world, _ wire.Ticket) { other.close("w1", true, "p:stats:alice") }},
		"the bridge's end":            {"leased", func(w, _ *world, _ wire.Ticket) { w.Drain() }},
	}
	for name, wake := range wakes {
		t.Run(name, func(t *testing.T) {
			clock := newStepClock()
			onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
				other := *w
				other.options.Clock = nil
				other.Bridge = newBridge(t, other.options)
				first := w.fetch("f1")
				held := heldLookup(t, w.Bridge, clock, w.waiting("f2", 20_000))
				wake.by(w, &other, first.Ticket)
				endPauses(t, clock)
				answered(t, held, wake.want)
				if n := w.Status(w.ctx).Policies[0].HeldLookups; n != 0 {
					t.Errorf("%d lookups are still counted as held", n)
				}
			})
		})
	}
}

// Without anything happening it waits for the lease's end, or its own: then it says that
// somebody else fetches, with a ticket to ask the origin with.
func TestHeldLookupEnds(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		short := w.fetchRequest("f1")
		short.Lease = 150
		must(w.Lookup(w.ctx, short))
		if w.memory == nil { // a real clock ends the lease by itself
			if a := must(w.Lookup(w.ctx, w.waiting("f2", 20_000))); !a.Granted {
				t.Errorf("after the lease's end: %s", fetchState(a))
			}
		} else {
			w.fetch("f1")
		}
		began := time.Now()
		a := must(w.Lookup(w.ctx, w.waiting("f3", 30)))
		if fetchState(a) != "leased" || a.Ticket.Epoch == 0 || time.Since(began) < 30*time.Millisecond {
			t.Errorf("at the wait's end: %s with %v after %v", fetchState(a), a.Ticket, time.Since(began))
		}
	})
}

// A caller that goes away isn't waited for, and keeps nobody else from an answer.
func TestHeldLookupAbandoned(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	first := w.fetch("f1")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { _, err := w.Lookup(ctx, w.waiting("f2", 20_000)); gone <- err }()
	<-clock.waiting
	held := heldLookup(t, w.Bridge, clock, w.waiting("f3", 20_000))
	cancel()
	wantError(t, <-gone, context.Canceled)
	w.fillAs("f1", first.Ticket)
	answered(t, held, "hit")
	if n := w.policies.known("chat").counters.cache("stats").errors.Load(); n != 0 {
		t.Errorf("%d errors of Redis, which has answered everything", n)
	}
}

// pipelines counts the reads of lookups, and lets a test hold them.
type pipelines struct {
	count atomic.Int64
	gate  atomic.Pointer[chan struct{}]
}

func (*pipelines) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}
func (*pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (p *pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		p.count.Add(1)
		if gate := p.gate.Load(); gate != nil {
			<-*gate
		}
		return next(ctx, cmds)
	}
}

// gathered is how many wait for the next read of the world's key.
func (w *world) gathered() int {
	h := &w.policies.known("chat").held
	h.mu.Lock()
	defer h.mu.Unlock()
	k := h.keys[w.key]
	if k == nil {
		return 0
	}
	k.rounds.mu.Lock()
	defer k.rounds.mu.Unlock()
	if k.rounds.gathering == nil {
		return 0
	}
	return len(k.rounds.gathering.fetches)
}

// However many wait for one key, a store costs one read, and a lease's end grants one.
func TestWaitersShareARead(t *testing.T) {
	const waiters = 12
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		reads := &pipelines{}
		w.Bridge.redis.AddHook(reads)
		first := w.fetch("f1")
		// The first read is held until all others have gathered behind it.
		gate := make(chan struct{})
		reads.gate.Store(&gate)
		before := reads.count.Load()
		answers := make(chan wire.LookupAnswer, waiters)
		for i := range waiters {
			go func() { answers <- must(w.Lookup(w.ctx, w.waiting(fmt.Sprint("g", i), 20_000))) }()
		}
		eventually(t, "one reads", func() bool { return reads.count.Load() > before })
		eventually(t, "all others have gathered", func() bool { return w.gathered() == waiters-1 })
		reads.gate.Store(nil)
		close(gate)
		for range waiters {
			<-clock.waiting
		}
		if n := reads.count.Load() - before; n != 2 { // the first alone, those who had gathered
			t.Errorf("%d waiters began with %d reads", waiters, n)
		}

		before = reads.count.Load()
		gate = make(chan struct{})
		reads.gate.Store(&gate)
		w.letGo("f1", 0)
		eventually(t, "one reads", func() bool { return reads.count.Load() > before })
		reads.gate.Store(nil)
		close(gate)
		if a := <-answers; !a.Granted {
			t.Errorf("after the release: %s", fetchState(a))
		}
		for range waiters - 1 {
			select {
			case <-clock.waiting:
			case a := <-answers:
				t.Errorf("another one got %s", fetchState(a))
			}
		}
		for i := range waiters {
			w.fillAs(fmt.Sprint("g", i), first.Ticket)
		}
		for range waiters - 1 {
			answered(t, answers, "hit")
		}
	})
}

// Whoever reads for those who have gathered reads on for them when its own client has gone.
func TestReaderOfARoundLeaves(t *testing.T) {
	clock, reads := newStepClock(), &pipelines{}
	w := newMemoryWorld(t, func(o *Options) { o.Clock, o.Hooks = clock, []redis.Hook{reads} })
	first := w.fetch("f1")
	gate := make(chan struct{})
	reads.gate.Store(&gate)
	before := reads.count.Load()
	answers, gone := make(chan wire.LookupAnswer, 2), make(chan error, 1)
	stay := func(id string) { answers <- must(w.Lookup(w.ctx, w.waiting(id, 20_000))) }
	go stay("g0")
	eventually(t, "one reads", func() bool { return reads.count.Load() > before })
	ctx, leave := context.WithCancel(w.ctx)
	go func() { _, err := w.Lookup(ctx, w.waiting("g1", 20_000)); gone <- err }()
	eventually(t, "the next reader waits for its turn", func() bool { return w.gathered() == 1 })
	go stay("g2")
	eventually(t, "another one has gathered", func() bool { return w.gathered() == 2 })
	leave()
	reads.gate.Store(nil)
	close(gate)
	wantError(t, <-gone, context.Canceled)
	<-clock.waiting
	w.fillAs("f1", first.Ticket)
	answered(t, answers, "hit")
	answered(t, answers, "hit")
}

// Beyond the bound lookups aren't held: they are told at once.
func TestHeldLookupsAreBounded(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.fetch("f1")
	h := &w.policies.known("chat").held
	for range maxHeld {
		h.enter("another key")
	}
	if h.enter("another key") != nil || h.waiting() != maxHeld {
		t.Fatalf("%d are held", h.waiting())
	}
	if a := must(w.Lookup(w.ctx, w.waiting("f2", 20_000))); fetchState(a) != "leased" {
		t.Errorf("got %s, want leased", fetchState(a))
	}
	h.leave("another key")
	if k := h.enter("a third one"); k == nil {
		t.Error("no room after one has left")
	}
}
