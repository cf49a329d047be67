package redisbridge

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

func TestFencing(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		before := w.want(wire.LookupMiss, "at first").Ticket
		w.fill(before)
		w.pass(20)
		hit := w.want(wire.LookupHit, "after the fill")
		if hit.Age < 20 || hit.Age > 5000 || hit.Age+hit.Remaining != 600_000 {
			t.Errorf("age %d ms and remaining %d ms, want at least 20 and 600000 together", hit.Age, hit.Remaining)
		}
		if e, err := wire.DecodeEntry(hit.Entry); err != nil || string(e.Payload) != "payload" || e.Definition != "def" {
			t.Errorf("entry %+v, %v", e, err)
		}

		w.suspend("w1", 30_000, w.groups[2])
		w.want(wire.LookupSuspended, "while a write is in flight")
		w.close("w1", true, w.groups[2])
		after := w.want(wire.LookupMiss, "after the write").Ticket
		w.fill(before)
		w.want(wire.LookupMiss, "filled by a read that began before the write")
		w.fill(after)
		w.want(wire.LookupHit, "filled by a read that began after the write")
	})
}

// Each of a response's groups invalidates it, also one that only the response
// names, and no other does.
func TestGroups(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		tests := []struct {
			group string
			want  wire.LookupState
		}{
			{"*", wire.LookupMiss},
			{"c:stats", wire.LookupMiss},
			{"p:stats:alice", wire.LookupMiss},
			{"n:of the, origin%", wire.LookupMiss},
			{"p:stats:bob", wire.LookupHit},
			{"c:search", wire.LookupHit},
			{"n:of", wire.LookupHit},
		}
		for i, tt := range tests {
			w.fill(w.look().Ticket, "n:of the, origin%")
			w.want(wire.LookupHit, tt.group+" before")
			id := fmt.Sprint("w", i)
			w.suspend(id, 30_000, tt.group)
			suspended := tt.want
			if suspended == wire.LookupMiss {
				suspended = wire.LookupSuspended
			}
			w.want(suspended, tt.group+" suspended")
			w.close(id, true, tt.group)
			w.want(tt.want, tt.group+" raised")
		}
	})
}

// A group that wasn't asked about may be suspended: nothing of it is valid.
func TestValidityOfWhatWasNotRead(t *testing.T) {
	ticket := wire.Ticket{Epoch: 9, Sequence: 7}
	v, err := parseValidities(ticket, []string{"*", "c:stats"}, []any{"3", "7"})
	if err != nil {
		t.Fatal(err)
	}
	if !v.of([]string{"*", "c:stats"}).admits(ticket) || v.of([]string{"*", "c:stats"}).admits(wire.Ticket{Epoch: 9, Sequence: 6}) {
		t.Error("what was read doesn't decide")
	}
	if v.of([]string{"*", "c:search"}).admits(ticket) || v.of([]string{"*", "c:search", "c:stats"}).admits(ticket) {
		t.Error("an entry is valid though one of its groups wasn't asked about")
	}
}

func TestSuspensions(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.fill(w.look().Ticket)
		w.suspend("w1", 30_000, "c:stats", "p:stats:alice")
		w.suspend("w2", 30_000, "p:stats:alice")
		w.close("w1", false, "c:stats", "p:stats:alice")
		w.want(wire.LookupSuspended, "one of two writes closed")
		_, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "search"})
		w.check(err)
		w.want(wire.LookupSuspended, "after a purge")
		w.close("unknown", true, "c:search")
		w.want(wire.LookupSuspended, "after a close of another id")
		w.close("w2", false, "p:stats:alice")
		w.want(wire.LookupHit, "both closed without a raise")
		if left := must(w.raw.HKeys(w.ctx, "{chatcache:chat}:state").Result()); len(left) != 6 {
			t.Errorf("the state still holds %q", left)
		}
	})
}

