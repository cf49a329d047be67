package redisbridge

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// losses are what Redis may forget by itself or by somebody's hand.
func losses(w *world) map[string]func() error {
	del := func(key string) func() error { return func() error { return w.raw.Del(w.ctx, key).Err() } }
	of := func(name string) string { return "{chatcache:" + w.scope.Policy + "}:" + name }
	return map[string]func() error{
		"state":                   del(of("state")),
		"feed":                    del(of("feed")),
		"registry":                del(of("vms")),
		"tombstone":               del(of("closed:w1")),
		"generation of all":       del(of("gen:*")),
		"generation of a cache":   del(of("gen:c:stats")),
		"generation of a user":    del(of("gen:p:stats:alice")),
		"entry":                   del(w.key),
		"fetch lease":             del("lease:" + w.key),
		"this database":           func() error { return w.raw.FlushDB(w.ctx).Err() },
		"everything":              func() error { return w.raw.FlushAll(w.ctx).Err() },
		"scripts":                 func() error { return w.raw.ScriptFlush(w.ctx).Err() },
		"generations and scripts": func() error { return errors.Join(del(of("gen:c:stats"))(), w.raw.ScriptFlush(w.ctx).Err()) },
	}
}

// One write and the reads around it, with a loss after one of the steps: from the
// write's suspension on nobody gets what was before it.
func TestLosses(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		names := losses(w)
		for step := range len(protocol) {
			for name := range names {
				w.of(fmt.Sprintf("chat-%d-%d", step, len(w.policies.all())))
				w.protocolWith(t, step, name)
			}
		}
	})
}

// protocol is one write in steps, and reads that fill before, during and after it.
// committed tells a step whether the write is in the origin already.
var protocol = []struct {
	name      string
	committed bool
	do        func(w *world, before wire.Ticket)
}{
	{"filled before the write", false, func(w *world, before wire.Ticket) { w.put(before, "old") }},
	{"polled", false, func(w *world, _ wire.Ticket) { w.poll(wire.Ticket{}, 0) }},
	{"suspended", true, func(w *world, _ wire.Ticket) { w.suspend("w1", quarantine, w.groups[2]) }},
	{"filled late, by a read from before", true, func(w *world, before wire.Ticket) { w.put(before, "old") }},
	{"closed", true, func(w *world, _ wire.Ticket) { w.close("w1", true, w.groups[2]) }},
	{"filled late again", true, func(w *world, before wire.Ticket) { w.put(before, "old") }},
	{"suspended late", true, func(w *world, _ wire.Ticket) { w.suspend("w1", 1, w.groups[2]) }},
	{"closed again", true, func(w *world, _ wire.Ticket) { w.close("w1", true, w.groups[2]) }},
}

func (w *world) protocolWith(t *testing.T, lossAfter int, loss string) {
	t.Helper()
	where := fmt.Sprintf("%s lost after %q", loss, protocol[lossAfter].name)
	lose := losses(w)[loss]
	before := w.look().Ticket
	committed := false
	for i, step := range protocol {
		step.do(w, before)
		committed = committed || step.committed
		if i == lossAfter {
			w.check(lose())
		}
		if a := w.look(); committed && a.State == wire.LookupHit {
			t.Fatalf("%s: after %q a hit with what was before the write", where, step.name)
		}
	}
	for w.look().State == wire.LookupSuspended {
		w.pass(quarantine / 2)
	}
	w.put(before, "old")
	after := w.look()
	if after.State != wire.LookupMiss {
		t.Fatalf("%s: state %d in the end, want a miss", where, after.State)
	}
	w.put(after.Ticket, "new")
	if a := w.look(); a.State != wire.LookupHit {
		t.Errorf("%s: state %d after a fill, want a hit", where, a.State)
	}
}

