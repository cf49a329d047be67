package redisbridge

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

const (
	// maxReads bounds the reads of one policy's lookups that are under way: what comes beyond gathers. One lookup after the other
	// finds room.
	maxReads = 4
	// shareOfWait is the part of a lookup's time that it waits for its turn. Then others are slow, be it Redis or what they
	// ask for, and it reads by itself.
	shareOfWait = 4
)

// lookupReads let lookups of a policy read together that come while enough are at it: what a script does before it
// looks at any group or entry costs Redis, and the bridge, several times what one lookup more does.
//
//  1. a lookup finds room, and reads by itself
//  2. lookups that find none must not use what is being read, which may be older than they
//     are: they gather
//  3. a read has ended: the next one is begun, for as many of those as one call may have
//
// So a read begins after each of its lookups has arrived. On a cluster none gather: a node that hangs would hold up what
// asks others.
type lookupReads struct {
	mu      sync.Mutex
	running int
	waiting []*reading
}

// read reads for a lookup as soon as it is its turn. After an error r may still be written to.
func (l *lookupReads) read(ctx context.Context, b *Bridge, p *policyState, r *reading) error {
	if _, cluster := b.redis.(*redis.ClusterClient); cluster {
		return b.readAlone(ctx, p, r)
	}
	l.mu.Lock()
	if l.running < maxReads {
		l.running++
		l.mu.Unlock()
		defer l.next(b, p)
		return b.readAlone(ctx, p, r)
	}
	r.ctx, r.done = ctx, make(chan struct{})
	l.waiting = append(l.waiting, r)
	l.mu.Unlock()
	b.clock.Wait(ctx, r.done, b.timeout/shareOfWait)
	if l.leave(r) && ctx.Err() == nil {
		return b.readAlone(ctx, p, r)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return redisError(ctx.Err())
	}
	if r.again {
		return b.readAlone(ctx, p, r)
	}
	return r.err
}

func (b *Bridge) readAlone(ctx context.Context, p *policyState, r *reading) error {
	b.readAll(ctx, p, r)
	return r.err
}

// leave takes a reading out of those that wait, and tells whether it was among them.
func (l *lookupReads) leave(r *reading) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.Index(l.waiting, r)
	if at >= 0 {
		l.waiting = slices.Delete(l.waiting, at, at+1)
	}
	return at >= 0
}

// next ends a read.
func (l *lookupReads) next(b *Bridge, p *policyState) {
	if list := l.take(); len(list) > 0 {
		go l.run(b, p, list)
	}
}

// run reads until nobody waits, each time for as long as one of those listens that it is for.
func (l *lookupReads) run(b *Bridge, p *policyState, list []*reading) {
	for ; len(list) > 0; list = l.take() {
		var latest time.Time
		for _, r := range list {
			if end, ok := r.ctx.Deadline(); ok && end.After(latest) {
				latest = end
			}
		}
		ctx, cancel := context.WithDeadline(context.WithoutCancel(list[0].ctx), latest)
		err := b.guarded(func() error { b.readAll(ctx, p, list...); return nil })
		cancel()
		for _, r := range list {
			if err != nil {
				r.err, r.again = err, false
			}
			close(r.done)
		}
	}
}

// take gives the readings whose turn it is; none makes room.
func (l *lookupReads) take() (list []*reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if list, l.waiting = cutListening(l.waiting, wire.MaxLookups); len(list) == 0 {
		l.running--
	}
	return list
}

func (r *reading) context() context.Context { return r.ctx }
