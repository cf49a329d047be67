package redisbridge

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"chatcache/redisbridge/wire"
)

// Stores does several stores, each as [Bridge.Store] does its own: one that fails, fails alone, and where all
// fail the error is the first one's.
func (b *Bridge) Stores(ctx context.Context, m wire.StoresRequest) (wire.StoresAnswer, error) {
	if len(m.Stores) == 0 {
		return wire.StoresAnswer{}, fmt.Errorf("%w: no stores, want 1 to %d", ErrRequest, wire.MaxStores)
	}
	list := make([]wire.StoreRequest, len(m.Stores))
	for i, frame := range m.Stores {
		var err error
		if list[i], err = wire.DecodeStoreRequest(frame); err != nil {
			return wire.StoresAnswer{}, fmt.Errorf("%w: store %d of %d: %w", ErrRequest, i+1, len(list), err)
		}
	}
	errs := make([]error, len(list))
	var stored sync.WaitGroup
	for i, one := range list {
		stored.Go(func() { errs[i] = b.guarded(func() error { _, err := b.Store(ctx, one); return err }) })
	}
	stored.Wait()
	answer := wire.StoresAnswer{Stored: make([]bool, len(list))}
	for i, err := range errs {
		answer.Stored[i] = err == nil
	}
	if !slices.Contains(answer.Stored, true) {
		return wire.StoresAnswer{}, errs[0]
	}
	if i := slices.Index(answer.Stored, false); i >= 0 {
		b.failures.log(b.log, b.clock.Now(), wire.PathStores, "", errs[i]) // the answer doesn't say
	}
	return answer, nil
}
