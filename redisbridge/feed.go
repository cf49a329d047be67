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

// drainHold is how long polls are held while the bridge drains: VMs that still
// come are kept alive, and can't spin.
const drainHold = 100 * time.Millisecond

// gather is how long a poll that has something to tell waits for more of it: a burst
// of writes costs each VM one answer.
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
	held := poll{Bridge: b, policy: p, request: m, left: time.Duration(m.Hold) * time.Millisecond}
	held.wake = p.wake.channel() // before the read, see wake
	answer, err := held.read(ctx)
	switch {
	case err != nil || m.Hold == 0 || !answer.Continues(m.Cursor):
		return answer, err
	case len(answer.Events) > 0:
		b.clock.Wait(ctx, nil, gather)
		return held.read(ctx)
	}
	return held.hold(ctx)
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

// poll is one poll and what is left of its hold.
type poll struct {
	*Bridge
	policy  *policyState
	request wire.FollowRequest
	wake    <-chan struct{}
	left    time.Duration // of its hold
	next    time.Duration // until a deadline passes or a raise is due
}

// hold waits and reads until there is something to tell:
//
//  1. the last read said that a deadline passes in next
//  2. a wake: an event, or a deadline was moved forward; it gathers, and reads
//  3. or next has passed: its read turns the deadline into an event, which
//     wakes the other polls, those of other bridges too
//  4. nothing to tell: it waits on, for what is left of its hold
func (p *poll) hold(ctx context.Context) (wire.FollowAnswer, error) {
	p.policy.counters.held.Add(1)
	defer p.policy.counters.held.Add(-1)
	for {
		over := p.await(ctx)
		if isClosed(p.wake) {
			if answer, ok := p.readTogether(ctx); ok {
				return answer, nil
			}
		}
		p.wake = p.policy.wake.channel()
		answer, err := p.read(ctx)
		if err != nil || over || p.tells(answer) {
			return answer, err
		}
	}
}

// tells tells whether the poll has its answer.
func (p *poll) tells(answer wire.FollowAnswer) bool {
	return len(answer.Events) > 0 || !answer.Continues(p.request.Cursor)
}

// await waits for a reason to read, and tells whether what is read then is the answer
// whatever it says.
func (p *poll) await(ctx context.Context) (over bool) {
	if p.draining.Load() {
		p.clock.Wait(ctx, nil, min(p.left, drainHold))
		return true
	}
	began, wait := p.clock.Now(), min(p.left, p.next)
	p.clock.Wait(ctx, p.wake, wait)
	if !isClosed(p.wake) {
		over = wait == p.left
	} else if over = p.draining.Load(); !over {
		p.clock.Wait(ctx, nil, gather)
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

// read registers the VM, counts its report and reads what happened after its cursor. Where
// Redis has lost the controls it puts them back, and reads again.
func (p *poll) read(ctx context.Context) (wire.FollowAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	answer, controls, err := p.readOnce(ctx)
	if err != nil {
		return wire.FollowAnswer{}, err
	}
	if known, lost := p.policy.remembered.lost(controls); lost {
		if err := p.putBack(ctx, p.policy, known); err != nil {
			return wire.FollowAnswer{}, err
		}
		answer, _, err = p.readOnce(ctx)
	}
	return answer, err
}

func (p *poll) readOnce(ctx context.Context) (wire.FollowAnswer, Controls, error) {
	m := p.request
	args := []any{
		m.VM, m.Lease, strconv.FormatUint(m.Cursor.Epoch, 16), strconv.FormatUint(m.Cursor.Sequence, 10),
		wire.MaxEvents, maxVMs, rememberVM.Milliseconds(),
	}
	args = append(append(args, knowsArgs(m.Knows)...), reportArgs(m.Report)...)
	t, rest, err := p.run(ctx, p.policy, p.scripts.feed, validityKeys(p.policy, p.policy.feedKeys()...), args...)
	if err == nil && len(rest) != 4 {
		err = fmt.Errorf("%w: %w: %d values of the feed, want 4", ErrRedis, errScript, len(rest))
	}
	if err != nil {
		return wire.FollowAnswer{}, Controls{}, err
	}
	p.request.Report = wire.Report{} // what is read next must not send it again
	events, _ := rest[0].([]any)
	p.next = parseNext(rest[1])
	controls := parseControls(rest[2], rest[3])
	answer := wire.FollowAnswer{FeedAnswer: wire.FeedAnswer{Last: t, Events: parseEvents(events)}, Controls: controls.wire}
	if !answer.Continues(m.Cursor) {
		answer.Events = nil // the VM forgets everything: no need to say what
	}
	return answer, controls, nil
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
func parseEvents(list []any) []wire.Event {
	var events []wire.Event
	size := 0
	for _, item := range list {
		e, ok := parseEvent(item)
		if !ok {
			continue
		}
		for _, g := range e.Groups {
			size += len(g) + 2
		}
		if size > wire.MaxFrame/2 {
			return nil
		}
		events = append(events, e)
	}
	return events
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
