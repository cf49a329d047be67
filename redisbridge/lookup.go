package redisbridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"chatcache/redisbridge/wire"
)

// stored is an entry as Redis had it, and the fetch lease beside it.
type stored struct {
	bytes     []byte
	remaining int64 // ms; negative without an expiry, which no entry has
	lease     lease
}

// finding is what one read of Redis says to a lookup.
type finding struct {
	answer  wire.LookupAnswer
	wanted  bool          // somebody is to fetch: there is no valid entry, or a stale one
	granted string        // whom the fetch lease was granted to
	left    time.Duration // of somebody else's lease
}

// Lookup answers what a filter asks before it asks the origin. The ticket of the
// answer is the policy's position at one moment after the call began, whatever
// the state. Where somebody else fetches the entry the call is held, as far as it
// asks for that. The error matches ErrRequest, ErrTooMany or ErrRedis.
func (b *Bridge) Lookup(ctx context.Context, m wire.LookupRequest) (answer wire.LookupAnswer, err error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.LookupAnswer{}, err
	}
	if err := checkLookup(m); err != nil {
		return wire.LookupAnswer{}, err
	}
	if m.Wait > 0 {
		answer, err = b.hold(ctx, p, m)
	} else {
		var f finding
		f, err = b.lookup(ctx, p, m, m.Fetch)
		answer = f.answer
	}
	p.countLookup(ctx, m.Key, answer.State, err)
	return answer, err
}

// countLookup counts what came of a lookup: of a client that has gone, no error, which says nothing of Redis.
func (p *policyState) countLookup(ctx context.Context, key string, state wire.LookupState, err error) {
	if err == nil || ctx.Err() == nil {
		p.counters.cache(cacheOfKey(key)).countLookup(state, err)
	}
}

func checkLookup(m wire.LookupRequest) error {
	if err := checkKey(m.Key, m.Policy); err != nil {
		return err
	}
	if err := checkGroups(m.Groups); err != nil {
		return err
	}
	if m.Fetch == "" {
		if m.Wait > 0 {
			return fmt.Errorf("%w: lookup that waits %d ms without a fetch's id", ErrRequest, m.Wait)
		}
		return nil
	}
	return checkPlain("fetch id", m.Fetch)
}

// lookup reads once for lookups that ask for the same but for the fetch's id.
func (b *Bridge) lookup(ctx context.Context, p *policyState, m wire.LookupRequest, fetches ...string) (finding, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	began := b.clock.Now()
	defer func() { b.lookupSeconds.Observe(b.clock.Now().Sub(began).Seconds()) }()
	return b.look(ctx, p, m, fetches)
}

// look reads again where something has changed before its claim.
func (b *Bridge) look(ctx context.Context, p *policyState, m wire.LookupRequest, fetches []string) (finding, error) {
	for range maxClaims {
		f, changed, err := b.lookOnce(ctx, p, m, fetches)
		if err != nil || !changed {
			return f, err
		}
	}
	m.Fetch = "" // others claim and store all the time: no lease, then
	f, _, err := b.lookOnce(ctx, p, m, nil)
	return f, err
}

// lookOnce tells also whether something has changed between its read and its claim:
// then it has found nothing.
func (b *Bridge) lookOnce(ctx context.Context, p *policyState, m wire.LookupRequest, fetches []string) (f finding, changed bool, err error) {
	r := newReading(m)
	if err := p.lookups.read(ctx, b, p, r); err != nil {
		return finding{}, false, err
	}
	return b.settle(ctx, p, m, fetches, r)
}

// settle makes of what was read what lookups are answered with, and claims the fetch lease for one of them.
func (b *Bridge) settle(ctx context.Context, p *policyState, m wire.LookupRequest, fetches []string, r *reading) (f finding, changed bool, err error) {
	v, found := r.validity, r.stored
	f, err = b.judge(ctx, p, r.groups, v, found)
	if err != nil || !f.wanted || m.Fetch == "" || found.lease.pass {
		return f, false, err
	}
	m.Fetch = fetches[0]
	if found.lease.holds(v) {
		if !slices.Contains(fetches, found.lease.fetch) {
			f.answer.State, f.left = wire.LookupLeased, found.lease.left
			return f, false, nil
		}
		m.Fetch = found.lease.fetch // whoever has it may have it again
	}
	granted, err := b.claim(ctx, m, found, v.ticket)
	if err != nil {
		return f, false, nil // what was found stands: only the lease is refused, or unknown
	}
	if f.answer.Granted = granted; granted {
		f.granted = m.Fetch
	}
	return f, !granted, nil
}

// judge decides on an entry, as far as validity goes, and whether it is fresh.
func (b *Bridge) judge(ctx context.Context, p *policyState, asked []string, v validity, found stored) (finding, error) {
	suspended := finding{answer: wire.LookupAnswer{State: wire.LookupSuspended, Ticket: v.ticket}}
	miss := finding{answer: wire.LookupAnswer{State: wire.LookupMiss, Ticket: v.ticket}, wanted: true}
	if v.suspended {
		return suspended, nil
	}
	entry, ok := usable(found)
	if !ok || !v.admits(entry.Ticket) {
		return miss, nil
	}
	// Groups that only the entry names. Each group's check stands for itself, so
	// it may rest on a later moment than the others.
	if more := without(entry.Groups, asked); len(more) > 0 {
		v, err := b.readValidity(ctx, p, more)
		switch {
		case err != nil:
			return finding{}, err
		case v.suspended:
			return suspended, nil
		case !v.admits(entry.Ticket):
			return miss, nil
		}
	}
	hit := wire.LookupAnswer{
		State: wire.LookupHit, Ticket: v.ticket, Entry: found.bytes, Age: entry.TTL - found.remaining, Remaining: found.remaining,
	}
	return finding{answer: hit, wanted: entry.Fresh > 0 && hit.Age >= entry.Fresh}, nil
}

// usable reads an entry; what isn't one, or has no plausible age, is a miss.
func usable(found stored) (wire.Entry, bool) {
	if found.bytes == nil || found.remaining <= 0 {
		return wire.Entry{}, false
	}
	entry, err := wire.DecodeEntry(found.bytes)
	if err != nil || entry.TTL < found.remaining || entry.TTL > wire.MaxTTL {
		return wire.Entry{}, false
	}
	return entry, true
}

func without(list, known []string) []string {
	var rest []string
	for _, g := range canonical(list) {
		if _, ok := slices.BinarySearch(known, g); !ok {
			rest = append(rest, g)
		}
	}
	return rest
}

// readValidity reads the position and the groups' generations.
func (b *Bridge) readValidity(ctx context.Context, p *policyState, groups []string) (validity, error) {
	keys, own := lookupKeys(p, groups)
	t, rest, err := b.run(ctx, p, b.scripts.lookup, keys, own...)
	if err != nil {
		return validity{}, err
	}
	v, err := parseValidities(t, groups, rest)
	return v.of(groups), err
}

func checkKey(key, policy string) error {
	if !wire.KeyOfPolicy(key, policy) {
		return fmt.Errorf("%w: key is not one of policy %q, as wire.EntryKey builds them", ErrRequest, policy)
	}
	return checkPlain("cache", cacheOfKey(key)) // metrics have it as a label
}