// A suspend that was overtaken by its own close does nothing; later ids do.
func TestTombstone(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		closed := w.close("w1", true, "c:stats")
		if got := w.suspend("w1", 30_000, "c:stats"); got != closed {
			t.Errorf("the late suspend took number %d, after %d", got.Sequence, closed.Sequence)
		}
		w.want(wire.LookupMiss, "after a late suspend")
		w.suspend("w2", 30_000, "c:stats")
		w.want(wire.LookupSuspended, "after another id's suspend")
	})
}

func TestRenewal(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		opened := w.suspend("w1", 30_000, "c:stats")
		w.sooner(20_000)
		if renewed := w.suspend("w1", 30_000, "c:stats"); renewed != opened {
			t.Errorf("a renewal took number %d, after %d", renewed.Sequence, opened.Sequence)
		}
		w.sooner(20_000)
		w.want(wire.LookupSuspended, "beyond the first deadline")
		// Widened: both groups until the close.
		w.suspend("w1", 30_000, "c:search")
		w.close("w1", true, "c:search")
		w.want(wire.LookupMiss, "closed")
		if e := w.poll(opened, 0).Events; len(e) != 3 || e[1].Groups[0] != "c:stats" || e[2].Groups[0] != "c:search" {
			t.Errorf("events %v, want the widening and a raise of either group", e)
		}
		// Shortened: the new deadline counts.
		w.suspend("w2", 30_000, "c:stats")
		w.suspend("w2", 1, "c:stats")
		w.pass(5)
		w.want(wire.LookupMiss, "beyond a shortened deadline")
	})
}

// A deadline that passes is a raise, whoever notices it.
func TestExpiry(t *testing.T) {
	notice := map[string]func(w *world){
		"lookup":  func(w *world) { w.look() },
		"feed":    func(w *world) { w.poll(wire.Ticket{}, 0) },
		"suspend": func(w *world) { w.suspend("other", 30_000, "c:search") },
		"close":   func(w *world) { w.close("other", false, "c:search") },
		"purge":   func(w *world) { _, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "search"}); w.check(err) },
	}
	for name, call := range notice {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				before := w.look().Ticket
				w.fill(before)
				w.suspend("w1", 30_000, "c:stats")
				w.suspend("w2", 10_000, "p:stats:alice")
				w.suspend("w3", 90_000, "c:models")
				w.sooner(31_000)
				call(w)
				if got := raisesSince(w, before); len(got) < 2 || got[0] != "p:stats:alice" || got[1] != "c:stats" {
					t.Errorf("raised %q, want the two in the order of their deadlines first", got)
				}
				w.want(wire.LookupMiss, "the entry from before the write")
				if open := must(w.raw.HGet(w.ctx, "{chatcache:chat}:state", "s:w3").Result()); open == "" {
					t.Error("the suspension that isn't due is gone")
				}
			})
		})
	}
}

// raisesSince lists the first group of each raise.
func raisesSince(w *world, cursor wire.Ticket) (groups []string) {
	for _, e := range w.poll(cursor, 0).Events {
		if e.Kind == wire.EventRaise {
			groups = append(groups, e.Groups[0])
		}
	}
	return groups
}

func TestNewEpoch(t *testing.T) {
	lose := map[string]func(w *world){
		"flushed":       func(w *world) { w.check(w.raw.FlushDB(w.ctx).Err()) },
		"state deleted": func(w *world) { w.check(w.raw.Del(w.ctx, "{chatcache:chat}:state").Err()) },
		"state damaged": func(w *world) { w.check(w.raw.HDel(w.ctx, "{chatcache:chat}:state", "seq").Err()) },
		"moved by another server": func(w *world) {
			w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "server", "another:one").Err())
		},
		"numbers used up": func(w *world) {
			w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "seq", "9007199254740992").Err())
		},
	}
	for name, lost := range lose {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) { testNewEpoch(t, w, func() { lost(w) }) })
		})
	}
	t.Run("restarted", func(t *testing.T) {
		w := newRealWorld(t, nil)
		testNewEpoch(t, w, func() { w.server.Restart() })
	})
}

