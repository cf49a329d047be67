package redisbridge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"chatcache/redisbridge/wire"
)

// maxTogether bounds the polls that are read together: for so long no lookup gets its turn at
// Redis, and a script that takes longer than a call may take would fail for all of them.
const maxTogether = 64

// feedPatience is how much longer than a lookup a read of the feed may take: nobody's request waits
// for it, and after a raise two thousand VMs poll at once. A filter waits for a poll's answer
// half a second longer than it asked to be held.
const feedPatience = 5

// pollReads let polls of a policy that come at the same time read the feed together:
//
//  1. a poll finds no read under way and begins one
//  2. polls that come meanwhile must not use what it reads, which may be older than they
//     are: they gather for the next
//  3. the first has ended: the next one is begun for all of those that gathered, and
//     registers every VM of them
//
// So a read begins after each of its polls has arrived, and a thousand VMs that all have
// applied the same answer don't ask Redis a thousand times.
type pollReads struct {
	mu      sync.Mutex
	running bool
	waiting []*pollRead
}

// pollRead is what one poll wants to read.
type pollRead struct {
	ctx     context.Context // done: nobody listens, and the VM must not be registered anew
	request wire.FollowRequest
	done    chan struct{}

	answer wire.FollowAnswer // these after done is closed
	next   time.Duration     // until a deadline passes or a raise is due
	err    error
}

// add reads for a poll as soon as it is its turn.
func (f *pollReads) add(b *Bridge, p *policyState, r *pollRead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = append(f.waiting, r)
	if !f.running {
		f.running = true
		go f.run(b, p)
	}
}

// run reads until nobody waits.
func (f *pollReads) run(b *Bridge, p *policyState) {
	for polls := f.take(); len(polls) > 0; polls = f.take() {
		err := b.guarded(func() error { return b.readFeed(p, polls) })
		for _, r := range polls {
			if err != nil {
				r.err = err
			}
			close(r.done)
		}
	}
}

// take gives the polls whose turn it is; none ends the run.
func (f *pollReads) take() (polls []*pollRead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if polls, f.waiting = cutListening(f.waiting, maxTogether); len(polls) == 0 {
		f.running = false
	}
	return polls
}

func (r *pollRead) context() context.Context { return r.ctx }

// cutListening cuts as many off a queue as may be read together, without those that nobody listens for any more. What is cut off
// stays in memory no longer than its reader wants.
func cutListening[T interface{ context() context.Context }](waiting []T, most int) (list, rest []T) {
	taken := 0
	for ; taken < len(waiting) && len(list) < most; taken++ {
		if r := waiting[taken]; r.context().Err() == nil {
			list = append(list, r)
		}
	}
	return list, slices.Delete(waiting, 0, taken)
}

// readFeed reads for polls. Where Redis has lost the controls it puts them back, and reads again.
func (b *Bridge) readFeed(p *policyState, polls []*pollRead) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(polls[0].ctx), feedPatience*b.timeout)
	defer cancel()
	controls, err := b.readFeedOnce(ctx, p, polls)
	if err == nil {
		if known, lost := p.remembered.lost(controls); lost {
			if err = b.putBack(ctx, p, known); err == nil {
				controls, err = b.readFeedOnce(ctx, p, polls)
			}
			if err == nil {
				p.remembered.lost(controls) // newer ones, if somebody has set some meanwhile
			}
		}
	}
	return err
}

func (b *Bridge) readFeedOnce(ctx context.Context, p *policyState, polls []*pollRead) (Controls, error) {
	args := []any{wire.MaxEvents, maxVMs, rememberVM.Milliseconds(), maxVersions, maxCounts}
	for _, r := range polls {
		args = append(args, pollArgs(r.request)...)
	}
	t, rest, err := b.run(ctx, p, b.scripts.feed, validityKeys(p, p.feedKeys()...), args...)
	if err == nil && len(rest) != 5 {
		err = fmt.Errorf("%w: %w: %d values of the feed, want 5", ErrRedis, errScript, len(rest))
	}
	if err != nil {
		return Controls{}, err
	}
	events, next, controls := parseEvents(rest[0]), parseNext(rest[1]), parseControls(rest[2], rest[3])
	refused, _ := rest[4].([]any)
	if len(refused) != len(polls) {
		return Controls{}, fmt.Errorf("%w: %w: the feed answers %d polls, want %d", ErrRedis, errScript, len(refused), len(polls))
	}
	for i, r := range polls {
		r.next, r.err = next, nil
		if reason, _ := refused[i].(string); reason != "" {
			r.err = fmt.Errorf("%w %s", ErrTooMany, reason)
		}
		r.answer = wire.FollowAnswer{FeedAnswer: answerTo(r.request.Cursor, t, events), Controls: controls.wire}
	}
	return controls, nil
}

// answerTo tells what happened after a cursor: without events if they don't continue it, since
// the VM forgets everything then.
func answerTo(cursor, last wire.Ticket, events []wire.Event) wire.FeedAnswer {
	answer := wire.FeedAnswer{Last: last, Events: after(events, cursor.Sequence)}
	if !answer.Continues(cursor) {
		answer.Events = nil
	}
	return answer
}

// pollArgs are the script feed's arguments of one poll.
func pollArgs(m wire.FollowRequest) []any {
	counts := reportArgs(m.Report)
	args := []any{
		m.VM, m.Lease, strconv.FormatUint(m.Cursor.Epoch, 16), strconv.FormatUint(m.Cursor.Sequence, 10),
		m.Knows.Version, joinRules(m.Knows.Rules), strconv.FormatUint(m.Report.Number, 10), len(counts) / 2,
	}
	return append(args, counts...)
}
