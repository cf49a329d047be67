package redisbridge

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// fresh is another bridge of the same Redis, which was just started.
func (w *world) fresh() *Bridge {
	w.t.Helper()
	o := w.options
	o.Bootstrap = false
	return newBridge(w.t, o)
}

// forget makes Redis forget everything but that it had the policy, as a restart from an old copy of its
// data does.
func (w *world) forget() {
	w.t.Helper()
	w.check(w.raw.FlushAll(w.ctx).Err())
	w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "server", "another").Err())
}

// administrators are the calls of administrators that may be a bridge's first.
func (w *world) administrators(epoch uint64) map[string]func(*Bridge) error {
	return map[string]func(*Bridge) error{
		"receipts": func(b *Bridge) error {
			_, err := b.Receipts(w.ctx, RaiseAnswer{Policy: "chat", Epoch: epochText(epoch), Sequence: 1, RaisedAt: 1}, "")
			return err
		},
		"purge": func(b *Bridge) error {
			_, err := b.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats"})
			return err
		},
		"receipts, then purge": func(b *Bridge) error {
			_, err := b.Receipts(w.ctx, RaiseAnswer{Policy: "chat", Epoch: epochText(epoch), Sequence: 1, RaisedAt: 1}, "")
			w.check(err)
			w.forget()
			_, err = b.Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats"})
			return err
		},
		"looking": func(b *Bridge) error {
			_, err := b.Controls(w.ctx, "chat")
			return err
		},
		"controls": func(b *Bridge) error {
			_, err := b.SetControls(w.ctx, ControlsRequest{Policy: "chat", Cache: "stats", Set: ControlSettings{TTL: "60s"}})
			return err
		},
	}
}

// A bridge that has heard of the policy from nobody is the first to notice that Redis has lost a
// suspension: nothing is served or kept until the write must have ended.
func TestAdministratorFirstAfterALoss(t *testing.T) {
	for _, name := range []string{"receipts", "purge", "receipts, then purge", "controls"} {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				ticket := w.look().Ticket
				w.suspend("w1", 30_000, "p:stats:alice")
				other := w.fresh()
				w.forget()
				w.check(w.administrators(ticket.Epoch)[name](other))
				a := w.want(wire.LookupSuspended, "the write is still in flight")
				w.fill(a.Ticket) // what the origin has answered before it commits
				w.sooner(30_001)
				w.want(wire.LookupSuspended, "its deadline has passed, but the bridge couldn't know")
				w.sooner(wire.MaxQuarantine - 30_000)
				w.want(wire.LookupMiss, "no write can be in flight any more")
			})
		})
	}
}

// Redis has forgotten a VM that may still use its memory: a purge isn't complete.
func TestPurgeAfterALossIsNotComplete(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		at := w.poll(wire.Ticket{}, 0).Last // the VM has a lease of 3 s
		other := w.fresh()
		w.check(w.administrators(at.Epoch)["receipts"](other))
		w.forget()
		a, err := other.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true, Wait: "1ms"})
		w.check(err)
		if r := a.Receipts; r.Complete || r.QuarantineMS < 3000 {
			t.Errorf("complete %t, with a quarantine of %d ms", r.Complete, r.QuarantineMS)
		}
	})
}

// What administrators ask before any filter decides nothing of what comes later: how long
// generations live, and how long a new epoch stands suspended.
func TestAdministratorFirstTeachesNothing(t *testing.T) {
	for _, name := range []string{"receipts", "purge", "controls", "looking"} {
		t.Run(name, func(t *testing.T) {
			onEachRedis(t, nil, func(t *testing.T, w *world) {
				w.forget()
				w.check(w.administrators(1)[name](w.Bridge))
				w.look() // the policy's longest TTL is 600 s
				if left := must(w.raw.PTTL(w.ctx, "{chatcache:chat}:gen:p:stats:alice").Result()); left < 600*time.Second || left > 660*time.Second {
					t.Errorf("a generation lives for %v, want 11 minutes", left)
				}
				w.sooner(wire.MaxQuarantine + 1)
				w.want(wire.LookupMiss, "after any policy's quarantine")
				w.forget()
				w.want(wire.LookupSuspended, "a new epoch")
				w.sooner(quarantine + 1)
				w.want(wire.LookupMiss, "after the policy's quarantine")
			})
		})
	}
}

// A purge by a bridge that doesn't know how long the policy's entries live outlasts them.
func TestPurgeBeforeAnyFilter(t *testing.T) {
	w := newMemoryWorld(t, nil)
	w.fill(w.look().Ticket)
	_, err := w.fresh().Purge(w.ctx, PurgeRequest{Policy: "chat", Cache: "stats"})
	w.check(err)
	w.pass(599_000)
	w.want(wire.LookupMiss, "stored before the purge, almost ten minutes later")
}

// The policy's document says how long an epoch that an administrator's call begins is suspended.
func TestDocumentSaysTheQuarantine(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		other := w.fresh()
		w.check(w.administrators(1)["purge"](other))
		w.look()
		d := w.options.Policies[0]
		w.sooner(int(d.MaxDeadline().Milliseconds()) - 10_000)
		w.want(wire.LookupSuspended, "a write by the document may be in flight")
		w.sooner(10_001)
		w.want(wire.LookupMiss, "none can be")
	})
}

// Whoever only looks can't use up the policies that a bridge serves.
func TestReadersUseUpNoPolicies(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for i := range maxPolicies {
		_, err := w.Controls(w.ctx, fmt.Sprint("x", i))
		w.check(err)
	}
	w.look()
}