func testNewEpoch(t *testing.T, w *world, lose func()) {
	const quarantine = 1000 // a busy machine gets to the lookup before it ends
	w.scope.Quarantine = quarantine
	for range 3 {
		w.close("w0", true, "*", "c:stats") // generations greater than the new epoch's numbers
	}
	old := w.look().Ticket
	w.fill(old)
	entry := must(w.raw.Get(w.ctx, w.key).Result())
	w.suspend("w1", quarantine, "c:search")
	lose()

	now := w.want(wire.LookupSuspended, "in quarantine").Ticket
	if now.Epoch == old.Epoch || now.Sequence != 1 {
		t.Errorf("position %v after %v, want another epoch at 1", now, old)
	}
	if a := w.poll(old, 10_000); a.Continues(old) || len(a.Events) > 0 {
		t.Errorf("a poll with the old cursor got %v, want a reset at once", a)
	}
	w.pass(quarantine + 20)
	w.check(w.raw.Set(w.ctx, w.key, entry, 0).Err())
	w.check(w.raw.PExpire(w.ctx, w.key, 300_000_000_000).Err())
	fresh := w.want(wire.LookupMiss, "an entry of the old epoch").Ticket
	if fresh.Sequence != 2 {
		t.Errorf("sequence %d, want 2: the end of the quarantine is a raise", fresh.Sequence)
	}
	w.fill(fresh)
	w.want(wire.LookupHit, "filled in the new epoch")
}

// A policy's first call may go without a quarantine, once, and only where the
// operator says so.
func TestBootstrap(t *testing.T) {
	onEachRedis(t, func(o *Options) { o.Bootstrap = false }, func(t *testing.T, w *world) {
		const quarantine = 1000 // a busy machine gets to the lookup before it ends
		w.scope.Quarantine = quarantine
		w.want(wire.LookupSuspended, "without --bootstrap")
		w.pass(quarantine + 20)
		w.want(wire.LookupMiss, "after the quarantine")
	})
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if a, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key}); err != nil || a.State != wire.LookupMiss {
					t.Errorf("one of the first calls: state %d, %v", a.State, err)
				}
			})
		}
		all.Wait()
	})
}

// The permission is for a Redis that has no state: what another server left may
// have lost suspensions.
func TestBootstrapFindsState(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.scope.Quarantine = 30_000
		w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "epoch", "1", "seq", "1", "next", "0", "open", "0", "server", "another:one").Err())
		w.want(wire.LookupSuspended, "the first call, on another server's state")
	})
}

// The quarantine is the longest deadline that the bridge has seen, whoever begins the epoch.
func TestLongestQuarantine(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.suspend("w1", 40_000, "c:stats")
		w.check(w.raw.FlushDB(w.ctx).Err())
		w.want(wire.LookupSuspended, "after the flush")
		deadline, _, _ := strings.Cut(must(w.raw.HGet(w.ctx, "{chatcache:chat}:state", "s:quarantine").Result()), " ")
		var ms int64
		fmt.Sscan(deadline, &ms)
		if left := ms - must(w.raw.Time(w.ctx).Result()).UnixMilli(); left < 30_000 || left > 40_000 {
			t.Errorf("%d ms of quarantine left, want about 40000", left)
		}
	})
}

// Where replicas vouch for a primary, another bridge may go on to suspend at the one before for as long as it trusts that: the
// quarantine outlasts such a write, too.
func TestQuarantineOutlastsTrust(t *testing.T) {
	const quarantine, trust = 1000, 5000
	w := newMemoryWorld(t, func(o *Options) { o.Bootstrap = false })
	w.scope.Quarantine = quarantine
	o := w.options
	o.Replicas, o.Trust = 1, trust*time.Millisecond
	careful := newBridge(t, o)
	_, err := careful.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
	wantError(t, err, ErrRedis) // no replica has acknowledged it; the epoch has begun all the same
	w.pass(quarantine + trust - 10)
	w.want(wire.LookupSuspended, "a write that began while the primary before was trusted")
	w.pass(20)
	w.want(wire.LookupMiss, "after its deadline")
}

