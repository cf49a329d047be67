package failover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// validityKey is one of the keys that decide validity; all of them share its slot.
var validityKey = "{chatcache:" + scope.Policy + "}:state"

// placeOf gives the slot of a key and the node that serves it.
func (w *world) placeOf(c *stack.RedisCluster, key string, ask int) (slot, node int) {
	w.t.Helper()
	slot, err := c.Slot(w.ctx, ask, key)
	w.check(err)
	node, err = c.Owner(w.ctx, ask, slot)
	w.check(err)
	return slot, node
}

// entriesOn lists the documents whose entries a node has.
func (w *world) entriesOn(c *stack.RedisCluster, node, ask int) (list []int) {
	for doc := range documents {
		if _, n := w.placeOf(c, key(doc), ask); n == node {
			list = append(list, doc)
		}
	}
	return list
}

// recovers waits until there are hits again, and for a second no failures but a few: on a busy machine
// there is always a lookup that takes too long.
func (w *world) recovers(since time.Time) {
	w.t.Helper()
	w.eventually("hits, and hardly a failure for a second", func() bool {
		recent := time.Now().Add(-time.Second)
		hits := w.log.count(hit, recent)
		return recent.After(since) && hits > 20 && w.log.count(lookupError, recent) <= hits/20
	})
}

// epochsSince lists the epochs of answers that began after a moment.
func (w *world) epochsSince(since time.Time) map[uint64]int {
	epochs := make(map[uint64]int)
	for _, s := range w.log.all() {
		if s.err == nil && s.began.After(since) {
			epochs[s.epoch]++
		}
	}
	return epochs
}

// oneMore wants one epoch after a moment that wasn't there before. The one before may have answered until
// then, or not.
func (w *world) oneMore(before map[uint64]int, since time.Time) {
	w.t.Helper()
	epochs := w.epochsSince(since)
	for epoch := range before {
		delete(epochs, epoch)
	}
	if len(epochs) != 1 {
		w.t.Errorf("new epochs %v, want one", epochs)
	}
}

// Slots move to another node under load, key by key: first those of entries, which
// costs hits, then the one that decides validity, which begins a new epoch.
func TestSlotsMove(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 1)
	w := newWorld(t)
	a, b := w.bridge(c.Env(), nil), w.bridge(c.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })
	validitySlot, validityNode := w.placeOf(c, validityKey, 0)

	began := time.Now()
	moved := 0
	for doc := range documents {
		slot, node := w.placeOf(c, key(doc), 0)
		if slot == validitySlot || doc%2 == 0 {
			continue
		}
		w.move(c, slot, node, (node+1)%3)
		moved++
	}
	w.recovers(began)
	w.log.degraded(t, a, began)
	if epochs := w.epochsSince(began); len(epochs) != 1 {
		t.Errorf("epochs %v while %d slots of entries moved, want one", epochs, moved)
	}

	before := w.epochsSince(began)
	began = time.Now()
	w.move(c, validitySlot, validityNode, (validityNode+1)%3)
	w.recovers(began)
	w.log.degraded(t, a, began)
	w.oneMore(before, began)
	w.end()
	w.never(t, 0)
}

// move migrates a slot with looks of the clients at every state between.
func (w *world) move(c *stack.RedisCluster, slot, from, to int) {
	w.t.Helper()
	between := func() { time.Sleep(20 * time.Millisecond) }
	m, err := c.Migrate(w.ctx, slot, from, to)
	w.check(err)
	between()
	keys, err := m.Keys(w.ctx)
	w.check(err)
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, key := range keys {
		w.check(m.Key(w.ctx, key))
		between()
	}
	w.check(m.Finish(w.ctx))
}

// Valkey 9 moves a slot in one step.
func TestSlotMovesAtOnce(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 1)
	w := newWorld(t)
	slot, from := w.placeOf(c, validityKey, 0)
	to := (from + 1) % 3
	move := func(slot, from, to int) error {
		return c.Nodes[from].Client.Do(w.ctx, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", c.IDs[to]).Err()
	}
	if err := move(slot, to, to); err != nil && strings.Contains(strings.ToLower(err.Error()), "unknown subcommand") {
		stack.Require(t, errors.New("this server has no CLUSTER MIGRATESLOTS: it takes Valkey 9"))
	}
	a, b := w.bridge(c.Env(), nil), w.bridge(c.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })

	before := w.epochsSince(w.began)
	began := time.Now()
	w.check(move(slot, from, to))
	w.eventually("the slot has moved", func() bool { _, n := w.placeOf(c, validityKey, to); return n == to })
	w.recovers(time.Now())
	w.end()
	w.log.degraded(t, a, began)
	w.oneMore(before, began)
	w.never(t, 0)
}

