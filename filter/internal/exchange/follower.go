package exchange

import (
	"time"

	"chatcache/redisbridge/wire"
)

const (
	pollMargin     = 500 * time.Millisecond // of a poll's timeout beyond its hold
	pollBackOffMin = 50 * time.Millisecond
	pollBackOffMax = time.Second
)

// follower keeps the VM's cursor on the feed, and with it the lease to use L1.
//
// The lease counts from the moment the poll was sent, not from its answer:
//
//  1. a poll is sent at 10:00:00.0
//  2. the bridge reads the primary at 10:00:00.9 and its answer leaves
//  3. a write on another proxy raises a group at 10:00:01.0
//  4. the answer arrives, late, at 10:00:02.9
//
// With max_staleness 3s the lease ends at 10:00:03.0. Counted from the answer it
// would last until 10:00:05.9, nearly five seconds after the raise.
//
// The poll's own term holds, which the registry knows of; a plugin with another
// max_staleness, before or after a change of the configuration, may use less of it.
type follower struct {
	state *State
	vm    string

	following bool // from the VM's first stream on
	knows     knows
	cursor    wire.Ticket
	heard     int64         // when the last poll that was answered had been sent, monotonic nanoseconds
	term      time.Duration // from then on L1 may be used for so long; 0: never heard

	registered int64 // until then the bridge knows of the VM, by a poll or by a join
	answers    int   // how many polls were answered

	polling *poll // under way, nil if none
	retryAt int64
	backOff time.Duration
}

// poll is one call to the feed.
type poll struct {
	sent, giveUpAt int64
	term           time.Duration
	said           said
	report         wire.Report
}

// follow begins to follow the feed. The main thread's VM never sees a stream,
// so it never polls.
func (f *follower) follow() {
	if f.following {
		return
	}
	f.following = true
	f.state.wake()
}

// handOver lets the new speaker send a poll of its own; the answer to the old
// one's is ignored.
func (f *follower) handOver() {
	f.polling, f.retryAt = nil, 0
	if f.following {
		f.state.wake()
	}
}

// alive tells whether L1 may be used under a policy with that max_staleness.
func (f *follower) alive(now int64, staleness time.Duration) bool {
	return now < f.heard+int64(min(f.term, staleness)) && f.knows.joined()
}

// stands tells whether the VM is still registered with what it knows.
func (f *follower) stands(now int64) bool { return f.knows.joined() && now < f.registered }

func (f *follower) run(p *Plugin, now int64) {
	waiting := f.polling != nil && now < f.polling.giveUpAt
	if !f.following || now < f.retryAt || waiting {
		return
	}
	f.poll(p, now)
}

func (f *follower) poll(p *Plugin, sent int64) {
	staleness := p.Policy.L1.MaxStaleness
	hold := min(staleness/3, wire.MaxHold*time.Millisecond)
	timeout := hold + pollMargin
	this := &poll{
		sent: sent, giveUpAt: sent + int64(2*timeout), term: staleness,
		said: f.knows.now, report: f.state.tally.next(sent),
	}
	f.polling = this
	request := f.request(p)
	request.Hold, request.Report = hold.Milliseconds(), this.report
	if !f.knows.joined() {
		request.Hold = 0 // L1 and lookups wait for the answer
	}
	err := p.host.Call(wire.PathFollow, request.Encode(), timeout, func(a Answer) {
		if f.polling != this {
			return // given up, or another plugin has taken over
		}
		f.polling = nil
		f.answered(p, this, a)
	})
	if err != nil {
		f.polling = nil
		f.failed(p)
	}
}

// request is what the VM says of itself.
func (f *follower) request(p *Plugin) wire.FollowRequest {
	return wire.FollowRequest{
		FeedRequest: wire.FeedRequest{
			Scope: p.state.scope, VM: f.vm, Cursor: f.cursor, Lease: p.Policy.L1.MaxStaleness.Milliseconds(),
		},
		Knows: f.knows.Knows,
	}
}

func (f *follower) answered(p *Plugin, this *poll, a Answer) {
	answer, err := wire.DecodeFollowAnswer(a.Body)
	if a.Status != "200" || err != nil || answer.Last.Epoch == 0 {
		f.failed(p)
		return
	}
	f.backOff = 0
	f.state.tally.acknowledged(this.report)
	if answer.Continues(f.cursor) {
		for _, e := range answer.Events {
			f.state.move(e.Groups)
		}
	} else {
		f.state.slots.MoveAll()
		f.state.l1.Clear()
		p.count(metricFeedResets)
	}
	f.knows.answered(this.said, f.state.plugins)
	f.state.obey(answer.Controls)
	f.cursor = answer.Last
	f.heard, f.term = this.sent, this.term
	f.registered = max(f.registered, this.sent+int64(this.term))
	f.answers++
	f.poll(p, p.host.Now())
}

func (f *follower) failed(p *Plugin) {
	p.count(metricFeedErrors)
	f.backOff = min(max(2*f.backOff, pollBackOffMin), pollBackOffMax)
	f.retryAt = p.host.Now() + int64(f.backOff)
}
