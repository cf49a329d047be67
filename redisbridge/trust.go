package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// errUnconfirmed says that too few replicas follow the primary for its word to be taken.
var errUnconfirmed = errors.New("primary is not confirmed by its replicas")

// confirmTries is how often, at most, a call waits for a confirmation: one that
// was under way when it came may be of another epoch.
const confirmTries = 2

// trust says whether a primary's answers may be used. A primary that was cut off
// goes on to answer while another is promoted, and knows nothing of what the
// other is told. So its word counts only for a bound after the last moment at
// which its replicas were seen to follow it: a confirmation is a write on the
// primary that so many replicas have acknowledged (WAIT), and counts from when
// it was sent:
//
//  1. a confirmation is sent at t to primary A, and acknowledged by its replicas:
//     at t they followed A, and none of them was promoted;
//  2. replica B is promoted, and answers other bridges;
//  3. this bridge still asks A, which answers: the answer is used until t + bound,
//     and from then on no more, because too few replicas acknowledge another write of A's.
//
// That needs Options.Replicas to be more than can be cut off together with A while the others
// elect. With a Sentinel beside each server those are more than half of all servers, so that it
// is enough to ask for half of the replicas, rounded down: one of two or three, two of four or
// five. With fewer A is believed for as long as the cut lasts. In a Cluster the primaries elect,
// and a primary that most others are out of reach of refuses after cluster-node-timeout.
//
// Confirmations are of an epoch, which one process on one line of replication
// has, so that a word of A's isn't taken on the strength of B's replicas. They
// are asked for by calls: nothing is sent while nobody calls.
type trust struct {
	mu      sync.Mutex
	epoch   uint64        // that was confirmed
	since   time.Time     // when the last confirmation was sent
	pending chan struct{} // closed when the one under way has ended; nil if none is
	retry   time.Time     // none before, after one failed
	cause   error         // why the last one failed; nil if it didn't
}

// look tells whether the word of an epoch counts now. If it doesn't, wait is a
// confirmation to wait for, or err says why there is none. With begin the caller
// has to confirm, and to tell settle.
func (t *trust) look(epoch uint64, bound time.Duration, now time.Time) (counts, begin bool, wait <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	age := now.Sub(t.since)
	counts = t.epoch == epoch && age <= bound
	fresh := counts && age < bound/4
	if !fresh && t.pending == nil && !now.Before(t.retry) {
		t.pending, begin = make(chan struct{}), true
	}
	if !counts && t.cause != nil {
		// Nobody waits again for what failed: that it succeeds is noticed soon enough.
		return false, begin, nil, fmt.Errorf("%w: %w", errUnconfirmed, t.cause)
	}
	return counts, begin, t.pending, nil
}

// counts tells whether the word of an epoch counts, for whoever waits for no confirmation any more: it begins none.
func (t *trust) counts(epoch uint64, bound time.Duration, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch == epoch && now.Sub(t.since) <= bound
}

// settle takes in how a confirmation ended that was sent at that time, and when
// another may be tried if it failed.
func (t *trust) settle(epoch uint64, sent time.Time, err error, retry time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cause, t.retry = err, retry; err == nil {
		t.epoch, t.since, t.retry = epoch, sent, time.Time{}
	}
	close(t.pending)
	t.pending = nil
}

// ConfirmationStatus says when replicas were last seen to follow a policy's primary.
type ConfirmationStatus struct {
	AgeMS int64  `json:"ageMs"`           // since it was sent, ms; -1: never
	Error string `json:"error,omitempty"` // why the one after it failed
}

func (t *trust) status(now time.Time) *ConfirmationStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &ConfirmationStatus{AgeMS: -1}
	if t.epoch != 0 {
		s.AgeMS = now.Sub(t.since).Milliseconds()
	}
	if t.cause != nil {
		s.Error = t.cause.Error()
	}
	return s
}

// trusted returns once an answer of that epoch may be used. The error matches ErrRedis.
func (b *Bridge) trusted(ctx context.Context, p *policyState, epoch uint64) error {
	if b.options.Replicas == 0 {
		return nil
	}
	for range confirmTries {
		counts, begin, wait, err := p.trust.look(epoch, b.trustBound, b.clock.Now())
		if begin {
			go b.confirm(p)
		}
		switch {
		case counts:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrRedis, err)
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return redisError(ctx.Err())
		}
	}
	if p.trust.counts(epoch, b.trustBound, b.clock.Now()) {
		return nil
	}
	return fmt.Errorf("%w: %w: another epoch has begun", ErrRedis, errUnconfirmed)
}

// confirm asks the primary for one confirmation.
func (b *Bridge) confirm(p *policyState) {
	ctx, cancel := context.WithTimeout(context.Background(), b.trustBound/2)
	defer cancel()
	sent := b.clock.Now()
	var epoch uint64
	err := b.guarded(func() (err error) { epoch, err = b.askReplicas(ctx, p); return err })
	p.trust.settle(epoch, sent, err, b.clock.Now().Add(b.trustBound/8))
}

// askReplicas writes on the primary, and gives its epoch if enough replicas have
// acknowledged that.
func (b *Bridge) askReplicas(ctx context.Context, p *policyState) (epoch uint64, err error) {
	keys := validityKeys(p, p.prefix+"confirmed")
	primary, err := b.primaryOf(ctx, keys[0])
	if err != nil {
		return 0, redisError(err)
	}
	var answer []any
	var replicas int
	err = b.prepared(ctx, p, func(common []any) (err error) {
		answer, replicas, err = b.writeAndWait(ctx, primary, (*redis.Script).EvalSha, keys, common)
		if lacksScript(err) {
			answer, replicas, err = b.writeAndWait(ctx, primary, (*redis.Script).Eval, keys, common)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	if replicas < b.options.Replicas {
		return 0, fmt.Errorf("%d of %d replicas acknowledged a write within %v", replicas, b.options.Replicas, b.trustBound/4)
	}
	t, _, err := p.position(answer)
	return t.Epoch, err
}

// primaryOf gives the client of the one server that has a key: WAIT waits for what
// was written over its own connection.
func (b *Bridge) primaryOf(ctx context.Context, key string) (*redis.Client, error) {
	switch c := b.redis.(type) {
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	case *redis.Client:
		return c, nil
	}
	return nil, fmt.Errorf("a client of kind %T has no primary", b.redis)
}

// writeAndWait runs the script confirm, and gives its answer and how many replicas have acknowledged what it wrote.
func (b *Bridge) writeAndWait(ctx context.Context, primary *redis.Client, eval evaluator, keys []string, args []any) (answer []any, replicas int, err error) {
	pipe := primary.Pipeline()
	written := eval(b.scripts.confirm, ctx, pipe, keys, args...)
	acknowledged := pipe.Do(ctx, "WAIT", b.options.Replicas, (b.trustBound / 4).Milliseconds())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, err
	}
	if answer, err = written.Slice(); err != nil {
		return nil, 0, err
	}
	replicas, err = acknowledged.Int()
	return answer, replicas, err
}
