package redisbridge

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/fault"
)

func TestFeed(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		first := w.poll(wire.Ticket{}, 30_000) // answers at once: it can't continue
		if first.Last.Epoch == 0 || len(first.Events) > 0 || first.Continues(wire.Ticket{}) {
			t.Fatalf("first poll got %v, want a position only", first)
		}
		w.suspend("w1", 30_000, "c:stats", "n:a, b")
		w.close("w1", true, "n:a, b", "c:stats")
		w.close("w2", false, "c:search") // takes no number
		a := w.poll(first.Last, 30_000)
		want := fmt.Sprint([]wire.Event{
			{Sequence: 1, Kind: wire.EventSuspend, Groups: []string{"c:stats", "n:a, b"}},
			{Sequence: 2, Kind: wire.EventRaise, Groups: []string{"c:stats", "n:a, b"}},
		})
		if fmt.Sprint(a.Events) != want || !a.Continues(first.Last) {
			t.Errorf("events %v up to %v, want %v", a.Events, a.Last, want)
		}
		if a := w.poll(a.Last, 0); len(a.Events) != 0 || !a.Continues(a.Last) {
			t.Errorf("nothing new: got %v", a)
		}
	})
}

// What the cursor can't be continued from is answered at once, without events.
func TestFeedResets(t *testing.T) {
	damage := map[string]func(w *world, cursor *wire.Ticket){
		"an event is missing": func(w *world, _ *wire.Ticket) {
			w.check(w.raw.XDel(w.ctx, "{chatcache:chat}:feed", "2-0").Err())
		},
		"trimmed":             func(w *world, _ *wire.Ticket) { w.check(w.raw.XTrimMaxLen(w.ctx, "{chatcache:chat}:feed", 1).Err()) },
		"feed deleted":        func(w *world, _ *wire.Ticket) { w.check(w.raw.Del(w.ctx, "{chatcache:chat}:feed").Err()) },
		"unreadable event":    func(w *world, _ *wire.Ticket) { damageEvent(w) },
		"cursor ahead":        func(_ *world, c *wire.Ticket) { c.Sequence += 100 },
		"cursor out of range": func(_ *world, c *wire.Ticket) { c.Sequence = 1<<53 + 3 },
		"another epoch":       func(_ *world, c *wire.Ticket) { c.Epoch++ },
	}
	for name, damaged := range damage {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				cursor := w.look().Ticket
				for range 3 {
					w.close("w", true, "c:stats")
				}
				damaged(w, &cursor)
				a := w.poll(cursor, 30_000)
				if a.Continues(cursor) || len(a.Events) > 0 || a.Last.Sequence != 3 {
					t.Errorf("got %v, want the position alone", a)
				}
			})
		})
	}
}

// damageEvent replaces the feed by one whose second event makes no sense.
func damageEvent(w *world) {
	const feed = "{chatcache:chat}:feed"
	w.check(w.raw.Del(w.ctx, feed).Err())
	for id, kind := range []string{"r", "x", "r"} {
		w.check(w.raw.Do(w.ctx, "XADD", feed, fmt.Sprint(id+1, "-0"), "k", kind, "g", "*").Err())
	}
}

// A VM that is further behind than one answer may tell resets.
func TestFeedTooFarBehind(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		start := w.look().Ticket
		for range wire.MaxEvents {
			w.close("w", true, "*")
		}
		if a := w.poll(start, 0); !a.Continues(start) || len(a.Events) != wire.MaxEvents {
			t.Errorf("%d behind: got %d events", wire.MaxEvents, len(a.Events))
		}
		w.close("w", true, "*")
		if a := w.poll(start, 30_000); a.Continues(start) || len(a.Events) != 0 {
			t.Errorf("%d behind: got %d events, want a reset", wire.MaxEvents+1, len(a.Events))
		}
	})
}

// The feed keeps what VMs may ask for, and no more: it doesn't grow with the writes that there have ever been.
func TestFeedIsBounded(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		start := w.look().Ticket
		const many = 3 * feedLength
		w.check(w.raw.Eval(w.ctx, `
for i = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[2], i .. '-0', 'k', 'r', 'g', 'c:stats', 't', '1') end
return redis.call('HSET', KEYS[1], 'seq', ARGV[1])`, []string{"{chatcache:chat}:state", "{chatcache:chat}:feed"}, many).Err())
		start.Sequence = many + 1 - wire.MaxEvents
		w.close("w1", true, "c:stats")
		if n := w.raw.XLen(w.ctx, "{chatcache:chat}:feed").Val(); n > feedLength+1000 {
			t.Errorf("%d events are kept, want about %d", n, feedLength)
		}
		if a := w.poll(start, 0); !a.Continues(start) || len(a.Events) != wire.MaxEvents {
			t.Errorf("a VM that is behind by %d got %d of them", wire.MaxEvents, len(a.Events))
		}
	})
}

