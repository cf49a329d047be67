package redisbridge

import (
	"context"
	"sync"

	"chatcache/redisbridge/wire"
)

// feedRead is one read of the feed for all polls of a policy that one wake has woken:
//
//  1. polls wait to be woken, registered when they arrived, for longer than the
//     lease that this answer will give them
//  2. they are: the first to have gathered reads for all of the same cursor
//  3. the others take what it has read: that read began after each of them had arrived,
//     and after the wake
//
// What tells nothing isn't taken: an event may have come between the read and the
// moment from which the other waits to be woken again.
type feedRead struct {
	mu   sync.Mutex
	last *sharedRead
}

type sharedRead struct {
	wake   *waking
	cursor wire.Ticket
	done   chan struct{}

	answer wire.FollowAnswer // these two after done is closed
	err    error
}

// of gives the read for a wake and a cursor, and whether it is the caller's to do.
func (f *feedRead) of(wake *waking, cursor wire.Ticket) (read *sharedRead, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil || f.last.wake != wake || f.last.cursor != cursor {
		f.last = &sharedRead{wake: wake, cursor: cursor, done: make(chan struct{})}
		return f.last, true
	}
	return f.last, false
}

// readTogether answers a poll that was woken, if there is something to tell.
func (p *poll) readTogether(ctx context.Context) (ok bool) {
	if ctx.Err() != nil {
		return false // nobody listens: this VM must not be registered anew
	}
	read, first := p.policy.feedRead.of(p.wake, p.request.Cursor)
	if first {
		// For the others, too: not ended by this one's client.
		read.err = p.read(context.WithoutCancel(ctx))
		read.answer = p.answer
		close(read.done)
	} else if !isClosed(read.done) {
		p.clock.Wait(ctx, read.done, p.timeout)
	}
	if !isClosed(read.done) || read.err != nil {
		return false
	}
	p.answer = read.answer
	return p.tells()
}
