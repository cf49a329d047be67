package redisbridge

import (
	"context"
	"sync"

	"chatcache/redisbridge/wire"
)

// maxReads bounds the reads of one policy's lookups that are under way: what comes beyond gathers. One lookup after the other
// finds room, and no lookup waits for more than one read before its own.
const maxReads = 4

// lookupReads let lookups of a policy read together that come while enough are at it: what a script does before it
// looks at any group or entry costs Redis, and the bridge, several times what one lookup more does.
//
//  1. a lookup finds room, and reads by itself
//  2. lookups that find none must not use what is being read, which may be older than they
//     are: they gather
//  3. a read has ended: the next one is begun, for as many of those as one call may have
//
// So a read begins after each of its lookups has arrived.
type lookupReads struct {
	mu      sync.Mutex
	running int
	waiting []*reading
}

// read reads for a lookup as soon as it is its turn. After an error r may still be written to.
func (l *lookupReads) read(ctx context.Context, b *Bridge, p *policyState, r *reading) error {
	l.mu.Lock()
	if l.running < maxReads {
		l.running++
		l.mu.Unlock()
		b.readAll(ctx, p, r)
		l.next(b, p)
		return r.err
	}
	r.ctx, r.done = ctx, make(chan struct{})
	l.waiting = append(l.waiting, r)
	l.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return redisError(ctx.Err())
	}
}

// next ends a read.
func (l *lookupReads) next(b *Bridge, p *policyState) {
	if list := l.take(); len(list) > 0 {
		go l.run(b, p, list)
	}
}

// run reads until nobody waits.
func (l *lookupReads) run(b *Bridge, p *policyState, list []*reading) {
	for ; len(list) > 0; list = l.take() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(list[0].ctx), b.timeout)
		b.readAll(ctx, p, list...)
		cancel()
		for _, r := range list {
			close(r.done)
		}
	}
}

// take gives the readings whose turn it is; none makes room.
func (l *lookupReads) take() (list []*reading) {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := 0
	for ; taken < len(l.waiting) && len(list) < wire.MaxLookups; taken++ {
		if r := l.waiting[taken]; r.ctx.Err() == nil {
			list = append(list, r)
		}
	}
	if l.waiting = l.waiting[taken:]; len(list) == 0 {
		l.running--
		l.waiting = nil
	}
	return list
}
