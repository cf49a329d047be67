package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

func (w *world) control(r ControlsRequest) ControlsAnswer {
	w.t.Helper()
	r.Policy = w.scope.Policy
	a, err := w.SetControls(w.ctx, r)
	w.check(err)
	return a
}

func (w *world) set(cache string, s ControlSettings, unset ...string) ControlsAnswer {
	w.t.Helper()
	return w.control(ControlsRequest{All: cache == "", Cache: cache, Set: s, Unset: unset})
}

// follow is one poll of a VM with its policy's rules.
func (w *world) follow(vm string, cursor wire.Ticket, knows wire.Knows) wire.FollowAnswer {
	w.t.Helper()
	m := wire.FollowRequest{FeedRequest: w.pollRequest(cursor, 0), Knows: knows}
	m.VM = vm
	a, err := w.Follow(w.ctx, m)
	w.check(err)
	return a
}

// An operator's off is obeyed by every lookup from then on, whatever the VM has heard, and
// what was stored before doesn't come back when the cache is on again.
func TestOffThenOn(t *testing.T) {
	for _, cache := range []string{"stats", ""} {
		onEachRedis(t, nil, func(t *testing.T, w *world) {
			ticket := w.want(wire.LookupMiss, "at first").Ticket
			w.fill(ticket)
			w.want(wire.LookupHit, "stored")
			w.set(cache, ControlSettings{Off: true})
			w.set(cache, ControlSettings{Off: true}) // once more
			w.want(wire.LookupSuspended, "off")
			w.fill(ticket) // its lookup was answered before
			w.set(cache, ControlSettings{}, "off")
			ticket = w.want(wire.LookupMiss, "on again").Ticket
			w.fill(ticket)
			w.want(wire.LookupHit, "stored again")
		})
	}
}

// Writes and an operator's off on the same group don't end each other.
func TestOffBesideASuspension(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.suspend("w1", 30_000, "c:stats")
		w.set("stats", ControlSettings{Off: true})
		w.close("w1", true, "c:stats")
		w.want(wire.LookupSuspended, "off, the write has ended")
		w.suspend("w2", 30_000, "c:stats")
		w.set("stats", ControlSettings{}, "off")
		w.want(wire.LookupSuspended, "on, a write is in flight")
		w.close("w2", true, "c:stats")
		w.want(wire.LookupMiss, "nothing is in flight")
	})
}

// A held poll is answered with the controls, and they come with every answer from then on.
func TestControlsTravelWithTheFeed(t *testing.T) {
	clock := newStepClock()
	onEachRedis(t, func(o *Options) { o.Clock = clock }, func(t *testing.T, w *world) {
		now := w.poll(wire.Ticket{}, 0).Last
		answers := make(chan wire.FollowAnswer)
		go func() {
			m := wire.FollowRequest{FeedRequest: w.pollRequest(now, 1000)}
			a, _ := w.Follow(w.ctx, m)
			answers <- a
		}()
		<-clock.waiting
		set := w.set("stats", ControlSettings{TTL: "30s", Percent: 12.5, Verify: 1, Observe: true})
		w.set("", ControlSettings{Percent: 50})
		first := <-answers
		if !first.Continues(now) || len(first.Events) == 0 || first.Events[0].Kind != wire.EventControls {
			t.Errorf("answer %+v", first)
		}
		want := wire.Controls{
			All:    wire.Control{Percent: 5000},
			Caches: []wire.CacheControl{{Cache: "stats", Control: wire.Control{TTL: 30_000, Percent: 1250, Verify: 100, Observe: true}}},
		}
		got := w.follow("vm-2", wire.Ticket{}, wire.Knows{}).Controls
		if got.Version <= set.Controls.Version {
			t.Errorf("version %d after %d", got.Version, set.Controls.Version)
		}
		got.Version = 0
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(wire.Control{})); diff != "" {
			t.Error(diff)
		}
	})
}

