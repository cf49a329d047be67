//go:build !wasip1

package sched

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

var errConnection = errors.New("connection reset by peer")

// operation is a command on its way to Redis. The bridge's goroutine waits in it.
type operation struct {
	call     *call
	number   int // among the call's
	commands []redis.Cmder
	resume   chan struct{}
	err      error
	ended    bool // answered or given up
	given    bool // given up by the bridge, but it may still arrive
}

// network is the way of all bridges to Redis: a hook that lets every command wait for
// the scheduler.
type network struct {
	mu       sync.Mutex // bridges' goroutines come here side by side
	waiting  []*operation
	separate bool                       // a lookup's two reads are two steps, as on a cluster
	direct   func(...redis.Cmder) error // executes what belongs to no call
}

// line is one bridge's way to Redis. It ends with the bridge.
type line struct {
	*network
	cut chan struct{}
}

type callKey struct{}

// DialHook lets nobody through: no command needs a connection, and Pub/Sub is only a hint.
func (l line) DialHook(redis.DialHook) redis.DialHook {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-ctx.Done():
		case <-l.cut:
		}
		return nil, errConnection
	}
}

func (n *network) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { return n.process(ctx, []redis.Cmder{cmd}) }
}

func (n *network) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return n.process
}

func (n *network) process(ctx context.Context, commands []redis.Cmder) error {
	if ctx.Value(callKey{}) == nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.direct(commands...)
	}
	if !n.separate {
		return n.wait(ctx, n.send(ctx, commands...))
	}
	var sent []*operation
	for _, cmd := range commands {
		sent = append(sent, n.send(ctx, cmd))
	}
	var first error
	for _, o := range sent {
		if err := n.wait(ctx, o); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (n *network) send(ctx context.Context, commands ...redis.Cmder) *operation {
	o := &operation{call: ctx.Value(callKey{}).(*call), commands: commands, resume: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	o.number = o.call.operations
	o.call.operations++
	n.waiting = append(n.waiting, o)
	return o
}

// wait holds the bridge's goroutine until the scheduler lets it go on or its context ends.
func (n *network) wait(ctx context.Context, o *operation) error {
	select {
	case <-o.resume:
	case <-ctx.Done():
		n.mu.Lock()
		o.ended, o.given, o.err = true, true, ctx.Err()
		n.mu.Unlock()
	}
	for _, cmd := range o.commands {
		if o.err != nil && cmd.Err() == nil {
			cmd.SetErr(o.err)
		}
	}
	return o.err
}
