package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"chatcache/redisbridge/wire"
	"chatcache/test/bench"
)

const (
	users       = 1000
	payload     = 1 << 10 // bytes of an entry
	connections = 4       // as of an Envoy with so many workers
	streams     = 16      // lookups under way on each
	warmUp      = time.Second
)

// scope is what a filter says of its policy.
var scope = wire.Scope{Policy: "chat-api", Horizon: 600_000, Quarantine: 60_000}

func key(user int) string {
	return wire.EntryKey("stats", scope.Policy, strconv.Itoa(user), "GET", "/api/chat/stats", "")
}

// lookupsFrom are those of as many users as one call may have, from one on.
func lookupsFrom(user int) (m wire.LookupsRequest) {
	m.Scope = scope
	for i := range wire.MaxLookups {
		m.Lookups = append(m.Lookups, lookupOf((user+i)%users))
	}
	return m
}

func lookupOf(user int) wire.LookupRequest {
	return wire.LookupRequest{Scope: scope, Key: key(user), Groups: wire.ReadGroups("stats", strconv.Itoa(user))}
}

// fill stores an entry for each user, as filters do.
func fill(ctx context.Context, port int) error {
	look, err := dial(ctx, port, wire.PathLookup)
	if err != nil {
		return err
	}
	defer look.close()
	store, err := dial(ctx, port, wire.PathStore)
	if err != nil {
		return err
	}
	defer store.close()
	for user := range users {
		m := lookupOf(user)
		text, err := look.call(m.Encode())
		if err != nil {
			return err
		}
		found, err := wire.DecodeLookupAnswer(text)
		if err != nil {
			return err
		}
		entry := wire.Entry{Head: wire.Head{
			Ticket: found.Ticket, Definition: "0123456789abcdef", Groups: m.Groups, TTL: scope.Horizon,
		}, Payload: make([]byte, payload)}
		if _, err := store.call(wire.StoreRequest{Scope: scope, Key: m.Key, TTL: scope.Horizon, Entry: entry.Encode()}.Encode()); err != nil {
			return err
		}
	}
	return nil
}

// call sends one call and waits for its answer.
func (c *caller) call(body []byte) ([]byte, error) {
	if err := c.send(body); err != nil {
		return nil, err
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	return c.receive()
}

// server is one of those that are compared.
type server struct {
	port, pid int
	path      string
	bodies    [][]byte // of requests, in turn
	expect    []byte   // that an answer must end with
	lookups   int      // in each request
}

// load asks for so long.
func (s server) load(ctx context.Context, d time.Duration) (answers int, err error) {
	counts := make([]int, connections)
	group, ctx := errgroup.WithContext(ctx)
	end := time.Now().Add(d)
	for i := range connections {
		group.Go(func() (err error) {
			counts[i], err = s.one(ctx, end, i*users/connections)
			return err
		})
	}
	err = group.Wait()
	for _, n := range counts {
		answers += n
	}
	return answers, err
}

// one keeps the streams of one connection busy.
func (s server) one(ctx context.Context, end time.Time, next int) (answers int, err error) {
	c, err := dial(ctx, s.port, s.path)
	if err != nil {
		return 0, err
	}
	defer c.close()
	send := func() error {
		next++
		return c.send(s.bodies[next%len(s.bodies)])
	}
	underWay := 0
	for ; underWay < streams/s.lookups; underWay++ {
		if err := send(); err != nil {
			return 0, err
		}
	}
	for underWay > 0 {
		if err := c.flush(); err != nil {
			return answers, err
		}
		body, err := c.receive()
		if err != nil {
			return answers, err
		}
		if !bytes.HasSuffix(body, s.expect) {
			return answers, fmt.Errorf("answer of %d bytes doesn't end with the stored %d", len(body), len(s.expect))
		}
		answers += s.lookups
		underWay--
		if ctx.Err() == nil && time.Now().Before(end) {
			if err := send(); err != nil {
				return answers, err
			}
			underWay++
		}
	}
	return answers, ctx.Err()
}

// cost is what one server has shown in one round.
type cost struct {
	rate  float64 // answers per second
	cpu   float64 // processor time of each, µs
	redis float64 // and Redis' for it, µs
}

func (s server) measure(ctx context.Context, redis int, d time.Duration) (c cost, err error) {
	if _, err := s.load(ctx, warmUp); err != nil {
		return c, err
	}
	before, err := spent(s.pid, redis)
	if err != nil {
		return c, err
	}
	began := time.Now()
	n, err := s.load(ctx, d)
	if err != nil {
		return c, err
	}
	took := time.Since(began)
	after, err := spent(s.pid, redis)
	if err != nil {
		return c, err
	}
	each := func(i int) float64 { return float64((after[i] - before[i]).Nanoseconds()) / 1e3 / float64(n) }
	return cost{rate: float64(n) / took.Seconds(), cpu: each(0), redis: each(1)}, nil
}

// spent is the processor time of processes so far.
func spent(pids ...int) (times []time.Duration, err error) {
	for _, pid := range pids {
		at, err := bench.ProcessorTime(pid)
		if err != nil {
			return nil, err
		}
		times = append(times, at)
	}
	return times, nil
}
