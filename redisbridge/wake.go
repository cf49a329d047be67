package redisbridge

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// wake tells a policy's held polls that something happened:
//
//  1. a poll takes the channel, and then reads the feed;
//  2. nothing is new: it waits on the channel;
//  3. any call on this bridge, or Pub/Sub, sees a ticket beyond the last one
//     seen: the channel is closed, the polls read again.
//
// Whatever happens between 1 and 2 closes the channel that the poll holds, so
// nothing is missed. A wake is only a hint: what a poll answers is what it
// reads afterwards.
type wake struct {
	mu    sync.Mutex
	next  *waking
	woken time.Time // the last time
	last  wire.Ticket
	held  *held // lookups that wait: what happened may make a fetch lease void
	clock Clock
}

// waking is one time that polls are woken.
type waking struct {
	ch     chan struct{}
	gather time.Duration // for how long they wait for more; read after ch is closed
}

func newWaking() *waking { return &waking{ch: make(chan struct{})} }

func (w *wake) init(h *held, c Clock) { w.next, w.held, w.clock = newWaking(), h, c }

// await gives the next time, at the next ticket.
func (w *wake) await() *waking {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.next
}

// gather is for how long a poll that has something to tell waits for more.
func (w *wake) gather() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gatherLocked(w.clock.Now())
}

func (w *wake) gatherLocked(now time.Time) time.Duration {
	if now.Sub(w.woken) >= gather {
		return 0 // all has been quiet
	}
	return gather
}

// saw wakes the polls if t is not what was seen already. It is called before
// the call that caused t is answered.
func (w *wake) saw(t wire.Ticket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.Epoch == w.last.Epoch && t.Sequence <= w.last.Sequence {
		return
	}
	w.last = t
	w.wakeLocked()
	w.held.all(false)
}

// all wakes polls and lookups without a reason of its own.
func (w *wake) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeLocked()
	w.held.all(true)
}

func (w *wake) wakeLocked() {
	now := w.clock.Now()
	w.next.gather, w.woken = w.gatherLocked(now), now
	close(w.next.ch)
	w.next = newWaking()
}

// wakePattern and filledPattern match the channels that the scripts publish to: new
// tickets, and keys of entries.
const (
	wakePattern   = "{chatcache:*}:wake"
	filledPattern = "{chatcache:*}:filled"
)

const (
	// wakeSooner is what they publish when a deadline is moved forward: nothing has
	// happened yet, but something will before a held poll looks again.
	wakeSooner = "sooner"
	// wakeApplied is what a VM's poll publishes that came with a new cursor, while
	// somebody waits for receipts.
	wakeApplied = "applied"
)

// aliveChannel matches wakePattern, and is no policy's: what is published there only shows that a
// subscription hears what is published.
const aliveChannel = "{chatcache:}:wake"

// afterDefect is how long what listens waits before it begins anew.
const afterDefect = 100 * time.Millisecond

// listen follows what other bridges' scripts publish, until ctx is done. A defect ends a subscription alone.
func (b *Bridge) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := b.guarded(func() error { b.listenOnce(ctx); return nil }); err != nil { // it is in the log
			select { // which isn't to be filled
			case <-ctx.Done():
			case <-time.After(afterDefect):
			}
		}
	}
}

// listenOnce follows it by one subscription, until that one hears nothing any more:
//
//  1. the primary's machine is gone without a word, or the primary hangs, and another one is elected
//  2. calls time out, and are made to the new one from then on; the subscription stays with the old one: go-redis
//     pings there, and doesn't wait for the answer
//  3. nothing was heard for a while: something is published, which reaches the new one
//  4. that wasn't heard either: it subscribes anew
//
// While Redis answers nobody there is nothing to hear, and it waits.
func (b *Bridge) listenOnce(ctx context.Context) {
	sub := b.redis.PSubscribe(ctx, wakePattern, filledPattern)
	defer sub.Close()
	messages := sub.ChannelWithSubscriptions()
	quiet := time.NewTicker(3 * cmp.Or(b.options.Redis.ReadTimeout, replyTimeout))
	defer quiet.Stop()
	heard, asked := false, false // since the last tick, and at it
	for {
		select {
		case <-ctx.Done():
			return
		case <-quiet.C:
			if asked && !heard {
				b.log.Warn("the subscription hears nothing any more; it is begun anew")
				return
			}
			asked = !heard && b.subscribed.Load() && b.publishes(ctx)
			heard = false
		case m, ok := <-messages:
			if !ok {
				return
			}
			heard = true
			b.heard(m)
			if s, ok := m.(*redis.Subscription); ok && s.Channel == filledPattern {
				// A connection anew may lead to a server that has just started, or another one.
				b.stopped.Go(func() { _ = b.guarded(func() error { b.load(ctx); return nil }) })
			}
		}
	}
}

// publishes tells whether something could be published that every subscription hears.
func (b *Bridge) publishes(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	return b.redis.Publish(ctx, aliveChannel, "").Err() == nil
}

func (b *Bridge) heard(m any) {
	switch m := m.(type) {
	case *redis.Subscription:
		// Subscribed again: what was published in between is lost.
		b.wakeAll()
		b.subscribed.Store(true)
	case *redis.Message:
		name, _ := strings.CutPrefix(m.Channel, "{chatcache:")
		name, kind, _ := strings.Cut(name, "}:")
		switch p := b.policies.known(name); {
		case p == nil:
		case kind == "filled":
			p.held.filled(m.Payload)
		case m.Payload == wakeSooner:
			p.wake.all()
		case m.Payload == wakeApplied:
			p.applied.all()
		default:
			p.wake.saw(parseTicket(m.Payload))
		}
	}
}

func (b *Bridge) wakeAll() {
	for _, p := range b.policies.all() {
		p.wake.all()
		p.applied.all()
	}
}

// parseTicket reads "epoch sequence"; anything else is the zero ticket.
func parseTicket(s string) wire.Ticket {
	epoch, seq, _ := strings.Cut(s, " ")
	e, err1 := strconv.ParseUint(epoch, 16, 64)
	n, err2 := strconv.ParseUint(seq, 10, 64)
	if err1 != nil || err2 != nil {
		return wire.Ticket{}
	}
	return wire.Ticket{Epoch: e, Sequence: n}
}