// An answer must fit a frame, however long the groups' names are.
func TestFeedAnswerFits(t *testing.T) {
	w := newMemoryWorld(t, nil)
	start := w.look().Ticket
	long := make([]string, wire.MaxGroups)
	for i := range long {
		long[i] = fmt.Sprintf("n:%0*d", wire.MaxGroup-2, i)
	}
	for range wire.MaxFrame / (wire.MaxGroups * wire.MaxGroup) {
		w.close("w", true, long...)
	}
	a := w.poll(start, 0)
	if size := len(a.Encode()); size > wire.MaxFrame {
		t.Errorf("a frame of %d bytes, at most %d", size, wire.MaxFrame)
	}
	if a.Continues(start) {
		t.Error("an answer of more bytes than fit continues the cursor")
	}
}

// heldPoll starts a poll that has nothing to answer, and returns when it waits.
func heldPoll(t *testing.T, b *Bridge, clock *stepClock, m wire.FeedRequest) <-chan wire.FeedAnswer {
	t.Helper()
	answer, held := waitingPoll(t, b, clock, m)
	if held != time.Duration(m.Hold)*time.Millisecond {
		t.Errorf("held for %v, want %d ms", held, m.Hold)
	}
	return answer
}

// waitingPoll is the same for a poll that may wait for something earlier than its
// hold's end; it gives how long that is.
func waitingPoll(t *testing.T, b *Bridge, clock *stepClock, m wire.FeedRequest) (<-chan wire.FeedAnswer, time.Duration) {
	t.Helper()
	answer := make(chan wire.FeedAnswer, 1)
	go func() {
		a, err := b.Feed(context.WithoutCancel(t.Context()), m)
		if err != nil {
			t.Error(err)
		}
		answer <- a
	}()
	select {
	case held := <-clock.waiting:
		return answer, held
	case a := <-answer:
		t.Fatalf("the poll was answered at once: %v", a)
	case <-time.After(patience):
		t.Fatal("the poll doesn't wait")
	}
	return nil, 0
}

// within gives a held poll's answer, which must come without anybody's help.
func within(t *testing.T, answer <-chan wire.FeedAnswer) wire.FeedAnswer {
	t.Helper()
	select {
	case a := <-answer:
		return a
	case <-time.After(patience):
		t.Fatal("the poll is held for ever")
		return wire.FeedAnswer{}
	}
}

func TestHeldPolls(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		// A second bridge: its events arrive through Pub/Sub only.
		o := w.options
		o.Clock, o.Bootstrap = nil, false
		other := newBridge(t, o)

		wake := map[string]func(){
			"suspension here": func() { w.suspend("w1", 30_000, "c:stats") },
			"raise here":      func() { w.close("w1", true, "c:stats") },
			"purge here":      func() { _, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true}); w.check(err) },
			"raise elsewhere": func() {
				_, err := other.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "w9", Groups: []string{"*"}, Raise: true})
				w.check(err)
			},
			"new epoch here": func() { w.check(w.raw.FlushDB(w.ctx).Err()); w.look() },
		}
		for _, name := range []string{"suspension here", "raise here", "purge here", "raise elsewhere", "new epoch here"} {
			answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 1000))
			wake[name]()
			a := within(t, answer)
			if a.Last == cursor || a.Last.Epoch == cursor.Epoch && !a.Continues(cursor) {
				t.Errorf("%s: the poll at %v got %v", name, cursor, a)
			}
			cursor = a.Last
		}

		answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 1000))
		clock.release <- struct{}{}
		if a := within(t, answer); !a.Continues(cursor) || len(a.Events) > 0 {
			t.Errorf("at the hold's end: got %v, want that nothing happened", a)
		}
	})
}

// What a poll answers at its hold's end is what it reads then.
func TestHoldEndsWithARead(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	cursor := w.look().Ticket
	answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 1000))
	w.check(w.raw.Do(w.ctx, "HSET", "{chatcache:chat}:state", "seq", 1).Err()) // behind everybody's back
	w.check(w.raw.Do(w.ctx, "XADD", "{chatcache:chat}:feed", "1-0", "k", "r", "g", "c:stats").Err())
	clock.release <- struct{}{}
	if a := within(t, answer); !a.Continues(cursor) || len(a.Events) != 1 {
		t.Errorf("got %v, want the event", a)
	}
}