// A quarantine outlasts what the state before it has to raise, though the bridge that begins the
// epoch knows only a policy with shorter deadlines; but not forever.
func TestQuarantineOutlastsOpenSuspensions(t *testing.T) {
	const shorter, margin = 15_000, 10_000
	suspend := func(w *world, deadline, also int64) {
		_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:stats"}, Deadline: deadline, AlsoAfter: also})
		w.check(err)
	}
	damage := func(w *world, suspension string) {
		suspend(w, 1000, 0)
		w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "s:w1", suspension).Err())
	}
	for name, c := range map[string]struct {
		before func(w *world)
		ends   int // ms after
	}{
		"nothing":                      {func(w *world) { w.look() }, shorter},
		"a suspension":                 {func(w *world) { suspend(w, 60_000, 0) }, 60_000},
		"a shorter one":                {func(w *world) { suspend(w, 1000, 0) }, shorter},
		"one that is raised once more": {func(w *world) { suspend(w, 30_000, 20_000) }, 50_000},
		"a raise that is to come":      {func(w *world) { w.closeAlso("w1", true, 60_000, "c:stats") }, 60_000},
		"several raises that are to come": {func(w *world) {
			w.closeAlso("w1", true, 60_000, "c:stats")
			w.closeAlso("w2", true, 20_000, "c:search")
		}, 60_000},
		"a quarantine": {func(w *world) {
			w.scope.Quarantine = 60_000
			w.look()
			w.check(w.raw.FlushDB(w.ctx).Err())
			w.look()
		}, 60_000},
		"what a clock that was ahead has written": {func(w *world) { damage(w, "9000000000000 c:stats 0") }, wire.MaxQuarantine},
		"what can't be read":                      {func(w *world) { damage(w, "?") }, wire.MaxQuarantine},
	} {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				c.before(w)
				if w.memory != nil {
					w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "server", "another:one").Err())
				} else {
					w.server.Restart()
				}
				w.Bridge = newBridge(t, w.options)
				w.scope.Quarantine = shorter
				w.want(wire.LookupSuspended, "the new epoch")
				w.sooner(c.ends - margin)
				w.want(wire.LookupSuspended, "shortly before the end")
				w.sooner(margin + 1100) // with what a raise to come is rounded up by
				w.want(wire.LookupMiss, "after the end")
			})
		})
	}
}

// A lost generation costs hits and brings nothing back.
func TestLostGeneration(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		old := w.look().Ticket
		w.fill(old)
		w.close("w1", true, "c:stats")
		w.check(w.raw.Del(w.ctx, "{chatcache:chat}:gen:c:stats").Err())
		w.want(wire.LookupMiss, "from before the raise")
		w.fill(w.look().Ticket)
		w.check(w.raw.Del(w.ctx, "{chatcache:chat}:gen:c:stats").Err())
		w.want(wire.LookupHit, "nothing happened since")
	})
}

// Generations outlive what they may invalidate: they expire after the longest
// TTL, and a lookup renews one that has less than half of its life left.
func TestGenerationLife(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.look()
	life := func() int64 { return w.memory.TTL("{chatcache:chat}:gen:c:stats").Milliseconds() }
	if life() != 660_000 {
		t.Errorf("life %d ms, want the horizon and a minute", life())
	}
	w.pass(300_000)
	if w.look(); life() != 360_000 {
		t.Errorf("life %d ms at more than half, want it left alone", life())
	}
	w.pass(100_000)
	if w.look(); life() != 660_000 {
		t.Errorf("life %d ms, want it renewed", life())
	}
}

