package redisbridge

import (
	"context"
	"time"
)

// Clock is what the bridge knows of time. Redis' own clock decides everything
// that validity depends on; this one only measures and waits.
type Clock interface {
	// Now tells the time, by which the bridge knows how long something took and how old it is.
	Now() time.Time
	// Wait returns when wake is closed, ctx is done or d has passed. Nothing is
	// ever sent on wake.
	Wait(ctx context.Context, wake <-chan struct{}, d time.Duration)
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
	case <-ctx.Done():
	case <-timer.C:
	}
}
