package redisbridge

import (
	"context"
	"fmt"
	"time"

	"chatcache/redisbridge/wire"
)

// quarantineID is the suspension of a new epoch; no write may use it.
const quarantineID = "quarantine"

// Store keeps an entry, and ends the fetch lease that it was fetched under. Whether it
// is valid is decided when it is looked up.
// The error matches ErrRequest, wire.ErrEntry, ErrTooMany or ErrRedis.
func (b *Bridge) Store(ctx context.Context, m wire.StoreRequest) (wire.Ack, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.Ack{}, err
	}
	bytes, err := withTTL(m)
	if err != nil {
		return wire.Ack{}, err
	}
	return wire.Ack{}, b.keep(ctx, p, storing{key: m.Key, fetch: m.Fetch, keys: entryKeys(m.Key), entry: bytes, ttl: m.TTL})
}

// storing is what the store script is to do.
type storing struct {
	key, fetch string
	keys       []string
	entry      any   // its bytes; or how many the upload has that keys name, too
	ttl        int64 // ms
}

// keep runs the store script.
func (b *Bridge) keep(ctx context.Context, p *policyState, s storing) error {
	if err := checkPlain("fetch id", s.fetch); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, b.storeTimeout)
	defer cancel()
	var kept int
	err := b.try(callSpared, func() (err error) {
		kept, err = b.scripts.store.Run(ctx, b.redis, s.keys, s.entry, s.ttl, s.fetch, p.filledChannel()).Int()
		return redisError(err)
	})
	if err == nil && kept == 0 {
		err = fmt.Errorf("%w: a commit of %d bytes", ErrUpload, s.entry)
	}
	if err == nil && s.fetch != "" {
		p.held.filled(s.key)
	}
	p.counters.cache(cacheOfKey(s.key)).countStore(err)
	return err
}

// withTTL checks a store and writes its TTL into the entry's head.
func withTTL(m wire.StoreRequest) ([]byte, error) {
	if err := checkKey(m.Key, m.Policy); err != nil {
		return nil, err
	}
	if err := checkTTL(m.TTL); err != nil {
		return nil, err
	}
	entry, err := wire.DecodeEntry(m.Entry)
	if err != nil {
		return nil, err
	}
	if err := checkTicket(entry); err != nil {
		return nil, err
	}
	entry.TTL = m.TTL
	bytes := entry.Encode()
	if len(bytes) > wire.MaxEntry {
		return nil, fmt.Errorf("%w: entry of %d bytes, at most %d", ErrTooLarge, len(bytes), wire.MaxEntry)
	}
	return bytes, nil
}

func checkTTL(ttl int64) error {
	if ttl < 1 || ttl > wire.MaxTTL {
		return fmt.Errorf("%w: store with a TTL of %d ms, want 1 to %d", ErrRequest, ttl, int64(wire.MaxTTL))
	}
	return nil
}

func checkTicket(e wire.Entry) error {
	if e.Ticket.Epoch == 0 {
		return fmt.Errorf("%w: entry without a ticket: only what a lookup gave a ticket for may be stored", ErrRequest)
	}
	return nil
}

// Suspend opens or renews a suspension and gives the position after it. After
// an error it may be open or not. The error matches ErrRequest, ErrTooMany or ErrRedis.
func (b *Bridge) Suspend(ctx context.Context, m wire.SuspendRequest) (wire.Ack, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.Ack{}, err
	}
	if err := checkWrite(m.ID, m.Groups); err != nil {
		return wire.Ack{}, err
	}
	if m.Deadline < 1 {
		return wire.Ack{}, fmt.Errorf("%w: suspension with a deadline of %d ms, want at least 1", ErrRequest, m.Deadline)
	}
	// A new epoch that begins later must wait out this one, too.
	raiseTo(&p.quarantine, m.Deadline+m.AlsoAfter)
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	groups := canonical(m.Groups)
	t, _, err := b.run(ctx, p, b.scripts.suspend, validityKeys(p, p.prefix+"closed:"+m.ID),
		m.ID, m.Deadline, wire.JoinGroups(groups), m.AlsoAfter)
	p.counters.countSuspend(groups, err)
	return wire.Ack{Ticket: t}, err
}

// CloseSuspension ends a suspension, with or without a raise, and gives the position after
// it. It is safe to repeat until it is acknowledged. The error matches
// ErrRequest, ErrTooMany or ErrRedis.
func (b *Bridge) CloseSuspension(ctx context.Context, m wire.CloseRequest) (wire.Ack, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.Ack{}, err
	}
	if err := checkWrite(m.ID, m.Groups); err != nil {
		return wire.Ack{}, err
	}
	raiseTo(&p.quarantine, m.AlsoAfter)
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	groups := canonical(m.Groups)
	t, _, err := b.run(ctx, p, b.scripts.close, validityKeys(p, p.prefix+"closed:"+m.ID),
		m.ID, tombstoneLife, wire.JoinGroups(groups), flagArg(m.Raise), m.AlsoAfter)
	p.counters.countClose(groups, m.Raise, err)
	return wire.Ack{Ticket: t}, err
}

// raise gives groups the next number, for an administrator, and unless also is zero once
// more that long after.
func (b *Bridge) raise(ctx context.Context, policy string, groups []string, also time.Duration) (raiseMark, error) {
	p, err := b.administered(policy)
	if err != nil {
		return raiseMark{}, err
	}
	raiseTo(&p.quarantine, also.Milliseconds())
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	t, rest, err := b.run(ctx, p, b.scripts.raise, validityKeys(p), wire.JoinGroups(canonical(groups)), also.Milliseconds())
	p.counters.countClose(groups, true, err)
	raise := raiseMark{ticket: t}
	if len(rest) == 1 {
		raise.at, _ = rest[0].(int64)
	}
	return raise, err
}

func checkWrite(id string, groups []string) error {
	if id == "" || id == quarantineID {
		return fmt.Errorf("%w: suspension id %q, want a random word", ErrRequest, id)
	}
	if err := checkPlain("suspension id", id); err != nil {
		return err
	}
	if len(groups) == 0 {
		return fmt.Errorf("%w: no groups, want at least one", ErrRequest)
	}
	return checkGroups(groups)
}

func checkGroups(groups []string) error {
	for i, g := range groups {
		if g == "" {
			return fmt.Errorf("%w: group %d is empty", ErrRequest, i)
		}
		if err := checkPlain("cache", wire.CacheOfGroup(g)); err != nil { // metrics have it as a label
			return err
		}
	}
	return nil
}