// Numbers compare as numbers: as text "10" is less than "9".
func TestLongNumbers(t *testing.T) {
	for _, from := range []uint64{9, 99_999_999_999_999, 1e15 - 1, 1<<53 - 10} {
		onEachRedis(t, nil, func(t *testing.T, w *world) {
			w.look()
			w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "seq", fmt.Sprint(from)).Err())
			before := w.look().Ticket
			w.fill(before)
			w.want(wire.LookupHit, "before")
			after := w.close("w1", true, "c:stats")
			if before.Sequence != from || after.Sequence != from+1 {
				t.Fatalf("sequence %d, then %d, want %d and one more", before.Sequence, after.Sequence, from)
			}
			w.want(wire.LookupMiss, "after")
			if a := w.poll(before, 0); !a.Continues(before) || len(a.Events) != 1 {
				t.Errorf("feed %v doesn't continue %v", a, before)
			}
		})
	}
}

// Each policy has its own sequence, and a purge touches nothing else in Redis.
func TestCoTenants(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.check(w.raw.Set(w.ctx, "stats:session", "of another application", 0).Err())
		for _, policy := range []string{"chat", "chat2"} {
			w.of(policy)
			w.fill(w.look().Ticket)
		}
		_, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})
		w.check(err)
		w.want(wire.LookupHit, "the other policy")
		w.of("chat")
		w.want(wire.LookupMiss, "the purged policy")
		if got := must(w.raw.Get(w.ctx, "stats:session").Result()); got != "of another application" {
			t.Errorf("the other application's key is now %q", got)
		}
	})
}

func TestCorruptEntries(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		ticket := w.look().Ticket
		w.fill(ticket)
		good := must(w.raw.Get(w.ctx, w.key).Result())
		for name, value := range map[string]string{
			"empty":         "",
			"text":          "hello",
			"no ttl":        strings.Replace(good, "ttl=600000", "ttl=0", 1),
			"too short ttl": strings.Replace(good, "ttl=600000", "ttl=5", 1),
			"endless ttl":   strings.Replace(good, "ttl=600000", "ttl=99999999999999", 1),
			"no groups":     strings.Replace(good, "groups=", "groups=,", 1),
		} {
			w.check(w.raw.Set(w.ctx, w.key, value, 500_000_000_000).Err())
			w.want(wire.LookupMiss, name)
		}
		w.check(w.raw.Set(w.ctx, w.key, good, 0).Err())
		w.want(wire.LookupMiss, "without an expiry")
	})
}

// Numbers are contiguous however many writers there are.
func TestContiguousNumbers(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		start := w.look().Ticket
		var all sync.WaitGroup
		for writer := range 8 {
			all.Go(func() {
				for i := range 10 {
					id := fmt.Sprintf("w%d-%d", writer, i)
					w.suspend(id, 30_000, "c:stats")
					w.close(id, true, "c:stats")
				}
			})
		}
		all.Wait()
		a := w.poll(start, 0)
		if !a.Continues(start) || len(a.Events) != 160 {
			t.Errorf("%d events up to %v, want 160 that continue %v", len(a.Events), a.Last, start)
		}
	})
}

func TestTooManySuspensions(t *testing.T) {
	onEachRedis(t, func(o *Options) { o.MaxSuspensions = 2 }, func(t *testing.T, w *world) {
		w.suspend("w1", 30_000, "c:stats")
		w.suspend("w2", 30_000, "c:stats")
		_, err := w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w3", Groups: []string{"c:stats"}, Deadline: 30_000})
		wantError(t, err, ErrTooMany)
		if got := fmt.Sprint(err); got != "too many suspensions open: at most 2" {
			t.Errorf("error %q", got)
		}
		w.suspend("w2", 20_000, "c:stats") // a renewal isn't one more
		w.close("w1", false, "c:stats")
		w.suspend("w3", 30_000, "c:stats")

		var many []string
		for i := range wire.MaxGroups {
			many = append(many, fmt.Sprint("n:", i))
		}
		_, err = w.Suspend(w.ctx, wire.SuspendRequest{Scope: w.scope, ID: "w3", Groups: many, Deadline: 30_000})
		if got := fmt.Sprint(err); got != "too many groups on one suspension: found 65, at most 64" {
			t.Errorf("error %q", got)
		}
	})
}

