package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"chatcache/test/bench"
)

// measurement is what one row has shown in one round.
type measurement struct {
	rate     float64            // requests per second
	p50, p99 float64            // µs
	cpu      map[string]float64 // µs of each process per request
}

// total is the processor time of all processes per request.
func (m measurement) total() (sum float64) {
	for _, v := range m.cpu {
		sum += v
	}
	return sum
}

func (m measurement) of(name metric) float64 {
	switch name {
	case p50:
		return m.p50
	case p99:
		return m.p99
	}
	return m.total()
}

// measure measures each row once in each round.
func measure(ctx context.Context, m *mesh, list []row, s settings, r *report) error {
	for _, w := range list {
		if err := m.warm(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
	}
	shown := map[string][]measurement{}
	for round := range s.rounds {
		for _, w := range list {
			fmt.Fprintf(os.Stderr, "\rround %d of %d: %-60s", round+1, s.rounds, w.name)
			got, err := m.measured(ctx, w, s.each, r)
			if err != nil {
				return fmt.Errorf("\n%s: %w", w.name, err)
			}
			shown[w.name] = append(shown[w.name], got)
		}
	}
	fmt.Fprintf(os.Stderr, "\r%-80s\r", "")
	for _, w := range list {
		line, err := m.conclude(w, shown)
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, line)
	}
	return nil
}

func (m *mesh) client(w row) client {
	c := client{
		connections: cmp.Or(w.connections, defaultConnections),
		http2:       w.http2, oneConnection: w.oneConnection, traffic: w.traffic,
	}
	if w.unloaded {
		c.connections, c.pause = 1, afterwards
	}
	if w.peer != "" {
		c.port = m.peers[w.peer].port
	} else {
		c.port = m.sites[w.proxy].Port
	}
	return c
}

// warm fills the caches, and makes the proxy follow the feed.
func (m *mesh) warm(ctx context.Context, w row) error {
	if w.fills {
		some, err := m.fill(ctx, w)
		if err != nil {
			return err
		}
		w.traffic.ring.widen(int(nearlyFull * float64(fullBytes*some.entries) / float64(some.bytes)))
		w.traffic.warm = w.traffic.ring.warm()
	}
	if !w.fills && !w.holds {
		return m.warmBy(ctx, w)
	}
	_, err := m.fill(ctx, w)
	return err
}

// fill asks for all of a ring until the L1 holds it: what times out on a busy machine isn't stored.
func (m *mesh) fill(ctx context.Context, w row) (got held, err error) {
	for range mostDisturbed {
		if err := m.warmBy(ctx, w); err != nil {
			return got, err
		}
		if got, err = m.awaitHeld(ctx, w.proxy, w.traffic.ring.len()); !errors.Is(err, errDisturbed) {
			break
		}
	}
	return got, err
}

// warmest is how long warming may take: a hundred thousand misses are one.
const warmest = 10 * time.Minute

func (m *mesh) warmBy(ctx context.Context, w row) error {
	load, err := m.client(w).until(ctx, warmest, w.traffic.warm)
	if n := len(load.latencies); err == nil && n < w.traffic.warm {
		err = fmt.Errorf("%d answers within %v, want %d", n, warmest, w.traffic.warm)
	}
	return cmp.Or(ctx.Err(), err)
}

// mostDisturbed is how often a measurement is repeated in which too few answers were what the row expects: on a
// machine that others use, calls time out now and then, and the breaker opens.
const mostDisturbed = 5

// measured is once, without what was disturbed; r counts that.
func (m *mesh) measured(ctx context.Context, w row, d time.Duration, r *report) (got measurement, err error) {
	for range mostDisturbed {
		got, err = m.once(ctx, w, d)
		if !errors.Is(err, errDisturbed) {
			return got, err
		}
		r.Disturbed++
		fmt.Fprintf(os.Stderr, "\n%s: %v; measured again\n", w.name, err)
	}
	return got, err
}

var errDisturbed = errors.New("not what the row measures")

// mostUnexpected is the share of answers that may lack what a row expects: the lease on L1
// may lapse on a busy machine, and the row's figures are of hits all the same.
const mostUnexpected = 0.01

func (m *mesh) once(ctx context.Context, w row, d time.Duration) (got measurement, err error) {
	// A moment for what the row before has left behind.
	if _, err = m.client(w).until(ctx, d/10, math.MaxInt); err != nil {
		return got, err
	}
	before, err := m.spent(w)
	if err != nil {
		return got, err
	}
	load, err := m.client(w).until(ctx, d, math.MaxInt)
	if err != nil {
		return got, err
	}
	if err := ctx.Err(); err != nil {
		return got, err
	}
	after, err := m.spent(w)
	if err != nil {
		return got, err
	}
	n := len(load.latencies)
	if float64(load.unexpected) > mostUnexpected*float64(n) {
		return got, fmt.Errorf("%w: %d of %d answers lack %q; one said %q", errDisturbed, load.unexpected, n, w.traffic.expect, load.example)
	}
	slices.Sort(load.latencies)
	at := func(p float64) float64 { return micros(load.latencies[int(p*float64(n-1))]) }
	got = measurement{rate: float64(n) / load.elapsed.Seconds(), p50: at(0.5), p99: at(0.99), cpu: map[string]float64{}}
	for name, spent := range after {
		got.cpu[name] = micros(spent-before[name]) / float64(n)
	}
	return got, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// spent is the processor time of the row's processes so far.
func (m *mesh) spent(w row) (map[string]time.Duration, error) {
	all := map[string]time.Duration{}
	processes, err := m.pids(w)
	if err != nil {
		return nil, err
	}
	for name, pids := range processes {
		for _, pid := range pids {
			spent, err := bench.ProcessorTime(pid)
			if err != nil {
				return nil, err
			}
			all[name] += spent
		}
	}
	return all, nil
}

func (m *mesh) pids(w row) (map[string][]int, error) {
	pids := map[string][]int{}
	if w.peer == "" {
		pids[processEnvoy] = []int{m.sites[w.proxy].PID()}
	} else {
		all, err := bench.WithChildren(m.peers[w.peer].PID())
		if err != nil {
			return nil, err
		}
		pids[w.peer] = all
	}
	for _, name := range w.processes {
		switch name {
		case processBridge:
			pids[name] = []int{m.sites[w.proxy].bridge.PID()}
		case processRedis:
			pids[name] = []int{m.Valkey.PID()}
		}
	}
	return pids, nil
}

// measureStart takes how long an Envoy needs from its start to its first answer.
func measureStart(ctx context.Context, m *mesh) (s start, err error) {
	for _, p := range []struct {
		proxy
		path string
		to   *spread
	}{
		{plain, "/direct/1", &s.Without}, {idle, "/direct/1", &s.Idle}, {idleAsCompiled, "/direct/1", &s.IdleAsCompiled},
		{caching, "/l1/1/0", &s.With}, {cachingAsCompiled, "/l1/1/0", &s.AsCompiled},
	} {
		var times []float64
		for range 3 {
			e := m.sites[p.proxy]
			if err := e.Kill(); err != nil {
				return s, err
			}
			began := time.Now()
			if err := e.Start(ctx); err != nil {
				return s, err
			}
			c := client{port: e.Port, connections: 1, traffic: get(p.path, "")}
			if _, err := c.until(ctx, time.Minute, 1); err != nil {
				return s, err
			}
			times = append(times, time.Since(began).Seconds())
		}
		*p.to = spreadOf(times)
	}
	return s, nil
}