// Nodes of a cluster are killed under load: one with entries only, whose entries are
// lost or not, and then the one that decides validity.
func TestNodesAreKilled(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 2)
	w := newWorld(t)
	a, b := w.bridge(c.Env(), nil), w.bridge(c.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })
	_, validity := w.placeOf(c, validityKey, 0)
	entries := (validity + 1) % 3
	if len(w.entriesOn(c, entries, 0)) == 0 {
		t.Fatalf("node %d has no entry: the test needs other documents", entries)
	}

	killed := time.Now()
	w.check(c.Nodes[entries].Kill())
	w.replaced(c, key(w.entriesOn(c, entries, validity)[0]), entries, validity)
	w.recovers(killed)
	w.log.degraded(t, a, killed)
	if epochs := w.epochsSince(killed); len(epochs) != 1 {
		t.Errorf("epochs %v although what decides validity went on, want one", epochs)
	}

	killed = time.Now()
	w.check(c.Nodes[validity].Kill())
	w.replaced(c, validityKey, validity, (validity+2)%3)
	w.recovers(killed)
	w.log.degraded(t, a, killed)
	if epochs := w.epochsSince(killed.Add(time.Second)); len(epochs) != 1 {
		t.Errorf("epochs %v, want a new one alone", epochs)
	}
	w.end()
	w.never(t, 0)
}

// replaced waits until another node serves the key, as node ask sees it.
func (w *world) replaced(c *stack.RedisCluster, key string, by, ask int) {
	w.t.Helper()
	w.eventually("another node serves "+key, func() bool {
		_, n := w.placeOf(c, key, ask)
		return n >= 0 && n != by
	})
}

// The node that decides validity hangs, is replaced, and comes back: it doesn't know
// that for a moment, and a bridge that asks it takes nothing it says.
func TestNodeComesBack(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 2)
	w := newWorld(t)
	a, b := w.bridge(c.Env(), nil), w.bridge(c.Env(), nil)
	w.load(a, b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })
	_, validity := w.placeOf(c, validityKey, 0)

	paused := time.Now()
	w.check(c.Nodes[validity].Pause())
	w.replaced(c, validityKey, validity, (validity+1)%3)
	w.eventually("hits", func() bool { return w.log.count(hit, paused.Add(3*time.Second)) > 100 })
	w.check(c.Nodes[validity].Resume())
	w.recovers(time.Now())
	w.end()
	w.log.degraded(t, a, paused)
	w.never(t, 0)
}

// What one bridge raises wakes another's held poll, whichever node each is
// subscribed at; and scripts that every node has forgotten are sent again.
func TestClusterSubscriptionsAndScripts(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 1)
	w := newWorld(t)
	var bridges []*redisbridge.Bridge
	for range 4 {
		bridges = append(bridges, w.bridge(c.Env(), patient))
	}
	w.eventually("every bridge has subscribed", func() bool {
		for _, b := range bridges {
			if !b.Status(w.ctx).Redis.Subscribed {
				return false
			}
		}
		return true
	})
	w.read(bridges[0], 0)
	for _, n := range c.Nodes {
		w.check(n.Client.ScriptFlush(w.ctx).Err())
	}
	w.read(bridges[0], 0)
	if got := w.log.tail(1)[0]; got.what != hit {
		t.Errorf("after SCRIPT FLUSH: %v, want a hit", got)
	}
	for i, raiser := range bridges {
		follower := bridges[(i+1)%len(bridges)]
		now, err := follower.Feed(w.ctx, wire.FeedRequest{Scope: scope, VM: "vm", Lease: 30_000})
		w.check(err)
		woken := make(chan time.Duration)
		go func() {
			began := time.Now()
			a, err := follower.Feed(w.ctx, wire.FeedRequest{Scope: scope, VM: "vm", Lease: 30_000, Cursor: now.Last, Hold: 20_000})
			if err != nil || len(a.Events) == 0 || !a.Continues(now.Last) {
				t.Errorf("held poll: %v, %v", a, err)
			}
			woken <- time.Since(began)
		}()
		w.eventually("the poll is held", func() bool { return follower.Status(w.ctx).Policies[0].HeldPolls == 1 })
		_, err = raiser.CloseSuspension(w.ctx, wire.CloseRequest{Scope: scope, ID: fmt.Sprint("r", i), Groups: groups(0), Raise: true})
		w.check(err)
		if took := <-woken; took > 10*time.Second {
			t.Errorf("the poll at bridge %d was woken after %v", (i+1)%len(bridges), took)
		}
	}
}

// A node that has entries only, and no replica any more, keeps no bridge from being ready.
func TestReadyWithoutReplicasOfEntries(t *testing.T) {
	c := stack.RedisClusterT(t, 3, 1)
	w := newWorld(t)
	b := w.bridge(c.Env(), patient)
	w.read(b, 0)
	_, validity := w.placeOf(c, validityKey, 0)
	w.check(c.Nodes[3+(validity+1)%3].Kill())
	left := c.Nodes[(validity+1)%3].Client
	w.eventually("the node has no replica", func() bool {
		return strings.Contains(left.Info(w.ctx, "replication").Val(), "connected_slaves:0\r\n")
	})
	if s := b.Status(w.ctx).Redis; !s.OK || s.Problem != "" {
		t.Errorf("%+v", s)
	}
	w.check(c.Nodes[3+validity].Kill())
	w.eventually("the bridge says that nothing confirms its primary", func() bool {
		return strings.HasPrefix(b.Status(w.ctx).Redis.Problem, "not ready: 0 replicas")
	})
}
