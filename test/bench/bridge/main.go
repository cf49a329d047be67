// Command bridge measures what one bridge bears: how much processor time a lookup takes, beside a
// bare HTTP server that does one GET in Redis for each request; how much memory very many
// followers of its feed take; and how long a raise needs to reach very many of them.
//
//	go run ./test/bench/bridge -json test/bench/bridge/result.json -markdown test/bench/bridge/RESULT.md
//
// It needs build/redisbridge, build/bare and Valkey, as `make bench-bridge` provides them, and prints
// the figures and which targets were met. The servers have
// the first processor to themselves while lookups are measured; this program and Redis
// share the last one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"chatcache/redisbridge/wire"
	"chatcache/test/bench"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// patient bridges give Redis up so late that a busy machine costs time, and not answers.
var patient = []string{"--timeout", "1s", "--breaker-failures", "0"}

type settings struct {
	rounds         int
	each           time.Duration
	followers      int
	vms, raises    int
	json, markdown string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of lookups, each at the bare server and then at the bridge, one by one and gathered")
	flag.DurationVar(&s.each, "each", 4*time.Second, "how long each of them takes")
	flag.IntVar(&s.followers, "followers", targetFollowers, "followers of the feed whose memory is measured")
	flag.IntVar(&s.vms, "vms", targetVMs, "VMs that raises are to reach")
	flag.IntVar(&s.raises, "raises", 100, "how many raises to follow")
	flag.StringVar(&s.json, "json", "", "file to write the figures to")
	flag.StringVar(&s.markdown, "markdown", "", "file to write the tables to")
	flag.Parse()
	stack.Main("bridge", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "bridge")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mesh, err := stack.Start(ctx, stack.Options{Dir: dir, Envoys: -1, BridgeArgs: patient})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	r := report{Run: bench.Begin(fmt.Sprintf("go run ./test/bench/bridge -rounds %d -each %v -followers %d -vms %d -raises %d", s.rounds, s.each, s.followers, s.vms, s.raises))}
	if r.Envoy, r.Redis, err = bench.Versions(ctx, mesh); err != nil {
		return err
	}
	if r.Reach, err = measureReach(ctx, mesh, s.vms, s.raises); err != nil {
		return fmt.Errorf("%d VMs: %w", s.vms, err)
	}
	for _, m := range []struct {
		by     manner
		count  int
		memory *memory
	}{
		{byHTTP2, s.followers, &r.Memory}, {byHTTP1, s.followers, &r.Plain},
		{byHTTP1Twice, s.followers / 2, &r.Twice}, // a process may have so many connections where it may have 20,000 files
	} {
		if err := mesh.Bridge.Restart(ctx); err != nil { // memory that it has had once counts no more
			return err
		}
		if *m.memory, err = measureMemory(ctx, mesh, m.by, m.count); err != nil {
			return fmt.Errorf("%d followers, %s: %w", m.count, m.by.name, err)
		}
	}
	if err := mesh.Bridge.Restart(ctx); err != nil {
		return err
	}
	if r.Lookups, err = measureLookups(ctx, mesh, dir, s); err != nil {
		return fmt.Errorf("lookups: %w", err)
	}
	r.End()
	r.print(os.Stdout)
	return errors.Join(bench.WriteTextIf(s.markdown, r.print), bench.WriteIf(s.json, r))
}

// startBare starts the server that the bridge is compared with.
func startBare(ctx context.Context, mesh *stack.Stack, dir string) (*stack.Process, int, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, 0, err
	}
	port, err := loopback.FreePort()
	if err != nil {
		return nil, 0, err
	}
	bare := stack.NewProcess("bare", filepath.Join(dir, "bare.log"), func(int) *exec.Cmd {
		return exec.Command(filepath.Join(root, "build", "bare"), "-listen", loopback.Addr(port), "-redis", mesh.Valkey.URL())
	}, func(ctx context.Context) error { return stack.Connects(ctx, port) })
	return bare, port, bare.Start(ctx)
}