// A new epoch forgets what is stored and not what operators have set; where Redis has lost that,
// a bridge that knows it puts it back, unless something was set since.
func TestControlsOutliveRedis(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.set("stats", ControlSettings{Off: true})
		before := w.follow("vm-1", wire.Ticket{}, wire.Knows{})
		w.check(w.raw.Del(w.ctx, "{chatcache:chat}:state").Err())
		w.look()
		w.pass(quarantine + 1)
		w.want(wire.LookupSuspended, "a new epoch, after its quarantine; no VM has polled")
		w.set("stats", ControlSettings{}, "off")
		w.want(wire.LookupMiss, "on again")
		w.set("stats", ControlSettings{Off: true})
		before = w.follow("vm-1", before.Last, wire.Knows{})

		w.check(w.raw.FlushDB(w.ctx).Err())
		w.pass(quarantine + 1)
		w.look()
		after := w.follow("vm-1", before.Last, wire.Knows{})
		if after.Last.Epoch == before.Last.Epoch || !after.Controls.Of("stats").Off {
			t.Errorf("after a flush: %+v", after)
		}
		w.pass(quarantine + 1)
		w.want(wire.LookupSuspended, "after a flush")

		w.check(w.raw.FlushDB(w.ctx).Err())
		other := newBridge(t, w.options) // knows nothing
		_, err := other.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: "user", Set: ControlSettings{Observe: true}})
		w.check(err)
		if c := w.follow("vm-1", wire.Ticket{}, wire.Knows{}).Controls; c.Of("stats").Off || !c.Of("user").Observe {
			t.Errorf("what was set after a flush is gone: %+v", c)
		}
	})
}