// put stores a response of the world's groups.
func (w *world) put(ticket wire.Ticket, payload string) {
	w.t.Helper()
	e := wire.Entry{Head: wire.Head{Ticket: ticket, Groups: w.groups}, Payload: []byte(payload)}
	_, err := w.Store(w.ctx, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 600_000, Entry: e.Encode()})
	w.check(err)
}

// A server that answers every command with an error answers no lookup wrongly, and
// needs no attention when it is well again.
func TestErrorReplies(t *testing.T) {
	for _, reply := range []string{
		"LOADING Valkey is loading the dataset in memory",
		"READONLY You can't write against a read only replica.",
		"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
		"CLUSTERDOWN The cluster is down",
		"TRYAGAIN Multiple keys request during rehashing of slot",
		"NOREPLICAS Not enough good replicas to write.",
		"OOM command not allowed when used memory > 'maxmemory'.",
		"BUSY Valkey is busy running a script.",
	} {
		w := newMemoryWorld(t, nil)
		ticket := w.look().Ticket
		w.fill(ticket)
		w.memory.SetError(reply)
		for path, body := range map[string][]byte{
			wire.PathLookup:  wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode(),
			wire.PathLookups: wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{{Key: w.key, Groups: w.groups}}}.Encode(),
			wire.PathSuspend: wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: w.groups, Deadline: 1000}.Encode(),
			wire.PathClose:   wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: w.groups, Raise: true}.Encode(),
			wire.PathFeed:    w.pollRequest(ticket, 0).Encode(),
			wire.PathStore:   wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1000, Entry: entryOf(ticket)}.Encode(),
			wire.PathStores: wire.StoresRequest{Stores: [][]byte{
				wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1000, Entry: entryOf(ticket)}.Encode(),
			}}.Encode(),
		} {
			if status, answer := call(w, "POST", path, "", body); status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: %d %s", reply, path, status, answer)
			}
		}
		w.memory.SetError("")
		w.want(wire.LookupHit, "well again")
		if s := w.Status(w.ctx).Redis.Breaker; s.Openings > 0 {
			t.Errorf("%s: the breaker took an answer for silence", reply)
		}
	}
}

// A primary that becomes a replica refuses what its bridges ask, also the feed; as a
// primary again it begins an epoch, because it may have missed what another was told.
func TestDemotedServer(t *testing.T) {
	w := newRealWorld(t, nil)
	w.scope.Quarantine = 30_000
	before := w.look().Ticket
	w.fill(before)
	w.check(w.raw.Do(w.ctx, "REPLICAOF", "127.0.0.1", "1").Err())
	_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
	wantError(t, err, ErrRedis)
	_, err = w.Feed(w.ctx, w.pollRequest(before, 0))
	wantError(t, err, ErrRedis)
	w.check(w.raw.Do(w.ctx, "REPLICAOF", "NO", "ONE").Err())
	now := w.want(wire.LookupSuspended, "a primary again").Ticket
	if now.Epoch == before.Epoch {
		t.Error("it went on with its epoch")
	}
}

// A server that starts with data from before a raise forgets all of it.
func TestOldData(t *testing.T) {
	w := &world{t: t, server: stack.ScratchValkeyT(t)}
	w.options = Options{Redis: redis.UniversalOptions{Addrs: []string{w.server.Socket}}}
	w.start(nil)
	const quarantine = 1000 // a busy machine gets to the lookup before it ends
	w.scope.Quarantine = quarantine
	before := w.look().Ticket
	w.fill(before)
	w.want(wire.LookupHit, "before the raise")
	w.check(w.raw.Save(w.ctx).Err())
	w.close("w1", true, w.groups...)
	w.server.Restart()
	if n := must(w.raw.Exists(w.ctx, w.key).Result()); n != 1 {
		t.Fatal("the entry isn't there: the test shows nothing")
	}
	if now := w.want(wire.LookupSuspended, "with old data").Ticket; now.Epoch == before.Epoch {
		t.Error("it went on with its epoch")
	}
	w.pass(quarantine + 20)
	w.want(wire.LookupMiss, "after the quarantine")
}