// pin gives the servers the first processor; this program and Redis share the last one.
func pin(servers []server, redis int) error {
	allowed, err := bench.Processors()
	if err != nil {
		return err
	}
	last := allowed[len(allowed)-1]
	errs := []error{bench.Pin(redis, last), bench.Pin(os.Getpid(), last)}
	for _, s := range servers {
		errs = append(errs, bench.Pin(s.pid, allowed[0]))
	}
	return errors.Join(errs...)
}

// measureLookups alternates between the bare server and the bridge, which is asked for one at a time, as by a worker that has few under
// way, and for sixteen, as by one that has many.
func measureLookups(ctx context.Context, mesh *stack.Stack, dir string, s settings) (l lookups, err error) {
	if err := fill(ctx, mesh.Bridge.Port); err != nil {
		return l, err
	}
	bare, port, err := startBare(ctx, mesh, dir)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, bare.Stop()) }()
	servers := []server{
		{port: port, pid: bare.PID(), path: "/", expect: make([]byte, payload), lookups: 1},
		{port: mesh.Bridge.Port, pid: mesh.Bridge.PID(), path: wire.PathLookup, expect: make([]byte, payload), lookups: 1},
		{port: mesh.Bridge.Port, pid: mesh.Bridge.PID(), path: wire.PathLookups, expect: make([]byte, payload), lookups: wire.MaxLookups},
	}
	for user := range users {
		servers[0].bodies = append(servers[0].bodies, []byte(key(user)))
		servers[1].bodies = append(servers[1].bodies, lookupOf(user).Encode())
		servers[2].bodies = append(servers[2].bodies, lookupsFrom(user).Encode())
	}
	if err := pin(servers, mesh.Valkey.PID()); err != nil {
		return l, err
	}
	costs := make([][]cost, len(servers))
	for range s.rounds {
		for i, server := range servers {
			c, err := server.measure(ctx, mesh.Valkey.PID(), s.each)
			if err != nil {
				return l, err
			}
			costs[i] = append(costs[i], c)
		}
	}
	return newLookups(costs[0], costs[1], costs[2]), nil
}

// measureMemory takes the bridge's memory once its followers have polled a few times.
func measureMemory(ctx context.Context, mesh *stack.Stack, by manner, count int) (m memory, err error) {
	f, err := follow(ctx, by, mesh.Bridge.Port, count)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.end()) }()
	before, err := spent(mesh.Bridge.PID(), mesh.Valkey.PID())
	if err != nil {
		return m, err
	}
	polls := f.polls.Load()
	const lasts = 10 * time.Second
	time.Sleep(lasts)
	after, err := spent(mesh.Bridge.PID(), mesh.Valkey.PID())
	if err != nil {
		return m, err
	}
	m = memory{Followers: count, PollsPerSecond: float64(f.polls.Load()-polls) / lasts.Seconds()}
	m.CPU, m.RedisCPU = (after[0]-before[0]).Seconds()/lasts.Seconds(), (after[1]-before[1]).Seconds()/lasts.Seconds()
	m.Failed = f.failed.Load()
	m.MiB, err = bench.ResidentMiB(mesh.Bridge.PID())
	return m, err
}

// measureReach raises, and takes how long it is until every VM has been told.
func measureReach(ctx context.Context, mesh *stack.Stack, vms, raises int) (r reach, err error) {
	f, err := follow(ctx, byHTTP2, mesh.Bridge.Port, vms)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.end()) }()
	c, err := dial(ctx, mesh.Bridge.Port, wire.PathClose)
	if err != nil {
		return r, err
	}
	defer c.close()
	var times []float64
	for i := range raises {
		time.Sleep(time.Duration(100+rand.IntN(200)) * time.Millisecond)
		m := wire.CloseRequest{Scope: scope, ID: fmt.Sprint("raise-", i), Groups: []string{wire.GroupCache("stats")}, Raise: true}
		began := time.Now()
		text, err := c.call(m.Encode())
		if err != nil {
			return r, err
		}
		ack, err := wire.DecodeAck(text)
		if err != nil {
			return r, err
		}
		if err := f.await(ctx, ack.Ticket.Sequence); err != nil {
			return r, err
		}
		times = append(times, float64(time.Since(began).Microseconds())/1000)
	}
	r = newReach(vms, times)
	r.Failed = f.failed.Load()
	return r, nil
}