// A poll that is held while Redis falls silent fails at its hold's end: an answer from before
// would keep a lease alive that nobody tells of a write.
func TestHoldEndsInSilence(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		failed := make(chan error, 1)
		go func() {
			_, err := w.Feed(context.WithoutCancel(t.Context()), w.pollRequest(cursor, 1000))
			failed <- err
		}()
		select {
		case <-clock.waiting:
		case err := <-failed:
			t.Fatalf("the poll was answered at once: %v", err)
		}
		w.silence()
		w.impatient()
		clock.release <- struct{}{}
		select {
		case err := <-failed:
			wantError(t, err, ErrRedis)
		case <-time.After(patience):
			t.Fatal("the poll is held for ever")
		}
	})
}

// A held poll waits no longer than until a deadline passes, and then is what turns it
// into a raise, for everybody.
func TestHeldPollsWaitForDeadlines(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		cursor := w.suspend("w1", 20_000, "c:stats")
		answer, wait := waitingPoll(t, w.Bridge, clock, w.pollRequest(cursor, wire.MaxHold))
		if wait < 5*time.Second || wait > 20*time.Second {
			t.Errorf("waits for %v, want what is left of 20 s", wait)
		}
		w.sooner(21_000)
		clock.release <- struct{}{}
		if a := within(t, answer); !a.Continues(cursor) || len(a.Events) != 1 || a.Events[0].Kind != wire.EventRaise {
			t.Errorf("got %v, want the raise of the deadline", a)
		}
	})
}

// A deadline that is moved forward takes no number, but a poll must not sleep through it.
func TestHeldPollsLearnOfAnEarlierDeadline(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		o := w.options
		o.Clock, o.Bootstrap = nil, false
		other := newBridge(t, o)
		cursor := w.suspend("w1", 90_000, "c:stats")
		answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, wire.MaxHold))
		_, err := other.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Deadline: 20_000})
		w.check(err)
		select {
		case wait := <-clock.waiting:
			if wait > 20*time.Second {
				t.Errorf("waits for %v, want 20 s at most", wait)
			}
		case <-time.After(patience):
			t.Fatal("the held poll doesn't learn of the deadline")
		}
		w.sooner(21_000)
		clock.release <- struct{}{}
		if a := within(t, answer); len(a.Events) != 1 || a.Events[0].Kind != wire.EventRaise {
			t.Errorf("got %v, want the raise of the deadline", a)
		}
	})
}

// What happens while a poll gathers is in its answer, held or not.
func TestBurstIsOneAnswer(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	burst := func() {
		for i := range 20 {
			w.close(fmt.Sprint("w", i), true, "c:stats")
		}
	}
	cursor := w.look().Ticket
	answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 1000))
	clock.gather = burst
	w.close("w", true, "c:stats")
	a := within(t, answer)
	if len(a.Events) != 21 || !a.Continues(cursor) {
		t.Errorf("a held poll got %d events, want all 21", len(a.Events))
	}
	clock.gather = nil
	w.close("w", true, "c:stats")
	clock.gather = burst
	if b := w.poll(a.Last, 1000); len(b.Events) != 21 || !b.Continues(a.Last) {
		t.Errorf("a poll that came late got %d events, want all 21", len(b.Events))
	}
}

// A cursor is good at every bridge.
func TestFeedResumesAtAnotherBridge(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		w.close("w1", true, "c:stats")
		o := w.options
		o.Bootstrap = false
		other := newBridge(t, o)
		a, err := other.Feed(w.ctx, w.pollRequest(cursor, 1000))
		w.check(err)
		if len(a.Events) != 1 || !a.Continues(cursor) {
			t.Errorf("got %v, want what happened after %v", a, cursor)
		}
	})
}

// The channel is taken before the read: an event between a poll's read and its
// wait must end the wait.
func TestNoLostWake(t *testing.T) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	cursor := w.look().Ticket
	interposed := &interposingClock{stepClock: clock, t: t, before: func() { w.close("w1", true, "c:stats") }}
	w.clock = interposed
	if a := w.poll(cursor, 30_000); len(a.Events) != 1 {
		t.Errorf("got %v, want the raise", a)
	}
}

// interposingClock does something after a poll's read and before its wait, which must then be ended.
type interposingClock struct {
	*stepClock
	t      *testing.T
	before func()
}

func (c *interposingClock) Wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	if d == gather {
		return
	}
	c.before()
	select {
	case <-wake:
	case <-ctx.Done():
	case <-time.After(patience):
		c.t.Error("nobody has ended the wait")
	}
}

