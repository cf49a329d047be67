package redisbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// defect panics in what a client of Redis does, as often as it is told to.
type defect struct {
	redis.Hook
	left     atomic.Int32
	commands bool // only where one is sent by itself
}

func (d *defect) meet() {
	if d.left.Add(-1) >= 0 {
		panic("a defect")
	}
}

func (d *defect) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	next = d.Hook.ProcessHook(next)
	return func(ctx context.Context, cmd redis.Cmder) error { d.meet(); return next(ctx, cmd) }
}

func (d *defect) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	next = d.Hook.ProcessPipelineHook(next)
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !d.commands {
			d.meet()
		}
		return next(ctx, cmds)
	}
}

func wantDefect(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, errPanic) || err.Error() != "internal error: a defect" || statusOf(err) != http.StatusInternalServerError {
		t.Errorf("%s: %v", what, err)
	}
}

// A defect that lookups meet which are read together refuses these. The next ones are read, and the bridge's log has where it was.
func TestPanicOfSharedLookups(t *testing.T) {
	gate := newReadGate()
	broken := &defect{Hook: gate}
	var log bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		o.Hooks, o.Timeout, o.Log = []redis.Hook{broken}, time.Minute, slog.New(slog.NewTextHandler(&log, nil))
	})
	held := w.fullReads(gate)
	var shared []<-chan lookedUp
	for i := range 3 {
		shared = append(shared, w.lookUp(w.ctx, "b"))
		w.waitingLookups(i + 1)
	}
	broken.left.Store(1)
	gate.after <- struct{}{}
	for _, found := range shared {
		wantDefect(t, "a lookup that is read with others", (<-found).err)
	}
	for range maxReads - 1 {
		gate.after <- struct{}{}
	}
	for _, found := range held {
		if got := <-found; got.err != nil {
			t.Error("one before it:", got.err)
		}
	}
	for range maxReads + 1 { // there is room again
		found := w.lookUp(w.ctx, "b")
		<-gate.entries
		gate.after <- struct{}{}
		if got := <-found; got.err != nil {
			t.Error("one after it:", got.err)
		}
	}
	if text := log.String(); !strings.Contains(text, "readAll") || !strings.Contains(text, "internal error: a defect") {
		t.Errorf("the log is %s", text)
	}
}

// Lookups that wait for somebody else's fetch, and for which one of them reads, are refused likewise: without an answer of Redis
// nobody is told that there is no entry.
func TestPanicOfWaiters(t *testing.T) {
	broken, reads, clock := &defect{Hook: redisHooks{}}, &pipelines{}, newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Hooks, o.Clock = []redis.Hook{broken, reads}, clock })
	first := w.fetch("f1")
	gate := make(chan struct{})
	reads.gate.Store(&gate)
	before := reads.count.Load()
	one := make(chan wire.LookupAnswer, 1)
	go func() { one <- must(w.Lookup(w.ctx, w.waiting("g0", 20_000))) }()
	eventually(t, "one reads", func() bool { return reads.count.Load() > before })
	const others = 3
	errs := make(chan error, others)
	for i := range others {
		go func() {
			errs <- w.guarded(func() error { _, err := w.Lookup(w.ctx, w.waiting(fmt.Sprint("h", i), 20_000)); return err })
		}()
	}
	eventually(t, "the others have gathered", func() bool { return w.gathered() == others })
	broken.left.Store(1)
	reads.gate.Store(nil)
	close(gate)
	for range others {
		wantDefect(t, "a lookup that waits with others", <-errs)
	}
	<-clock.waiting
	w.fillAs("f1", first.Ticket)
	answered(t, one, "hit")
}

// A defect that a policy's very first call meets, which may begin without a quarantine, keeps no other call waiting.
func TestPanicOfTheFirstCall(t *testing.T) {
	broken := &defect{Hook: redisHooks{}}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{broken} })
	broken.left.Store(1)
	_, err := w.Feed(w.ctx, w.pollRequest(wire.Ticket{}, 0))
	wantDefect(t, "the first call", err)
	w.want(wire.LookupMiss, "the next call")
}

