package redisbridge

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// maxVMs bounds the registry of VMs of one policy.
const maxVMs = 50_000

// drainHold is how long polls are held while the bridge drains: VMs that still
// come are kept alive, and can't spin.
const drainHold = 100 * time.Millisecond

// Feed answers one poll: at once if anything happened after the cursor or the
// cursor can't be continued, otherwise when something happens, the hold ends, or
// the bridge drains. The answer is what a read of the primary said that began
// after the poll arrived, and after the wait. The error matches ErrRequest,
// ErrTooMany or ErrRedis.
func (b *Bridge) Feed(ctx context.Context, m wire.FeedRequest) (wire.FeedAnswer, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.FeedAnswer{}, err
	}
	if m.VM == "" || m.Lease < 1 {
		return wire.FeedAnswer{}, fmt.Errorf("%w: poll of VM %q with a lease of %d ms, want a name and at least 1", ErrRequest, m.VM, m.Lease)
	}
	if err := checkPlain("VM", m.VM); err != nil {
		return wire.FeedAnswer{}, err
	}
	wake := p.wake.channel() // before the read, see wake
	answer, err := b.readFeed(ctx, p, m)
	if err != nil || m.Hold == 0 || len(answer.Events) > 0 || !answer.Continues(m.Cursor) {
		return answer, err
	}
	hold := time.Duration(m.Hold) * time.Millisecond
	if b.draining.Load() {
		wake, hold = nil, min(hold, drainHold)
	}
	p.counters.held.Add(1)
	b.clock.Wait(ctx, wake, hold)
	p.counters.held.Add(-1)
	if err := ctx.Err(); err != nil {
		return wire.FeedAnswer{}, err
	}
	return b.readFeed(ctx, p, m)
}

func (b *Bridge) readFeed(ctx context.Context, p *policyState, m wire.FeedRequest) (wire.FeedAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	t, rest, err := b.run(ctx, p, b.scripts.feed, validityKeys(p, p.prefix+"vms"),
		m.VM, m.Lease, strconv.FormatUint(m.Cursor.Epoch, 16), strconv.FormatUint(m.Cursor.Sequence, 10), wire.MaxEvents, maxVMs)
	if err != nil {
		return wire.FeedAnswer{}, err
	}
	answer := wire.FeedAnswer{Last: t}
	if len(rest) > 0 {
		events, _ := rest[0].([]any)
		answer.Events = parseEvents(events)
	}
	if !answer.Continues(m.Cursor) {
		answer.Events = nil // the VM forgets everything: no need to say what
	}
	return answer, nil
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
	if err != nil || len(fields) != 4 || fields[0] != "k" || fields[2] != "g" {
		return e, false
	}
	switch fields[1] {
	case "r":
		e.Kind = wire.EventRaise
	case "s":
		e.Kind = wire.EventSuspend
	default:
		return e, false
	}
	list, _ := fields[3].(string)
	e.Sequence = seq
	e.Groups, err = wire.SplitGroups(list)
	return e, err == nil
}
