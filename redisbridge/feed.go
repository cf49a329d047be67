package redisbridge

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// drainHold is how long polls, and waits for receipts, are held while the bridge drains: VMs that still
// come are kept alive, and nobody can spin.
const drainHold = 100 * time.Millisecond

// gather is how long polls that have something to tell wait for more of it, unless it is the
// first after so long: a single write is told at once, and a burst of writes costs each VM
// one answer more than one.
const gather = 3 * time.Millisecond

// never is longer than any hold.
const never = time.Duration(math.MaxInt64)

// Feed answers one poll of somebody who only listens, as Follow does.
func (b *Bridge) Feed(ctx context.Context, m wire.FeedRequest) (wire.FeedAnswer, error) {
	a, err := b.Follow(ctx, wire.FollowRequest{FeedRequest: m})
	return a.FeedAnswer, err
}

// Follow answers one poll: at once if the cursor can't be continued, otherwise
// when something has happened after it, the hold ends, or the bridge drains. The
// answer is what a read of the primary said that began after the poll arrived, and
// after every wait. The first read counts the poll's report, too. The error matches
// ErrRequest, ErrTooMany or ErrRedis.
func (b *Bridge) Follow(ctx context.Context, m wire.FollowRequest) (wire.FollowAnswer, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.FollowAnswer{}, err
	}
	if err := checkPoll(m); err != nil {
		return wire.FollowAnswer{}, err
	}
	held := newPoll(b, p, m)
	if err := held.follow(ctx); err != nil {
		return wire.FollowAnswer{}, err
	}
	return held.answer, nil
}

func checkPoll(m wire.FollowRequest) error {
	if m.VM == "" || m.Lease < 1 {
		return fmt.Errorf("%w: poll of VM %q with a lease of %d ms, want a name and at least 1", ErrRequest, m.VM, m.Lease)
	}
	if err := checkPlain("VM", m.VM); err != nil {
		return err
	}
	if err := checkKnows(m.Knows); err != nil {
		return err
	}
	return checkReport(m.Report)
}

// poll is one poll, what is left of its hold, and its answer.
type poll struct {
	*Bridge
	policy  *policyState
	request wire.FollowRequest
	answer  wire.FollowAnswer // of the last read
	wake    *waking
	left    time.Duration // of its hold
	next    time.Duration // until a deadline passes or a raise is due
}

// newPoll makes it on the heap: what ten thousand polls have on their stacks while they are held counts twice as
// much, for stacks grow by doubling.
//
//go:noinline
func newPoll(b *Bridge, p *policyState, m wire.FollowRequest) *poll {
	return &poll{Bridge: b, policy: p, request: m, left: time.Duration(m.Hold) * time.Millisecond}
}

// follow finds the poll's answer.
func (p *poll) follow(ctx context.Context) error {
	p.wake = p.policy.wake.await() // before the read, see wake
	err := p.read(ctx)
	switch {
	case err != nil || p.request.Hold == 0 || !p.answer.Continues(p.request.Cursor):
		return err
	case len(p.answer.Events) == 0:
		return p.hold(ctx)
	}
	if more := p.policy.wake.gather(); more > 0 {
		p.clock.Wait(ctx, nil, more)
		return p.read(ctx)
	}
	return nil
}

// hold waits and reads until there is something to tell:
//
//  1. the last read said that a deadline passes in next
//  2. a wake: an event, or a deadline was moved forward; it gathers, and reads
//  3. or next has passed: its read turns the deadline into an event, which
//     wakes the other polls, those of other bridges too
//  4. nothing to tell: it waits on, for what is left of its hold
func (p *poll) hold(ctx context.Context) error {
	p.policy.counters.held.Add(1)
	defer p.policy.counters.held.Add(-1)
	for {
		over := p.await(ctx)
		if isClosed(p.wake.ch) {
			if p.readTogether(ctx) {
				return nil
			}
		}
		p.wake = p.policy.wake.await()
		if err := p.read(ctx); err != nil || over || p.tells() {
			return err
		}
	}
}

// tells tells whether the poll has its answer.
func (p *poll) tells() bool {
	return len(p.answer.Events) > 0 || !p.answer.Continues(p.request.Cursor)
}

// await waits for a reason to read, and tells whether what is read then is the answer
// whatever it says.
func (p *poll) await(ctx context.Context) (over bool) {
	if p.draining.Load() {
		p.clock.Wait(ctx, nil, min(p.left, drainHold))
		return true
	}
	began, wait := p.clock.Now(), min(p.left, p.next)
	p.clock.Wait(ctx, p.wake.ch, wait)
	if !isClosed(p.wake.ch) {
		over = wait == p.left
	} else if over = p.draining.Load(); !over && p.wake.gather > 0 {
		p.clock.Wait(ctx, nil, p.wake.gather)
	}
	p.left -= p.clock.Now().Sub(began)
	return over || p.left <= 0
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// read registers the VM, counts its report and reads what happened after its cursor, together
// with polls that come at the same time.
func (p *poll) read(ctx context.Context) error {
	r := &pollRead{ctx: ctx, request: p.request, done: make(chan struct{})}
	p.policy.reads.add(p.Bridge, p.policy, r)
	select {
	case <-r.done:
	case <-ctx.Done():
		return redisError(ctx.Err())
	}
	if r.err != nil {
		return r.err
	}
	p.request.Report = wire.Report{} // what is read next must not send it again
	p.answer, p.next = r.answer, r.next
	return nil
}

// parseNext reads in how many milliseconds something is due.
func parseNext(value any) time.Duration {
	ms, _ := value.(int64)
	if ms <= 0 {
		return never
	}
	return time.Duration(ms) * time.Millisecond
}

// parseEvents reads what XRANGE gave. What can't be read is left out, which
// leaves a gap in the numbers: the VM resets.
func parseEvents(value any) (events []wire.Event) {
	list, _ := value.([]any)
	for _, item := range list {
		if e, ok := parseEvent(item); ok {
			events = append(events, e)
		}
	}
	return events
}

// after gives the events after a number; none, which leaves a gap, if they don't fit a frame.
func after(events []wire.Event, sequence uint64) []wire.Event {
	first, size := len(events), 0
	for ; first > 0 && events[first-1].Sequence > sequence; first-- {
		for _, g := range events[first-1].Groups {
			size += len(g) + 2
		}
		if size > wire.MaxFrame/2 {
			return nil
		}
	}
	return events[first:]
}

func parseEvent(item any) (e wire.Event, ok bool) {
	pair, _ := item.([]any)
	if len(pair) != 2 {
		return e, false
	}
	id, _ := pair[0].(string)
	number, _ := strings.CutSuffix(id, "-0")
	fields, _ := pair[1].([]any)
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil || len(fields) < 4 || fields[0] != "k" || fields[2] != "g" {
		return e, false
	}
	e.Sequence = seq
	switch fields[1] {
	case "r":
		e.Kind = wire.EventRaise
	case "s":
		e.Kind = wire.EventSuspend
	case "c":
		e.Kind = wire.EventControls
		return e, true
	default:
		return e, false
	}
	list, _ := fields[3].(string)
	e.Groups, err = wire.SplitGroups(list)
	return e, err == nil
}
