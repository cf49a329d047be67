package redisbridge

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"chatcache/redisbridge/wire"
)

const (
	// maxWait bounds one call that waits for receipts.
	maxWait = wire.MaxHold * time.Millisecond
	// receiptsPeriod is how often a wait looks where nothing wakes it.
	receiptsPeriod = 250 * time.Millisecond
	// pausePerVM makes a wait pause between two looks at a registry for as much longer as it is
	// larger: ten times what reading it takes, so that Redis has time for others.
	pausePerVM = 20 * time.Microsecond
)

// Receipts say which VMs have applied a raise: those that were registered when it was
// made, in the order of their times. One that registered later began beyond it.
type Receipts struct {
	// Complete: no VM can answer from its memory any more what the raise made invalid.
	Complete bool `json:"complete"`
	// NewEpoch: Redis has begun a new epoch since, and receipts of the old one are lost.
	// Every VM forgets everything when it hears of that, or when its lease runs out.
	NewEpoch bool `json:"newEpoch,omitempty"`
	// QuarantineMS is for how many ms more VMs may use their memory that aren't listed: the
	// epoch is new, and with the old one Redis may have forgotten who has a lease.
	QuarantineMS int64 `json:"quarantineMs,omitempty"`
	// Error is why receipts couldn't be read, though the raise was made.
	Error string `json:"error,omitempty"`

	Applied  []Receipt `json:"applied"`  // that have applied it
	LeaseOut []Receipt `json:"leaseOut"` // that haven't, and may not use their memory any more
	Pending  []Receipt `json:"pending"`  // neither
}

// Receipt is what is known of one VM.
type Receipt struct {
	VM string `json:"vm"`
	// MS are milliseconds after the raise, by Redis' clock: until the VM had applied it
	// at the latest, until its lease ran out, or until it will.
	MS int64 `json:"ms"`
}

// raiseMark names a raise.
type raiseMark struct {
	ticket wire.Ticket
	at     int64 // ms by Redis' clock
}

// bell wakes whoever waits for receipts.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// channel is closed at the next call of all.
func (b *bell) channel() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) all() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// awaitReceipts waits until every VM has applied the raise or may not use its memory
// any more, for at most that long:
//
//  1. it reads the registry, and leaves word there that somebody waits
//  2. a poll with a new cursor finds the word, and publishes
//  3. that wakes the wait at whichever bridge it is; it gathers, and reads again
func (b *Bridge) awaitReceipts(ctx context.Context, p *policyState, raise raiseMark, wait time.Duration) (Receipts, error) {
	end := b.clock.Now().Add(wait)
	for {
		wake := p.applied.channel() // before the read
		now := b.clock.Now()
		if soon := now.Add(drainHold); b.draining.Load() && soon.Before(end) {
			end = soon // not at once: whoever goes on to ask would spin
		}
		left := end.Sub(now)
		found, err := b.readRegistry(ctx, p, raise.at, left > 0)
		receipts := found.receipts(raise)
		if left <= 0 || ctx.Err() != nil || err == nil && (receipts.Complete || receipts.NewEpoch) {
			return receipts, err
		}
		pause := gather + time.Duration(len(found.followers))*pausePerVM
		b.clock.Wait(ctx, wake, min(left, found.untilLeaseEnds(raise)))
		b.clock.Wait(ctx, nil, min(left, pause))
	}
}

// receipts judges each VM.
func (r registry) receipts(raise raiseMark) Receipts {
	list := Receipts{
		NewEpoch: r.ticket.Epoch != 0 && r.ticket.Epoch != raise.ticket.Epoch, QuarantineMS: r.quarantine,
		Applied: []Receipt{}, LeaseOut: []Receipt{}, Pending: []Receipt{},
	}
	for _, f := range r.followers {
		switch {
		case f.hasApplied(raise.ticket):
			list.Applied = append(list.Applied, Receipt{f.vm, max(f.since-raise.at, 0)})
		case f.leaseEnd <= r.now:
			list.LeaseOut = append(list.LeaseOut, Receipt{f.vm, f.leaseEnd - raise.at})
		default:
			list.Pending = append(list.Pending, Receipt{f.vm, f.leaseEnd - raise.at})
		}
	}
	for _, some := range [][]Receipt{list.Applied, list.LeaseOut, list.Pending} {
		slices.SortFunc(some, func(a, b Receipt) int { return cmp.Or(cmp.Compare(a.MS, b.MS), strings.Compare(a.VM, b.VM)) })
	}
	list.Complete = !list.NewEpoch && r.ticket.Epoch != 0 && r.quarantine == 0 && len(list.Pending) == 0
	return list
}

