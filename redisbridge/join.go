package redisbridge

import (
	"context"
	"fmt"

	"chatcache/redisbridge/wire"
)

// Join registers a VM and then looks up for it, in this order: a VM whose policy knows
// rules that others don't is never told of an entry that these may have made stale.
// The error matches ErrRequest, ErrTooMany or ErrRedis.
func (b *Bridge) Join(ctx context.Context, m wire.JoinRequest) (wire.JoinAnswer, error) {
	m.Follow.Hold = 0
	followed, err := b.Follow(ctx, m.Follow)
	if err != nil {
		return wire.JoinAnswer{}, err
	}
	found, err := b.Lookup(ctx, m.Lookup)
	return wire.JoinAnswer{Controls: followed.Controls, Lookup: found}, err
}

// checkKnows refuses what can't be kept in one word.
func checkKnows(k wire.Knows) error {
	if err := checkPlain("policy version", k.Version); err != nil {
		return err
	}
	for _, r := range k.Rules {
		if r.Cache == "" {
			return fmt.Errorf("%w: rules of a cache without a name", ErrRequest)
		}
		if err := checkPlain("cache", r.Cache); err != nil {
			return err
		}
		if err := checkPlain("digest of rules", r.Digest); err != nil {
			return err
		}
	}
	return nil
}
