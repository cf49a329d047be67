package redisbridge

import (
	"context"
	"sync"
	"time"

	"chatcache/redisbridge/wire"
)

const (
	// maxHeld bounds the lookups of one policy that wait at this bridge for
	// somebody else's fetch; what is beyond isn't held.
	maxHeld = 10_000
	// relookEvery bounds how often a held lookup looks again because something was
	// suspended or raised in its policy, whatever it was.
	relookEvery = 50 * time.Millisecond
)

// held are the lookups of a policy that wait for somebody else's fetch. Each waits
// on its key's signal:
//
//  1. it takes the signal, and then looks;
//  2. somebody else fetches: it waits on the signal, until the lease's end at most;
//  3. the entry is stored or its lease released, here or, by Pub/Sub, elsewhere, or
//     a write makes the lease void: the signal is given, it looks again.
//
// Whatever happens between 1 and 2 gives the signal that it holds, so nothing is missed. A
// signal is only a hint: what a held lookup answers is what it has read, with every check.
type held struct {
	mu    sync.Mutex
	keys  map[string]*heldKey
	count int
}

// heldKey is one entry that lookups wait for.
type heldKey struct {
	signal  *signal
	waiting int
	rounds  rounds
}

// signal is given once.
type signal struct {
	ch     chan struct{}
	filled bool // by a store or a release; read after ch is closed
}

func newSignal() *signal { return &signal{ch: make(chan struct{})} }

// enter makes room for a lookup of the key, which must leave; nil beyond the bound.
func (h *held) enter(key string) *heldKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count >= maxHeld {
		return nil
	}
	k := h.keys[key]
	if k == nil {
		k = &heldKey{signal: newSignal()}
		if h.keys == nil {
			h.keys = make(map[string]*heldKey)
		}
		h.keys[key] = k
	}
	h.count++
	k.waiting++
	return k
}

func (h *held) leave(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count--
	if k := h.keys[key]; k.waiting > 1 {
		k.waiting--
	} else {
		delete(h.keys, key)
	}
}

func (h *held) signalOf(k *heldKey) *signal {
	h.mu.Lock()
	defer h.mu.Unlock()
	return k.signal
}

// waiting is how many lookups wait.
func (h *held) waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// filled wakes the lookups that wait for a key.
func (h *held) filled(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.keys[key]; k != nil {
		k.give(true)
	}
}

// all wakes every lookup.
func (h *held) all(filled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, k := range h.keys {
		k.give(filled)
	}
}

func (k *heldKey) give(filled bool) {
	k.signal.filled = filled
	close(k.signal.ch)
	k.signal = newSignal()
}

// hold looks up until the answer isn't that somebody else fetches, or the wait ends.
func (b *Bridge) hold(ctx context.Context, p *policyState, m wire.LookupRequest) (wire.LookupAnswer, error) {
	k := p.held.enter(m.Key)
	if k == nil {
		f, err := b.lookup(ctx, p, m, m.Fetch)
		return f.answer, err
	}
	defer p.held.leave(m.Key)
	end := b.clock.Now().Add(time.Duration(m.Wait) * time.Millisecond)
	for {
		s := p.held.signalOf(k)
		f, err := k.rounds.lookup(ctx, b, p, m)
		looked := b.clock.Now()
		rest := end.Sub(looked)
		if err != nil || f.answer.State != wire.LookupLeased || rest <= 0 || b.draining.Load() {
			return f.answer, err
		}
		// A lease ends a moment after its last millisecond.
		b.clock.Wait(ctx, s.ch, min(rest, f.left+time.Millisecond))
		if s.onlyMoved() {
			b.clock.Wait(ctx, nil, min(rest, relookEvery)-b.clock.Now().Sub(looked))
		}
		if err := ctx.Err(); err != nil {
			return wire.LookupAnswer{}, err
		}
	}
}

// onlyMoved tells whether the signal was given by something that needn't concern its key.
func (s *signal) onlyMoved() bool { return isClosed(s.ch) && !s.filled }