func TestDrain(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		answer := heldPoll(t, w.Bridge, clock, w.pollRequest(cursor, 30_000))
		w.Drain()
		if a := within(t, answer); !a.Continues(cursor) {
			t.Errorf("the held poll got %v", a)
		}
		go func() { clock.release <- struct{}{} }()
		w.poll(cursor, 30_000)
		if held := <-clock.waiting; held != drainHold {
			t.Errorf("a poll during the drain was held %v, want %v", held, drainHold)
		}
	})
}

// VMs are registered before the answer, for as long as their lease.
func TestRegistry(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		poll := func(vm string, lease int64) {
			m := w.pollRequest(wire.Ticket{}, 0)
			m.VM, m.Lease = vm, lease
			_, err := w.Feed(w.ctx, m)
			w.check(err)
		}
		poll("short", 20_000)
		poll("long", 60_000)
		w.check(w.reports("short", 1, "stats", 1))
		w.check(w.reports("long", 1, "stats", 1))
		if got := w.Status(w.ctx).Policies[0].VMs; got != 2 {
			t.Errorf("%d VMs, want 2", got)
		}
		w.sooner(20_001)
		if got := w.Status(w.ctx).Policies[0].VMs; got != 1 {
			t.Errorf("%d VMs after a lease ran out, want 1", got)
		}
		if w.memory == nil {
			return // minutes pass on miniredis only
		}
		w.pass(int(rememberVM.Milliseconds()))
		poll("long", 30_000)
		for _, got := range []string{
			fmt.Sprint(must(w.raw.ZRange(w.ctx, "{chatcache:chat}:vms", 0, -1).Result())),
			fmt.Sprint(must(w.raw.HKeys(w.ctx, "{chatcache:chat}:applied").Result())),
			fmt.Sprint(must(w.raw.HKeys(w.ctx, "{chatcache:chat}:reported").Result())),
		} {
			if got != "[long]" {
				t.Errorf("registry %q, want it pruned", got)
			}
		}
	})
}

// However many polls a wake wakes, the feed is read once.
func TestPollsThatWakeTogetherReadOnce(t *testing.T) {
	clock := newStepClock()
	scripts := &countingHook{}
	onEachRedis(t, func(o *Options) { o.Clock, o.Hooks = clock, []redis.Hook{scripts} }, func(t *testing.T, w *world) {
		cursor := w.look().Ticket
		var answers []<-chan wire.FeedAnswer
		for i := range 40 {
			m := w.pollRequest(cursor, 1000)
			m.VM = fmt.Sprint("vm-", i)
			answers = append(answers, heldPoll(t, w.Bridge, clock, m))
		}
		stop := make(chan struct{})
		defer close(stop)
		go func() { // those that wait for the one that reads
			for {
				select {
				case <-clock.waiting:
				case <-stop:
					return
				}
			}
		}()
		scripts.evals.Store(0)
		w.close("w1", true, "c:stats")
		for _, answer := range answers {
			if a := within(t, answer); len(a.Events) != 1 || !a.Continues(cursor) {
				t.Errorf("got %v, want the raise", a)
			}
		}
		if n := scripts.evals.Load(); n != 2 {
			t.Errorf("%d scripts ran for the close and 40 polls, want 2", n)
		}
	})
}

// countingHook counts the scripts that a bridge runs.
type countingHook struct{ evals atomic.Int64 }

func (*countingHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *countingHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" {
			h.evals.Add(1)
		}
		return next(ctx, cmd)
	}
}

func (*countingHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A subscription whose server fell silent without a word, while another one answers the calls in its place, is begun anew.
func TestSilentSubscription(t *testing.T) {
	var link *fault.Link
	var direct atomic.Bool
	w := newMemoryWorld(t, func(o *Options) {
		_, port, _ := net.SplitHostPort(o.Redis.Addrs[0])
		link = must(fault.NewLink(must(strconv.Atoi(port))))
		o.Redis.ReadTimeout = 100 * time.Millisecond
		o.Redis.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
			if !direct.Load() {
				address = net.JoinHostPort("127.0.0.1", strconv.Itoa(link.Port))
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	})
	t.Cleanup(func() { link.Close() })
	wake := &must(w.policies.of("chat", false)).wake
	waking := wake.await()
	direct.Store(true)
	link.Silence()
	eventually(t, "it has subscribed anew", func() bool { return isClosed(waking.ch) })
	waking = wake.await()
	eventually(t, "it hears another bridge", func() bool {
		w.memory.Publish("{chatcache:chat}:wake", wakeSooner)
		return isClosed(waking.ch)
	})
}