// One that a probe of the circuit breaker meets leaves room for the next probe.
func TestPanicOfAProbe(t *testing.T) {
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	silent := func() error { return context.DeadlineExceeded }
	for range w.breaker.limit {
		wantError(t, w.try(callProbe, silent), context.DeadlineExceeded)
	}
	wantError(t, w.try(callProbe, silent), errBreaker)
	clock.now = clock.now.Add(w.breaker.wait)
	wantDefect(t, "the probe", w.guarded(func() error { return w.try(callProbe, func() error { panic("a defect") }) }))
	w.want(wire.LookupMiss, "the next probe")
	if s := w.Status(w.ctx).Redis.Breaker.State; s != "closed" {
		t.Errorf("the breaker is %s", s)
	}
}

// One of several stores in a call that meets a defect fails alone.
func TestPanicOfOneStore(t *testing.T) {
	broken := &defect{Hook: redisHooks{}}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{broken} })
	frame := w.storeFrame(w.look().Ticket, 1000)
	broken.left.Store(1)
	answer, err := w.Stores(w.ctx, wire.StoresRequest{Stores: [][]byte{frame, frame}})
	if err != nil || answer.Stored[0] == answer.Stored[1] {
		t.Errorf("stored %v, %v, want one of them", answer.Stored, err)
	}
}

// So does one of several lookups whose lease is to be asked for, which the others' read is behind.
func TestPanicOfOneLookup(t *testing.T) {
	broken := &defect{Hook: redisHooks{}, commands: true}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{broken} })
	w.look()
	var m wire.LookupsRequest
	m.Scope = w.scope
	for _, user := range []string{"a", "b"} {
		one := w.ofUser(user)
		one.Fetch, one.Lease = "f-"+user, 30_000
		m.Lookups = append(m.Lookups, one)
	}
	broken.left.Store(1)
	answer, err := w.Lookups(w.ctx, m)
	if err != nil || len(answer.Results) != 2 {
		t.Fatalf("%v, %v", answer, err)
	}
	if failed := wire.LookupFailed; (answer.Results[0].Outcome == failed) == (answer.Results[1].Outcome == failed) {
		t.Errorf("outcomes %v and %v, want one that failed", answer.Results[0].Outcome, answer.Results[1].Outcome)
	}
}

// So do polls and confirmations.
func TestPanicOfSharedPolls(t *testing.T) {
	broken := &defect{Hook: redisHooks{}}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{broken} })
	cursor := w.look().Ticket
	broken.left.Store(1)
	_, err := w.Feed(w.ctx, w.pollRequest(cursor, 0))
	wantDefect(t, "a poll", err)
	if _, err := w.Feed(w.ctx, w.pollRequest(cursor, 0)); err != nil {
		t.Error("the next poll:", err)
	}
}

func TestPanicOfConfirmation(t *testing.T) {
	broken := &defect{Hook: redisHooks{}}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks = []redis.Hook{broken} })
	p := w.policies.known("chat")
	if p == nil {
		w.look()
		p = w.policies.known("chat")
	}
	broken.left.Store(1)
	_, begin, wait, _ := p.trust.look(1, time.Second, w.clock.Now())
	if !begin {
		t.Fatal("nothing is to be confirmed")
	}
	w.confirm(p)
	<-wait
	if _, _, _, err := p.trust.look(1, time.Second, w.clock.Now()); !errors.Is(err, errPanic) {
		t.Errorf("it is %v", err)
	}
}

// What listens to Redis begins anew.
func TestPanicOfSubscription(t *testing.T) {
	broken := &defect{Hook: redisHooks{}}
	var log bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		o.Hooks, o.Redis.ReadTimeout, o.Log = []redis.Hook{broken}, 50*time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))
	})
	wake := &must(w.policies.of("chat", false)).wake
	waking := wake.await()
	broken.left.Store(1) // it meets what is published when nothing was heard for a while
	eventually(t, "it has subscribed anew", func() bool { return isClosed(waking.ch) })
	w.Close() // nobody writes any more
	if text := log.String(); !strings.Contains(text, "listenOnce") || !strings.Contains(text, "internal error: a defect") {
		t.Errorf("the log is %s", text)
	}
}

// redisHooks do nothing.
type redisHooks struct{}

func (redisHooks) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (redisHooks) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (redisHooks) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
