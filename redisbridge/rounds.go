package redisbridge

import (
	"context"
	"slices"
	"sync"
	"time"

	"chatcache/redisbridge/wire"
)

// rounds join lookups of one entry that nothing was read for yet, so that a thousand
// waiters cost one read:
//
//  1. a lookup finds no round under way and begins one: it reads Redis;
//  2. lookups that come meanwhile must not use what it reads, which may be older than
//     they are: they gather for the next round;
//  3. the first round ends; one of those who gathered reads for all of them.
//
// One of a round's lookups at most is granted the fetch lease; the others are told
// that somebody fetches.
type rounds struct {
	mu        sync.Mutex
	running   bool
	gathering *round
}

// round is one read of Redis for several lookups.
type round struct {
	groups  []string      // all of them ask for the same
	fetches []string      // the ids of all of them
	begin   chan struct{} // closed when the round before it has ended
	done    chan struct{} // closed when the fields below are set
	finding finding
	err     error
}

// lookup looks up in the next round.
func (r *rounds) lookup(ctx context.Context, b *Bridge, p *policyState, m wire.LookupRequest) (finding, error) {
	this, first := r.join(m)
	switch {
	case this == nil: // other groups than those who gather ask for
		return b.lookup(ctx, p, m, m.Fetch)
	case first:
		<-this.begin
		r.run(ctx, this, b, p, m)
	}
	select {
	case <-this.done:
		return this.findingFor(m), this.err
	case <-ctx.Done():
		return finding{}, ctx.Err()
	}
}

// join gives the round that the lookup is part of; the first of a round runs it.
func (r *rounds) join(m wire.LookupRequest) (this *round, first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if this = r.gathering; this != nil {
		if !slices.Equal(this.groups, m.Groups) {
			return nil, false
		}
		this.fetches = append(this.fetches, m.Fetch)
		return this, false
	}
	this = &round{groups: m.Groups, fetches: []string{m.Fetch}, begin: make(chan struct{}), done: make(chan struct{})}
	if r.running {
		r.gathering = this
	} else {
		r.running = true
		close(this.begin)
	}
	return this, true
}

// next lets the round that gathered begin: nobody joins it any more.
func (r *rounds) next() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gathering == nil {
		r.running = false
		return
	}
	close(r.gathering.begin)
	r.gathering = nil
}

// run looks up for all of a round, also where the first of them has gone. A defect that it meets is an error of all: the
// others must not take what nobody has read for an answer.
func (r *rounds) run(ctx context.Context, this *round, b *Bridge, p *policyState, m wire.LookupRequest) {
	defer r.next()
	defer close(this.done)
	this.err = b.guarded(func() (err error) {
		this.finding, err = b.lookup(context.WithoutCancel(ctx), p, m, this.fetches...)
		return err
	})
}

// findingFor is what the round has found for one of its lookups.
func (t *round) findingFor(m wire.LookupRequest) finding {
	f := t.finding
	if f.answer.Granted && f.granted != m.Fetch {
		f.answer.Granted, f.answer.State = false, wire.LookupLeased
		f.left = time.Duration(m.Lease) * time.Millisecond
	}
	return f
}
