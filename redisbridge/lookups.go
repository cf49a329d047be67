package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"chatcache/redisbridge/wire"
)

// Lookups answers several lookups of one policy, none of which is held, by one read of Redis that begins
// after the call has. One that can't be read, or fails after that read, since it needs more of Redis, fails alone: they are of
// different clients. The error matches ErrRequest, ErrTooMany or ErrRedis, and is of all.
func (b *Bridge) Lookups(ctx context.Context, m wire.LookupsRequest) (wire.LookupsAnswer, error) {
	p, err := b.policyOf(m.Scope)
	if err != nil {
		return wire.LookupsAnswer{}, err
	}
	if len(m.Lookups) == 0 {
		return wire.LookupsAnswer{}, fmt.Errorf("%w: no lookups, want 1 to %d", ErrRequest, wire.MaxLookups)
	}
	within, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	began := b.clock.Now()
	answers, errs := make([]wire.LookupAnswer, len(m.Lookups)), make([]error, len(m.Lookups))
	list := make([]*reading, len(m.Lookups)) // nil: not to be read
	for i, one := range m.Lookups {
		if errs[i] = checkLookup(one); errs[i] == nil {
			list[i] = newReading(one)
		}
	}
	if readable := slices.DeleteFunc(slices.Clone(list), func(r *reading) bool { return r == nil }); len(readable) > 0 {
		b.readAll(within, p, readable...)
	}
	var settled sync.WaitGroup
	for i, one := range m.Lookups {
		if list[i] == nil {
			continue
		}
		if list[i].again {
			errs[i] = errAlone
			continue
		}
		settled.Go(func() {
			errs[i] = b.guarded(func() (err error) { answers[i], err = b.settleOne(within, p, one, list[i]); return err })
		})
	}
	settled.Wait()
	for i, one := range m.Lookups {
		if list[i] == nil || errors.Is(errs[i], errAlone) {
			continue
		}
		b.lookupSeconds.Observe(b.clock.Now().Sub(began).Seconds())
		p.countLookup(ctx, one.Key, answers[i].State, errs[i])
	}
	return together(answers, errs)
}

// settleOne goes on after the common read as Lookup does after its own.
func (b *Bridge) settleOne(ctx context.Context, p *policyState, m wire.LookupRequest, r *reading) (wire.LookupAnswer, error) {
	if r.err != nil {
		return wire.LookupAnswer{}, r.err
	}
	fetches := []string{m.Fetch}
	f, changed, err := b.settle(ctx, p, m, fetches, r)
	if err == nil && changed {
		f, err = b.look(ctx, p, m, fetches)
	}
	return f.answer, err
}

// errAlone says that a lookup must be a call of its own: what it is to find can't be read with others.
var errAlone = errors.New("to be asked alone")

// together puts answers into one, as far as they fit. Where all have failed so has the call.
func together(answers []wire.LookupAnswer, errs []error) (m wire.LookupsAnswer, err error) {
	size, failed := 0, 0
	for i, a := range answers {
		one := wire.LookupResult{Answer: a}
		switch {
		case errors.Is(errs[i], errAlone):
			one = wire.LookupResult{Outcome: wire.LookupAlone}
		case errs[i] != nil:
			one = wire.LookupResult{Outcome: wire.LookupFailed}
			failed++
		case size+len(a.Entry) <= wire.MaxFoundTogether:
			size += len(a.Entry)
		case a.Granted: // a lease that nobody knows of would keep everybody waiting
			one.Answer.Entry = nil
		default:
			one = wire.LookupResult{Outcome: wire.LookupAlone}
		}
		m.Results = append(m.Results, one)
	}
	if failed > 0 && failed == len(answers) {
		err = errs[0]
		if i := slices.IndexFunc(errs, func(err error) bool { return !errors.Is(err, ErrRequest) }); i >= 0 {
			err = errs[i] // that Redis fails says more than that one is malformed
		}
	}
	return m, err
}

// sendTogether answers several lookups. Where there is no room for what they have found it goes for each of them as for one that is asked by
// itself: those that have found nothing are answered all the same.
func (b *Bridge) sendTogether(w http.ResponseWriter, answer wire.LookupsAnswer) error {
	if !slices.ContainsFunc(answer.Results, func(one wire.LookupResult) bool { return len(one.Answer.Entry) > 0 }) {
		return sendFrame(w, answer)
	}
	full := b.sendCounted(w, answer.Encode())
	if !errors.Is(full, ErrTooMany) {
		return full
	}
	for i := range answer.Results {
		switch found := &answer.Results[i].Answer; {
		case len(found.Entry) == 0:
		case goesWithout(found):
			found.Entry = nil
		default:
			answer.Results[i] = wire.LookupResult{Outcome: wire.LookupFailed}
		}
	}
	if !slices.ContainsFunc(answer.Results, func(one wire.LookupResult) bool { return one.Outcome != wire.LookupFailed }) {
		return full
	}
	return sendFrame(w, answer)
}