// What else is in Redis may go wrong: scripts forgotten, the feed replaced.
func TestRepairs(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.fill(w.look().Ticket)
		w.check(w.raw.ScriptFlush(w.ctx).Err())
		w.want(wire.LookupHit, "after SCRIPT FLUSH")

		w.check(w.raw.Set(w.ctx, "{chatcache:chat}:feed", "not a stream", 0).Err())
		before := w.close("w1", false, "c:stats")
		after := w.close("w2", true, "c:stats")
		if a := w.poll(before, 0); !a.Continues(before) || len(a.Events) != 1 || a.Last != after {
			t.Errorf("feed %v doesn't continue %v after it was repaired", a, before)
		}
	})
}

// Out of memory, lookups and stores are refused; what keeps answers right works on.
func TestOutOfMemory(t *testing.T) {
	w := newRealWorld(t, nil)
	w.fill(w.look().Ticket)
	start := w.suspend("w1", 30_000, "c:stats")
	w.check(w.raw.ConfigSet(w.ctx, "maxmemory", "1").Err())

	_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
	wantError(t, err, ErrRedis)
	if !strings.Contains(fmt.Sprint(err), "out of memory") {
		t.Errorf("error %q doesn't say why", err)
	}
	w.suspend("w2", 30_000, "c:stats")
	w.close("w1", true, "c:stats")
	w.close("w2", true, "c:stats")
	_, err = w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})
	w.check(err)
	if a := w.poll(start, 0); !a.Continues(start) || len(a.Events) != 4 {
		t.Errorf("feed %v doesn't continue %v", a, start)
	}
	w.check(w.raw.ConfigSet(w.ctx, "maxmemory", "0").Err())
	w.want(wire.LookupMiss, "with memory again")
}

// A write of which there is too much to name suspends everything.
func TestSuspensionOfEverything(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.fill(w.look().Ticket)
		w.suspend("w1", 60_000, wire.GroupAll)
		w.want(wire.LookupSuspended, "while it is open")
		w.close("w1", true, wire.GroupAll)
		w.want(wire.LookupMiss, "after its end")
	})
}

// What the bridge may write in Redis: everything, and everything but generations.
const (
	whole = "resetkeys ~*"
	half  = "resetkeys ~*:state ~*:feed ~*:closed:* ~*:vms ~stats:* %R~*"
)

func (w *world) rights(keys string) {
	w.t.Helper()
	args := []any{"ACL", "SETUSER", w.options.Redis.Username}
	for k := range strings.FieldsSeq(keys) {
		args = append(args, k)
	}
	w.check(w.raw.Do(w.ctx, args...).Err())
}

// A script that is stopped between two writes takes back nothing of what it
// wrote. What it hasn't raised stays suspended, until a raise is whole.
func TestHalfARaise(t *testing.T) {
	tests := []struct {
		name     string
		deadline int64
		end      func(w *world) error
		then     wire.LookupState // once everything may be written again
	}{
		{"close", 30_000, func(w *world) error {
			_, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: w.groups, Raise: true})
			return err
		}, wire.LookupSuspended},
		{"deadline", 300, func(w *world) error {
			w.pass(310)
			// Not a lookup: the server refuses one for the keys that it names, before it begins.
			_, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "another", Groups: []string{"c:search"}})
			return err
		}, wire.LookupMiss},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newRealWorld(t, nil)
			w.fill(w.look().Ticket)
			suspended := w.suspend("w1", tt.deadline, w.groups...)
			w.rights(half)
			if err := tt.end(w); err == nil || !strings.Contains(err.Error(), "permission") {
				t.Fatalf("half a raise gave %v, want an error: the test doesn't stop the script", err)
			}
			if seq := w.raw.HGet(w.ctx, "{chatcache:chat}:state", "seq").Val(); seq != fmt.Sprint(suspended.Sequence+1) {
				t.Fatalf("the sequence is %s, was %d: the script hasn't begun to raise", seq, suspended.Sequence)
			}
			if a, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}); err == nil && a.State != wire.LookupSuspended {
				t.Errorf("after half a raise: state %d, want suspended or an error", a.State)
			}
			w.rights(whole)
			w.want(tt.then, "with all rights")
			w.close("w1", true, w.groups...)
			w.want(wire.LookupMiss, "raised as a whole")
		})
	}
}

