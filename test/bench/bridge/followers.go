package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"chatcache/redisbridge/wire"
)

// What a filter with "max_staleness": "3s" says.
const (
	hold    = 1000 // ms
	lease   = 3000
	backOff = 50 * time.Millisecond // after a poll that failed
)

// follower is one VM's connection.
type follower interface {
	call(body []byte) ([]byte, error) // good until the next one; the error matches errStatus if the answer isn't a 200
	close() error
}

// manner is how followers reach the bridge.
type manner struct {
	name    string
	connect func(ctx context.Context, port int, path string) (follower, error)
	second  bool // each has another connection, on which it has looked up: with HTTP/2 it would be the same one
}

var (
	byHTTP2      = manner{"HTTP/2", func(ctx context.Context, port int, path string) (follower, error) { return dial(ctx, port, path) }, false}
	byHTTP1      = manner{"HTTP/1.1", func(ctx context.Context, port int, path string) (follower, error) { return dialPlain(ctx, port, path) }, false}
	byHTTP1Twice = manner{"HTTP/1.1, each with a second connection for lookups", byHTTP1.connect, true}
)

// followers are VMs that follow the feed, each on a connection of its own.
type followers struct {
	manner  manner
	stop    context.CancelFunc
	group   *errgroup.Group
	polls   atomic.Int64 // that were answered
	failed  atomic.Int64
	mu      sync.Mutex
	reached map[uint64]int // how many have applied each number
	all     map[uint64]chan struct{}
	count   int
}

// follow starts VMs, and returns once each of them has a cursor.
func follow(ctx context.Context, by manner, port, count int) (*followers, error) {
	f := &followers{manner: by, count: count, reached: map[uint64]int{}, all: map[uint64]chan struct{}{}}
	ctx, f.stop = context.WithCancel(ctx)
	f.group, ctx = errgroup.WithContext(ctx)
	var begun sync.WaitGroup
	begun.Add(count)
	for i := range count {
		f.group.Go(func() error { return f.one(ctx, port, i, sync.OnceFunc(begun.Done)) })
		if i%100 == 99 {
			time.Sleep(10 * time.Millisecond) // within the backlog of the bridge's port
		}
	}
	begun.Wait()
	select {
	case <-ctx.Done():
		return nil, f.group.Wait()
	default:
		return f, nil
	}
}

func (f *followers) end() error {
	f.stop()
	return f.group.Wait()
}

// one is one VM's follower: it polls, and polls again when it has applied the answer.
func (f *followers) one(ctx context.Context, port, vm int, begun func()) error {
	defer begun()
	if f.manner.second {
		c, err := f.manner.connect(ctx, port, wire.PathLookup)
		if err != nil {
			return err
		}
		defer c.close()
		if _, err := c.call(lookupOf(vm % users).Encode()); err != nil && !errors.Is(err, errStatus) { // whatever it says, the connection stays
			return fmt.Errorf("VM %d: %w", vm, err)
		}
	}
	c, err := f.manner.connect(ctx, port, wire.PathFollow)
	if err != nil {
		return err
	}
	defer c.close()
	defer context.AfterFunc(ctx, func() { c.close() })()
	m := wire.FollowRequest{
		FeedRequest: wire.FeedRequest{Scope: scope, VM: "vm-" + strconv.Itoa(vm), Hold: hold, Lease: lease},
		Knows:       wire.Knows{Version: "1", Rules: []wire.CacheRules{{Cache: "stats", Digest: "0123456789abcdef"}}},
	}
	for {
		text, err := c.call(m.Encode())
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errStatus) {
			f.failed.Add(1)
			time.Sleep(backOff)
			continue
		}
		if err != nil {
			return fmt.Errorf("VM %d: %w", vm, err)
		}
		answer, err := wire.DecodeFollowAnswer(text)
		if err != nil {
			return fmt.Errorf("VM %d: %w", vm, err)
		}
		f.polls.Add(1)
		f.applied(m.Cursor, answer)
		m.Cursor = answer.Last
		begun()
	}
}

// applied notes the numbers that a VM has been told of.
func (f *followers) applied(cursor wire.Ticket, answer wire.FollowAnswer) {
	if !answer.Continues(cursor) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range answer.Events {
		if f.reached[e.Sequence]++; f.reached[e.Sequence] == f.count {
			close(f.waitLocked(e.Sequence))
		}
	}
}

func (f *followers) waitLocked(sequence uint64) chan struct{} {
	if f.all[sequence] == nil {
		f.all[sequence] = make(chan struct{})
	}
	return f.all[sequence]
}

// await returns when every VM has been told of a number.
func (f *followers) await(ctx context.Context, sequence uint64) error {
	f.mu.Lock()
	all := f.waitLocked(sequence)
	f.mu.Unlock()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		f.mu.Lock()
		defer f.mu.Unlock()
		return fmt.Errorf("%d of %d VMs have heard of number %d within %v", f.reached[sequence], f.count, sequence, patience)
	}
}
