package redisbridge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// The interleaving of trust's comment, and what it decides at its bounds.
func TestTrust(t *testing.T) {
	const (
		bound = 2 * time.Second
		a, b  = 1, 2 // epochs
	)
	start := time.Unix(1_790_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var trust trust
	look := func(epoch uint64, ms int, wantCounts, wantBegin bool, when string) (wait <-chan struct{}, err error) {
		t.Helper()
		counts, begin, wait, err := trust.look(epoch, bound, at(ms))
		if counts != wantCounts || begin != wantBegin {
			t.Errorf("%d ms, %s: counts %t, begin %t; want %t, %t", ms, when, counts, begin, wantCounts, wantBegin)
		}
		return wait, err
	}

	wait, err := look(a, 0, false, true, "the first call")
	if wait == nil || err != nil {
		t.Errorf("the first call doesn't wait: %v", err)
	}
	if joined, _ := look(a, 1, false, false, "the second call"); joined != wait {
		t.Error("the second call doesn't wait for the same")
	}
	trust.settle(a, at(0), nil, at(0))
	<-wait
	look(a, 5, true, false, "confirmed")
	look(b, 6, false, true, "another epoch")
	trust.settle(b, at(6), nil, at(6))
	look(a, 7, false, true, "the epoch before: its primary isn't the one whose replicas acknowledged")
	trust.settle(a, at(7), nil, at(7))

	look(a, 507, true, true, "a quarter of the bound later: used, and confirmed anew")
	look(a, 508, true, false, "one at a time")
	silent := errors.New("nobody acknowledged")
	trust.settle(0, at(507), silent, at(757))
	look(a, 756, true, false, "not tried again yet")
	look(a, 757, true, true, "tried again")
	trust.settle(0, at(757), silent, at(2007))
	look(a, 2007, true, true, "at the bound")
	_, err = look(a, 2008, false, false, "beyond the bound, counted from when the confirmation was sent")
	if !errors.Is(err, errUnconfirmed) || !errors.Is(err, silent) {
		t.Errorf("got %v, want the reason", err)
	}
	trust.settle(a, at(2007), nil, at(2300))
	look(a, 2300, true, false, "confirmed late")
}

// foreign answers for replicas. As long as it is told to, the primary that they follow is of another epoch than the one that answers calls.
type foreign struct {
	redisHooks
	asked int
	now   bool
}

func (f *foreign) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		wait, ok := cmds[len(cmds)-1].(*redis.Cmd)
		if !ok || wait.Args()[0] != any("WAIT") {
			return next(ctx, cmds)
		}
		f.asked++
		wait.SetVal(int64(1))
		if f.now {
			cmds[0].(*redis.Cmd).SetVal([]any{"f", "7"})
			return nil
		}
		return next(ctx, cmds[:len(cmds)-1])
	}
}

// An answer of an epoch that no confirmation is of isn't used, however often replicas are asked. The calls after it ask them anew.
func TestAnotherEpochAfterTheTries(t *testing.T) {
	hook := &foreign{now: true}
	w := newMemoryWorld(t, func(o *Options) { o.Hooks, o.Replicas, o.Trust = append(o.Hooks, hook), 1, time.Minute })
	look := func() error {
		_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
		return err
	}
	for i := range 2 {
		if err := look(); !errors.Is(err, ErrRedis) || !errors.Is(err, errUnconfirmed) || hook.asked != (i+1)*confirmTries {
			t.Fatalf("of another epoch: %v, and replicas were asked %d times", err, hook.asked)
		}
	}
	hook.now = false
	if err := look(); err != nil {
		t.Errorf("once the epoch is confirmed: %v", err)
	}
}