func TestControlsRefused(t *testing.T) {
	w := newMemoryWorld(t, nil)
	tests := []struct {
		name string
		r    ControlsRequest
		want error
		says string
	}{
		{"neither all nor a cache", ControlsRequest{Set: ControlSettings{Off: true}}, ErrRequest, `want either "all": true or a "cache"`},
		{"both", ControlsRequest{All: true, Cache: "stats", Set: ControlSettings{Off: true}}, ErrRequest, `want either "all": true or a "cache"`},
		{"nothing", ControlsRequest{Cache: "stats"}, ErrRequest, `nothing to change`},
		{"a name that could be another's setting", ControlsRequest{Cache: "stats off", Set: ControlSettings{Off: true}}, ErrRequest, `byte ' ' at 5`},
		{"a long name", ControlsRequest{Cache: strings.Repeat("x", 65), Set: ControlSettings{Off: true}}, ErrRequest, "65 bytes, at most 64"},
		{"unknown", ControlsRequest{Cache: "stats", Unset: []string{"on"}}, ErrRequest, `"unset" has "on", want one of off, ttl, percent, observe, verify`},
		{"set and unset", ControlsRequest{Cache: "stats", Set: ControlSettings{Off: true}, Unset: []string{"off"}}, ErrRequest, `"off" is both set and unset`},
		{"no duration", ControlsRequest{Cache: "stats", Set: ControlSettings{TTL: "soon"}}, ErrRequest, `"ttl" is "soon", want a duration from 1s to 720h0m0s`},
		{"less than a second", ControlsRequest{Cache: "stats", Set: ControlSettings{TTL: "1ms"}}, ErrRequest, `"ttl" is "1ms"`},
		{"too much", ControlsRequest{Cache: "stats", Set: ControlSettings{Percent: 100.1}}, ErrRequest, `"percent" is 100.1, want a percentage from 0.01 to 100; "off" serves nobody`},
		{"less than nothing", ControlsRequest{Cache: "stats", Set: ControlSettings{Verify: -1}}, ErrRequest, `"verify" is -1`},
		{"next to nothing", ControlsRequest{Cache: "stats", Set: ControlSettings{Percent: 0.001}}, ErrRequest, `"percent" is 0.001`},
		{"a wait", ControlsRequest{Cache: "stats", Set: ControlSettings{Off: true}, Wait: "long"}, ErrRequest, `"wait" is "long"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Policy = "chat"
			_, err := w.SetControls(w.ctx, tt.r)
			wantError(t, err, tt.want)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want it to say %s", err, tt.says)
			}
		})
	}
}

// Redis loses an operator's off, and before anybody has polled, something else is set at a bridge that
// knows of it: the cache stays off, and what is set counts, too.
func TestOffOutlivesAFlushAndAChange(t *testing.T) {
	for _, name := range []string{"polled", "only set"} {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				w.look() // so the bridge knows the policy's quarantine
				w.set("stats", ControlSettings{Off: true})
				if name == "polled" {
					w.follow("vm-1", wire.Ticket{}, wire.Knows{})
				}
				w.check(w.raw.FlushDB(w.ctx).Err())
				a := w.set("user", ControlSettings{TTL: "30s"})
				c := w.follow("vm-1", wire.Ticket{}, wire.Knows{}).Controls
				if !c.Of("stats").Off || c.Of("user").TTL != 30_000 || c.Version != a.Controls.Version {
					t.Errorf("the VM hears %+v, the answer was %+v", c, a.Controls)
				}
				w.look()
				w.pass(quarantine + 1)
				w.want(wire.LookupSuspended, "stats is off")
				w.set("stats", ControlSettings{}, "off")
				w.want(wire.LookupMiss, "stats is on")
			})
		})
	}
}

// At the bound of settings what is there can be changed and unset, and everything can be switched off.
func TestControlsAtTheirBound(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		fields := []any{"version", 1}
		for i := range maxSettings - 1 {
			fields = append(fields, fmt.Sprintf("c%d ttl", i), 30_000)
		}
		w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:controls", fields...).Err())
		_, err := w.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: "c1", Set: ControlSettings{Observe: true}})
		wantError(t, err, ErrTooMany)
		w.set("c1", ControlSettings{TTL: "5s"})
		w.set("", ControlSettings{Off: true})
		w.set("stats", ControlSettings{Off: true})
		got := w.follow("vm-1", wire.Ticket{}, wire.Knows{}).Controls
		if !got.All.Off || !got.Of("stats").Off || got.Of("c1").TTL != 5000 || len(got.Caches) > wire.MaxCaches {
			t.Errorf("%d caches, all %+v, stats %+v, c1 %+v", len(got.Caches), got.All, got.Of("stats"), got.Of("c1"))
		}
		w.set("", ControlSettings{}, "off")
		w.set("stats", ControlSettings{}, "off")
		w.set("c1", ControlSettings{}, "ttl")
		w.set("c1", ControlSettings{Observe: true})
		w.set("stats", ControlSettings{Off: true})
		for i := range maxSettings {
			if _, err = w.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: fmt.Sprint("c", i), Set: ControlSettings{Off: true}}); err != nil {
				break
			}
		}
		wantError(t, err, ErrTooMany)
		got = w.follow("vm-1", wire.Ticket{}, wire.Knows{}).Controls
		if !got.Of("stats").Off || !got.Of("c1").Off || len(got.Caches) > wire.MaxCaches {
			t.Errorf("%d caches, stats %+v, c1 %+v", len(got.Caches), got.Of("stats"), got.Of("c1"))
		}
	})
}

// Where more caches have settings than a VM is told of, it is told of those that are off.
func TestOffIsToldFirst(t *testing.T) {
	fields := map[string]string{"last off": "1"}
	for i := range wire.MaxCaches {
		fields[fmt.Sprintf("c%d observe", i)] = "1"
	}
	c := newControls(fields, "").wire
	if !c.Of("last").Off || len(c.Caches) != wire.MaxCaches {
		t.Errorf("%d caches, the last of which is %+v", len(c.Caches), c.Of("last"))
	}
}

func TestControlsAreBounded(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		name := func(i int) string { return "c" + string(rune('a'+i/26)) + string(rune('a'+i%26)) }
		for i := range maxSettings {
			if _, err := w.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: name(i), Set: ControlSettings{Observe: true}}); err != nil {
				wantError(t, err, ErrTooMany)
				return
			}
		}
		t.Error("no bound")
	})
}

var (
	older = wire.Knows{Version: "v1", Rules: []wire.CacheRules{{Cache: "user", Digest: "u"}}}
	newer = wire.Knows{Version: "v2", Rules: []wire.CacheRules{{Cache: "stats", Digest: "s"}, {Cache: "user", Digest: "u"}}}
)

// While a VM lives whose policy doesn't know the rules for a cache, nobody is served from it.
// A write that only others would have invalidated for is made good when that ends.
func TestRulesThatNotAllVMsKnow(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.lease = 60_000
		w.follow("old", wire.Ticket{}, older)
		now := w.follow("old", wire.Ticket{}, older).Last
		w.fill(w.want(wire.LookupMiss, "one policy").Ticket)
		w.want(wire.LookupHit, "one policy")

		joined, err := w.Join(w.ctx, w.joining("new", newer))
		w.check(err)
		if joined.Lookup.State != wire.LookupSuspended || !joined.Controls.Of("stats").Rollout || joined.Controls.Of("user").Rollout {
			t.Errorf("a VM with a new policy joined: %+v", joined)
		}
		heard := w.follow("old", now, older)
		if !heard.Continues(now) || len(heard.Events) != 1 || heard.Events[0].Groups[0] != "c:stats" || !heard.Controls.Of("stats").Rollout {
			t.Errorf("the others hear %+v", heard)
		}

		w.sooner(60_001 + quarantine) // the leases of all run out, and the terms of what they have begun
		a := w.follow("new", wire.Ticket{}, newer)
		if a.Controls.Of("stats").Rollout {
			t.Errorf("still in rollout: %+v", a.Controls)
		}
		w.want(wire.LookupMiss, "all know the rules; what was stored before isn't found")
	})
}

// What was stored under rules that nobody has at work any more isn't found by others, however long nobody was there: proxies that
// are stopped, and started again with another policy. With the same one it is.
func TestOtherRulesAfterAPause(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		stores := func(vm string, knows wire.Knows) {
			w.follow(vm, wire.Ticket{}, knows)
			w.follow(vm, wire.Ticket{}, knows)
			w.fill(w.want(wire.LookupMiss, vm).Ticket)
		}
		joins := func(vm string, knows wire.Knows, want wire.LookupState) {
			t.Helper()
			w.sooner(3001 + quarantine) // nobody is there
			w.follow("listens", wire.Ticket{}, wire.Knows{})
			joined, err := w.Join(w.ctx, w.joining(vm, knows))
			w.check(err)
			if joined.Lookup.State != want {
				t.Errorf("%s gets %v, want %v", vm, joined.Lookup.State, want)
			}
		}
		stores("vm-1", older)
		joins("vm-2", older, wire.LookupHit)
		joins("vm-3", newer, wire.LookupMiss)
		stores("vm-3", newer)
		joins("vm-4", newer, wire.LookupHit)
		if n := w.raw.HLen(w.ctx, "{chatcache:chat}:rules").Val(); n != 1 {
			t.Errorf("%d rules are kept, want the last ones", n)
		}
		joins("vm-5", older, wire.LookupMiss)
	})
}

// Rules count for as long as any VM may act by them, also where another one that has the same ones polls later and for a shorter lease.
func TestRulesCountForTheLongestLease(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.lease = 60_000
		w.follow("old-long", wire.Ticket{}, older)
		w.follow("new", wire.Ticket{}, newer)
		w.lease = 3000
		w.follow("old-short", wire.Ticket{}, older)
		w.sooner(20_000 + quarantine)
		w.follow("new", wire.Ticket{}, newer)
		w.want(wire.LookupSuspended, "a VM with the old policy has its lease")
		w.sooner(40_001)
		w.follow("new", wire.Ticket{}, newer)
		w.want(wire.LookupMiss, "nobody has the old policy any more")
	})
}

// A write that began by the old policy may be open when the last VM with that is gone: its outcome is unknown, or its VM has died. What the
// new policy has it invalidate, too, isn't used before its term is over:
//
//  1. vm-old has the old policy, vm-new one by which the write invalidates "stats", too: it stands suspended
//  2. a write passes vm-old: it suspends "user" for its deadline, and gets no answer
//  3. vm-old is gone for its lease (3 s)
//  4. a read of "stats" at vm-new asks the origin; were it stored, it would be valid after 6
//  5. the origin commits, within the term that the rule promises
//  6. the deadline passes, as a raise of "user"
func TestWriteOfAPolicyThatIsGone(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.scope.Quarantine = 15_000 // as its filters say with each call
		w.follow("vm-old", wire.Ticket{}, older)
		w.follow("vm-new", wire.Ticket{}, newer)
		w.want(wire.LookupSuspended, "two policies at work")
		w.suspend("w1", 15_000, wire.GroupPartition("user", "alice")) // 15 s or a settle of 10 s: not over by far
		w.sooner(3100)                                                // vm-old's lease is over
		w.follow("vm-new", wire.Ticket{}, newer)
		a := w.want(wire.LookupSuspended, "the write by the old policy is in flight")
		w.fill(a.Ticket) // what the origin had before the commit
		w.sooner(15_000) // commit, then the deadline
		w.follow("vm-new", wire.Ticket{}, newer)
		if got := w.look(); got.State == wire.LookupHit {
			t.Errorf("after the write's deadline: a hit of what was stored before its commit")
		}
		w.want(wire.LookupMiss, "all is over")
	})
}

// joining is the first lookup of a VM.
func (w *world) joining(vm string, knows wire.Knows) wire.JoinRequest {
	m := wire.JoinRequest{Lookup: wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}}
	m.Follow = wire.FollowRequest{FeedRequest: w.pollRequest(wire.Ticket{}, 0), Knows: knows}
	m.Follow.VM = vm
	return m
}

// A VM that has two policies at work, while its proxy drains connections, agrees with nobody, not
// even with itself.
func TestTwoPoliciesInOneVM(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		both := wire.Knows{Version: "v2", Rules: []wire.CacheRules{{Cache: "stats", Digest: "s"}, {Cache: "stats"}, {Cache: "user", Digest: "u"}}}
		c := w.follow("vm-1", wire.Ticket{}, both).Controls
		if !c.Of("stats").Rollout || c.Of("user").Rollout {
			t.Errorf("controls %+v", c)
		}
		w.want(wire.LookupSuspended, "two policies")
	})
}

// Rules that no VM has any more are forgotten, and so many that are still at work are too many.
func TestTooManyRules(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		knows := func(i int) wire.Knows {
			return wire.Knows{Version: "v", Rules: []wire.CacheRules{{Cache: "stats", Digest: string(rune('a' + i))}}}
		}
		m := wire.FollowRequest{FeedRequest: w.pollRequest(wire.Ticket{}, 0)}
		m.Lease = 60_000
		for i := range maxVersions {
			m.Knows = knows(i)
			_, err := w.Follow(w.ctx, m)
			w.check(err)
		}
		m.Knows = knows(maxVersions)
		_, err := w.Follow(w.ctx, m)
		wantError(t, err, ErrTooMany)
		const rules = "{chatcache:chat}:rules"
		for field := range must(w.raw.HGetAll(w.ctx, rules).Result()) {
			w.check(w.raw.HSet(w.ctx, rules, field, 1).Err()) // the leases of all have run out
		}
		_, _ = w.Follow(w.ctx, m) // finds that they are gone
		_, err = w.Follow(w.ctx, m)
		w.check(err)
	})
}

func TestStatusShowsControlsAndVersions(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.set("stats", ControlSettings{Off: true})
		w.follow("vm-1", wire.Ticket{}, older)
		w.follow("vm-1", wire.Ticket{}, newer) // at the same position
		p := w.Status(w.ctx).Policies[0]
		if len(p.Followers) != 1 || p.Followers[0].PolicyVersion != "v2" {
			t.Errorf("followers %+v", p.Followers)
		}
		want := []CacheControls{{Name: "stats", ControlSettings: ControlSettings{Off: true}, Rollout: true}}
		if diff := cmp.Diff(want, p.Controls.Caches); diff != "" {
			t.Error(diff)
		}
	})
}

// A bridge that nobody has called yet tells what Redis holds of a policy that it has the document of: an "off" isn't
// left out because the bridge was just started.
func TestStatusOfABridgeThatWasJustStarted(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		if s := w.Status(w.ctx).Policies; len(s) != 1 || s[0].Name != "chat" || s[0].Epoch != "" {
			t.Errorf("before anything is known: %+v", s)
		}
		w.set("stats", ControlSettings{Off: true})
		w.follow("vm-1", wire.Ticket{}, older)
		s := newBridge(t, w.options).Status(w.ctx).Policies
		if len(s) != 1 || s[0].VMs != 1 || len(s[0].Controls.Caches) != 1 || !s[0].Controls.Caches[0].Off {
			t.Errorf("at another bridge: %+v", s)
		}
	})
}

// between calls something before a script runs that puts controls back, once.
type between struct {
	key  string
	mu   sync.Mutex // a bridge that is starting comes here, too
	call func()
}

// next sets what is called.
func (b *between) next(call func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.call = call
}

// take gives what is to be called at a command, nil if nothing.
func (b *between) take(cmd redis.Cmder) (call func()) {
	const third = 5 // key, behind the command's three words
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(cmd.Args()) > third && cmd.Args()[third] == any(b.key) {
		call, b.call = b.call, nil
	}
	return call
}

func (b *between) DialHook(next redis.DialHook) redis.DialHook { return next }

func (b *between) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (b *between) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if call := b.take(cmd); call != nil {
			call()
		}
		return next(ctx, cmd)
	}
}

// What is set after Redis has lost the controls, and before a bridge puts the older ones back that it remembers, stays:
// also where Redis loses everything once more before the bridge is asked again.
func TestControlsSetWhileOlderOnesArePutBack(t *testing.T) {
	hook := &between{key: "{chatcache:chat}:controls"}
	onEachRedis(t, func(o *Options) { o.Hooks = append(o.Hooks, hook) }, func(t *testing.T, w *world) {
		w.set("stats", ControlSettings{Off: true})
		at := w.follow("vm-1", wire.Ticket{}, wire.Knows{}).Last
		w.check(w.raw.FlushDB(w.ctx).Err())
		other := newBridge(t, w.options)
		hook.next(func() {
			_, err := other.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: "stats", Set: ControlSettings{TTL: "60s"}})
			w.check(err)
		})
		want := w.follow("vm-1", at, wire.Knows{})
		if c := want.Controls.Of("stats"); c.Off || c.TTL != 60_000 {
			t.Errorf("after the older ones were put back: %+v", c)
		}
		w.check(w.raw.FlushDB(w.ctx).Err())
		got := w.follow("vm-1", want.Last, wire.Knows{})
		if got.Controls.Version != want.Controls.Version || got.Controls.Of("stats") != want.Controls.Of("stats") {
			t.Errorf("after the second loss: %+v, want %+v", got.Controls, want.Controls)
		}
	})
}

// What an operator has unset doesn't come back with controls that are older: where a replica is promoted that hasn't heard of the last change,
// what is put back is all that counts.
func TestUnsetOutlivesAFailover(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		const controls = "{chatcache:chat}:controls"
		w.set("stats", ControlSettings{Off: true, Percent: 10})
		before := must(w.raw.HGetAll(w.ctx, controls).Result())
		w.set("stats", ControlSettings{TTL: "30s"}, "off", "percent")
		now := w.follow("vm-1", wire.Ticket{}, wire.Knows{})
		w.check(w.raw.Del(w.ctx, controls).Err())
		w.check(w.raw.HSet(w.ctx, controls, before).Err())
		got := w.follow("vm-1", now.Last, wire.Knows{}).Controls
		if got.Version != now.Controls.Version || got.Of("stats") != now.Controls.Of("stats") {
			t.Errorf("after the failover %+v, want %+v", got, now.Controls)
		}
		w.want(wire.LookupMiss, "it is on")
	})
}

// A script that is stopped while a cache is switched on again leaves it off, until what was stored before is raised.
func TestHalfAnOn(t *testing.T) {
	w := newRealWorld(t, nil)
	ticket := w.look().Ticket
	w.fill(ticket)
	w.set("stats", ControlSettings{Off: true})
	w.rights(half + " ~*:controls")
	_, err := w.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: "stats", Unset: []string{"off"}})
	if err == nil || !strings.Contains(err.Error(), "permission") {
		t.Fatalf("half of it gave %v, want an error: the test doesn't stop the script", err)
	}
	w.rights(whole)
	w.want(wire.LookupSuspended, "half of it is done")
	w.poll(wire.Ticket{}, 0) // does the rest
	w.want(wire.LookupMiss, "on again")
}

// elects answers for replicas. Once it is told to, one is elected that has heard of nothing, before they are asked again.
type elects struct {
	between
	elect func() // nil: not now
}

func (e *elects) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		wait, ok := cmds[len(cmds)-1].(*redis.Cmd)
		if !ok || wait.Args()[0] != any("WAIT") {
			return next(ctx, cmds)
		}
		if elect := e.elect; elect != nil {
			e.elect = nil
			elect()
		}
		wait.SetVal(int64(1))
		return next(ctx, cmds[:len(cmds)-1])
	}
}

// Controls that a failover has lost before the replicas were asked aren't acknowledged because the replicas of the new primary follow it.
func TestControlsLostBeforeReplicasHearOfThem(t *testing.T) {
	hook := &elects{between: between{key: "{chatcache:chat}:controls"}}
	change := func(o *Options) { o.Hooks, o.Replicas, o.Trust = append(o.Hooks, hook), 1, time.Minute }
	onEachRedis(t, change, func(t *testing.T, w *world) {
		w.look() // the primary is confirmed
		hook.next(func() {
			hook.elect = func() { w.check(w.raw.FlushDB(w.ctx).Err()) }
		})
		r := ControlsRequest{Policy: "chat", Cache: "stats", Set: ControlSettings{Off: true}}
		if answer, err := w.SetControls(w.ctx, r); !errors.Is(err, ErrRedis) || errors.Is(err, errUnconfirmed) {
			t.Errorf("acknowledged as %+v, %v, want that they are lost", answer.Controls.Caches, err)
		}
		answer, err := w.SetControls(w.ctx, r)
		if err != nil || len(answer.Controls.Caches) != 1 || !answer.Controls.Caches[0].Off {
			t.Errorf("set again: %+v, %v", answer.Controls.Caches, err)
		}
	})
}