// The same of a raise that is due: it stays due until it is whole.
func TestHalfADueRaise(t *testing.T) {
	w := newRealWorld(t, nil)
	w.closeAlso("w1", true, 20_000, w.groups...)
	w.fill(w.look().Ticket)
	before := w.want(wire.LookupHit, "before it is due").Ticket
	w.rights(half)
	w.sooner(22_000)
	_, err := w.CloseSuspension(w.ctx, wire.CloseRequest{Scope: w.scope, ID: "another", Groups: []string{"c:search"}})
	if err == nil || !strings.Contains(err.Error(), "permission") {
		t.Fatalf("half a raise gave %v, want an error: the test doesn't stop the script", err)
	}
	if seq := w.raw.HGet(w.ctx, "{chatcache:chat}:state", "seq").Val(); seq != fmt.Sprint(before.Sequence+1) {
		t.Fatalf("the sequence is %s, was %d: the script hasn't begun to raise", seq, before.Sequence)
	}
	w.rights(whole)
	w.want(wire.LookupMiss, "raised as a whole")
	if left := w.dueFields(); len(left) > 0 {
		t.Errorf("the state still holds %q", left)
	}
}

// A script that was stopped before it has written which groups are due raises everything then: the groups of a write aren't forgotten.
func TestDueRaiseWithoutItsGroups(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.closeAlso("w1", true, 20_000, "c:stats")
		w.fill(w.look().Ticket)
		for _, field := range w.dueFields() {
			if field != "due" {
				w.check(w.raw.HDel(w.ctx, "{chatcache:chat}:state", field).Err())
			}
		}
		w.want(wire.LookupHit, "before it is due")
		w.sooner(22_000)
		w.want(wire.LookupMiss, "when it is due")
	})
}

// A server that stopped answering costs a call its timeout and no more, and
// nothing has to be done when it is back.
func TestHungServer(t *testing.T) {
	w := newRealWorld(t, nil)
	w.fill(w.look().Ticket)
	o := w.options
	o.Timeout, o.Bootstrap = 30_000_000, false // 30 ms
	b := newBridge(t, o)
	w.server.Pause()
	defer w.server.Resume()
	_, err := b.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
	wantError(t, err, ErrRedis)
	w.server.Resume()
	eventually(t, "lookups work again", func() bool {
		a, err := b.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
		return err == nil && a.State == wire.LookupHit
	})
}

// All keys of a policy's validity share one hash tag, so that scripts work on a
// cluster; entries spread by partition.
func TestKeysShareTheTag(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.fill(w.look().Ticket)
	w.suspend("w1", 30_000, "c:stats")
	w.close("w1", true, "c:stats")
	w.poll(wire.Ticket{}, 0)
	w.purge("1ms")
	got := w.memory.Keys()
	want := []string{
		w.key, "{chatcache:chat}:applied", "{chatcache:chat}:waiting", "{chatcache:chat}:closed:w1", "{chatcache:chat}:feed", "{chatcache:chat}:gen:*",
		"{chatcache:chat}:gen:c:stats", "{chatcache:chat}:gen:p:stats:alice",
		"{chatcache:chat}:state", "{chatcache:chat}:vms",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("keys\n%q, want\n%q", got, want)
	}
}

