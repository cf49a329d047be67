package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

const (
	// generationMargin is added to the longest TTL, ms: a generation outlives
	// the last entry that it may invalidate.
	generationMargin = 60_000
	// tombstoneLife is how long a closed id stays closed, ms: longer than any
	// call of its suspension can still be under way.
	tombstoneLife = 60_000
	// feedLength is how many events Redis keeps at least.
	feedLength = 4096
)

// validity is what a lookup's script has found of the groups of one entry.
type validity struct {
	ticket    wire.Ticket
	suspended bool   // one of the groups asked for
	newest    uint64 // of their generations
}

// errScript says that a script's answer isn't what this version's scripts give.
var errScript = errors.New("unexpected answer of a script")

// commonArgs are the arguments that script/prelude.lua reads.
func (b *Bridge) commonArgs(p *policyState, bootstrap bool) []any {
	life := p.horizon.Load() + generationMargin
	quarantine, longest := p.ofNewEpoch(), int64(wire.MaxQuarantine)
	if b.options.Replicas > 0 {
		// So long another bridge may go on to suspend at the primary before this one.
		quarantine += b.trustBound.Milliseconds()
		longest += b.trustBound.Milliseconds()
	}
	return []any{newEpoch(), quarantine, flagArg(bootstrap), life, b.maxOpen, feedLength, longest}
}

// flagArg is a script's argument that says yes or no.
func flagArg(is bool) string {
	if is {
		return "1"
	}
	return "0"
}

// newEpoch draws the random bits of an epoch, in case that one begins. They are to differ, not to
// be secret.
func newEpoch() string {
	for {
		if e := rand.Uint64(); e != 0 {
			return strconv.FormatUint(e, 16)
		}
	}
}

// validityKeys gives the keys of a script: state, feed, and its own.
func validityKeys(p *policyState, own ...string) []string {
	return append([]string{p.prefix + "state", p.prefix + "feed"}, own...)
}

// canonical gives the groups sorted, each once, so that equal sets are equal words.
func canonical(groups []string) []string {
	groups = slices.Clone(groups)
	slices.Sort(groups)
	return slices.Compact(groups)
}

// lookupKeys gives keys and own arguments of the lookup script.
func lookupKeys(p *policyState, groups []string) (keys []string, args []any) {
	for _, g := range groups {
		word := wire.JoinGroups([]string{g})
		keys = append(keys, p.prefix+"gen:"+word)
		args = append(args, word)
	}
	return validityKeys(p, keys...), args
}

// prepared calls a script with the common arguments, and with the permission to
// bootstrap where it is still there.
func (b *Bridge) prepared(ctx context.Context, p *policyState, call func(common []any) error) error {
	bootstrap, err := p.bootstrap.take(ctx)
	if err != nil {
		return redisError(err)
	}
	answered := false
	if bootstrap {
		defer func() { p.bootstrap.giveBack(answered) }() // also after a panic: others wait for it
	}
	err = call(b.commonArgs(p, bootstrap))
	answered = err == nil
	return redisError(err)
}

// try makes a call to Redis, unless the circuit breaker spares it that.
func (b *Bridge) try(kind callKind, call func() error) (err error) {
	a, err := b.breaker.admit(kind, b.clock.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRedis, err)
	}
	ended := outcomeUnknown // where call panics
	defer func() { b.breaker.settle(a, ended, err, b.clock.Now()) }()
	err = call()
	ended = outcomeOf(err)
	return err
}

// run runs a validity script, wakes the polls for what it did, and gives the
// rest of its answer behind the ticket.
func (b *Bridge) run(ctx context.Context, p *policyState, s *redis.Script, keys []string, own ...any) (t wire.Ticket, rest []any, err error) {
	var answer []any
	err = b.try(callAlways, func() error {
		return b.prepared(ctx, p, func(common []any) (err error) {
			answer, err = s.Run(ctx, b.redis, keys, append(common, own...)...).Slice()
			return err
		})
	})
	if err != nil {
		return wire.Ticket{}, nil, err
	}
	return b.confirmed(ctx, p, answer)
}

// confirmed takes the ticket off a script's answer, if its epoch may be trusted.
func (b *Bridge) confirmed(ctx context.Context, p *policyState, answer []any) (t wire.Ticket, rest []any, err error) {
	if t, rest, err = p.position(answer); err == nil {
		err = b.trusted(ctx, p, t.Epoch)
	}
	return t, rest, err
}

// position takes the ticket off a script's answer.
func (p *policyState) position(answer []any) (wire.Ticket, []any, error) {
	if len(answer) < 2 {
		return wire.Ticket{}, nil, fmt.Errorf("%w: %w: %d values", ErrRedis, errScript, len(answer))
	}
	epoch, _ := answer[0].(string)
	seq, _ := answer[1].(string)
	t := parseTicket(epoch + " " + seq)
	if t.Epoch == 0 {
		return wire.Ticket{}, nil, fmt.Errorf("%w: %w: epoch %q, sequence %q", ErrRedis, errScript, epoch, seq)
	}
	p.wake.saw(t)
	return t, answer[2:], nil
}

// validities is what one run of the lookup script has found of some groups, in their order.
type validities struct {
	ticket      wire.Ticket
	groups      []string // canonical
	generations []generation
}

type generation struct {
	suspended bool
	sequence  uint64 // unless it is
}

// parseValidities reads what the lookup script says of groups behind the ticket.
func parseValidities(t wire.Ticket, groups []string, rest []any) (validities, error) {
	v := validities{t, groups, make([]generation, 0, len(groups))}
	if len(rest) != len(groups) {
		return validities{}, fmt.Errorf("%w: %w: %d generations, want %d", ErrRedis, errScript, len(rest), len(groups))
	}
	for _, r := range rest {
		s, ok := r.(string)
		if ok && s == "" {
			v.generations = append(v.generations, generation{suspended: true})
			continue
		}
		g, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return validities{}, fmt.Errorf("%w: %w: generation %q", ErrRedis, errScript, s)
		}
		v.generations = append(v.generations, generation{sequence: g})
	}
	return v, nil
}

// of gives the validity of those that belong to some of the groups.
func (v validities) of(groups []string) validity {
	one := validity{ticket: v.ticket}
	for _, g := range groups {
		at, ok := slices.BinarySearch(v.groups, g)
		if !ok {
			one.suspended = true // nothing is known of it
			continue
		}
		one.suspended = one.suspended || v.generations[at].suspended
		one.newest = max(one.newest, v.generations[at].sequence)
	}
	return one
}

// admits tells whether an entry with the ticket is valid as far as v knows.
func (v validity) admits(ticket wire.Ticket) bool {
	if v.suspended || ticket.Epoch != v.ticket.Epoch {
		return false
	}
	return v.newest <= ticket.Sequence
}