// untilLeaseEnds is how long to wait for the next lease that runs out, or the quarantine's end.
func (r registry) untilLeaseEnds(raise raiseMark) time.Duration {
	next := receiptsPeriod
	if r.quarantine > 0 {
		next = min(next, time.Duration(r.quarantine)*time.Millisecond)
	}
	for _, f := range r.followers {
		if !f.hasApplied(raise.ticket) && f.leaseEnd > r.now {
			next = min(next, time.Duration(f.leaseEnd-r.now)*time.Millisecond)
		}
	}
	return next
}

// parseWait reads how long an administrator wants to wait for receipts; "" is not at all.
func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxWait {
		return 0, fmt.Errorf(`%w: "wait" is %q, want a duration up to %v: "10s"`, ErrRequest, s, maxWait)
	}
	return d, nil
}

// Receipts tells which VMs have applied a raise, by the answer that told of it, and waits
// for the others for at most that long ("" doesn't wait). The error matches ErrRequest,
// ErrNotFound, ErrTooMany or ErrRedis.
func (b *Bridge) Receipts(ctx context.Context, raise RaiseAnswer, wait string) (Receipts, error) {
	d, err := parseWait(wait)
	if err != nil {
		return Receipts{}, err
	}
	t := parseTicket(raise.Epoch + " " + strconv.FormatUint(raise.Sequence, 10))
	if t.Epoch == 0 || raise.RaisedAt <= 0 {
		return Receipts{}, fmt.Errorf("%w: receipts of epoch %q, raisedAt %d, want those of a raise", ErrRequest, raise.Epoch, raise.RaisedAt)
	}
	name, err := b.policyName(ctx, raise.Policy)
	if err != nil {
		return Receipts{}, err
	}
	if b.policies.known(name) == nil { // another bridge has made the raise
		if found, err := b.inRedis(ctx, name); err != nil || !found {
			return Receipts{}, cmp.Or(err, fmt.Errorf("%w: Redis knows nothing of policy %q", ErrNotFound, name))
		}
	}
	p, err := b.administered(name)
	if err != nil {
		return Receipts{}, err
	}
	return b.awaitReceipts(ctx, p, raiseMark{t, raise.RaisedAt}, d)
}

// receiptsOf are those that the answer to a call has, nil where it waits for none. What becomes of them is no error: what they
// are about was done.
func (b *Bridge) receiptsOf(ctx context.Context, raise RaiseAnswer, wait string) *Receipts {
	if wait == "" {
		return nil
	}
	receipts, err := b.Receipts(ctx, raise, wait)
	if err != nil {
		receipts.Error = err.Error()
	}
	return &receipts
}

// receipts handles GET /v1/receipts.
func (b *Bridge) receipts(w http.ResponseWriter, r *http.Request) error {
	ask := r.URL.Query()
	raise, err := parseRaise(ask)
	if err != nil {
		return err
	}
	receipts, err := b.Receipts(r.Context(), raise, ask.Get("wait"))
	if err != nil {
		return err
	}
	return writeJSON(w, receipts)
}

func parseRaise(ask url.Values) (raise RaiseAnswer, err error) {
	raise.Policy, raise.Epoch = ask.Get("policy"), ask.Get("epoch")
	if raise.Sequence, err = strconv.ParseUint(ask.Get("sequence"), 10, 64); err != nil {
		return raise, fmt.Errorf("%w: sequence %q, want a number", ErrRequest, ask.Get("sequence"))
	}
	if raise.RaisedAt, err = strconv.ParseInt(ask.Get("raisedAt"), 10, 64); err != nil {
		return raise, fmt.Errorf("%w: raisedAt %q, want milliseconds", ErrRequest, ask.Get("raisedAt"))
	}
	return raise, nil
}