// What comes with writes, groups, requests and VMs goes by itself: beside one hash or set of each kind, whose fields are bounded,
// every key that a policy has in Redis has an end.
func TestKeysHaveAnEnd(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.want(wire.LookupMiss, "a generation by a lookup")
	w.wantFetch("f1", "granted", "a lease")
	w.fill(w.look().Ticket, "n:named")
	w.suspend("w1", 30_000, "n:written")
	w.close("w1", true, "n:written")
	w.suspend("w2", 10, "n:expired")
	w.closeAlso("w3", true, 10, "n:due")
	w.pass(1000)
	w.look()
	w.set("stats", ControlSettings{Observe: true})
	w.check(w.reports("vm-1", 1, "stats", 5))
	w.purge("1ms")
	w.upload("u1", w.look().Ticket)
	other := w.key
	w.key = wire.EntryKey("stats", "chat", "bob", "GET", "/api/chat/stats", "d2")
	w.wantFetch("f2", "granted", "of another entry")
	u := w.upload("u2", w.look().Ticket)
	w.check(u.commit(u.size, "f2"))
	last := wire.EntryKey("stats", "chat", "eve", "GET", "/api/chat/stats", "d3")
	w.key = last
	w.wantFetch("f3", "granted", "of one that can't be stored")
	_, err := w.Release(w.ctx, wire.ReleaseRequest{Scope: w.scope, Key: w.key, Fetch: "f3", Mark: 5000})
	w.check(err)
	with := must(w.raw.Keys(w.ctx, "*").Result())
	for _, key := range []string{other, wire.LeaseKey(last), "{chatcache:chat}:gen:n:named", "{chatcache:chat}:gen:n:written",
		"{chatcache:chat}:gen:n:expired", "{chatcache:chat}:gen:n:due", "{chatcache:chat}:closed:w3"} {
		if !slices.Contains(with, key) {
			t.Errorf("the test has no %s: %q", key, with)
		}
	}
	one := []string{"state", "feed", "vms", "applied", "controls", "counts", "reported"}
	for _, key := range with {
		if word, ok := strings.CutPrefix(key, "{chatcache:chat}:"); ok && slices.Contains(one, word) {
			continue
		}
		if w.memory.TTL(key) <= 0 {
			t.Errorf("%s stays forever", key)
		}
	}
}

// Many suspensions whose deadlines pass one after the other, as where the origin is down and nobody knows what became of its writes, are
// turned into raises some at a time: each time reads all of them. Until then they go on suspending.
func TestManyDeadlines(t *testing.T) {
	w := newMemoryWorld(t, nil)
	const many = 100
	group := func(i int) string { return wire.GroupPartition("stats", fmt.Sprint("user-", i)) }
	for i := range many {
		w.suspend(fmt.Sprint("w", i), int64(1000+i), group(i))
	}
	state := func(i int) wire.LookupState {
		a, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: []string{group(i)}})
		w.check(err)
		return a.State
	}
	raised := w.look().Ticket.Sequence
	w.pass(1000)
	if got := state(0); got != wire.LookupMiss {
		t.Fatalf("the first deadline has passed: state %d", got)
	}
	rounds := 0
	for ms := range many {
		w.pass(1)
		last := raised
		if raised = w.look().Ticket.Sequence; raised > last {
			rounds++
		}
		if passed := ms + 1; passed < many && raised == last && state(passed) != wire.LookupSuspended {
			t.Errorf("deadline %d has passed without a raise, and suspends no more", passed)
		}
	}
	if rounds > many/2 {
		t.Errorf("all suspensions were read %d times in %d ms", rounds, many)
	}
	w.pass(many/10 + 1)
	for i := range many {
		if got := state(i); got != wire.LookupMiss {
			t.Errorf("suspension %d: state %d after its deadline", i, got)
		}
	}
	if got := w.look().Ticket.Sequence; got != 2*many {
		t.Errorf("%d events, want a suspension and a raise of each of %d", got, many)
	}
}
