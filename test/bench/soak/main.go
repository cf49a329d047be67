// Command soak asks one proxy for very many different keys, each once, and shows
// what the processes' memory does meanwhile. Every request is a miss that is stored:
// L1 and Redis are full after a small part of the run, so from then on memory must
// stay where it is.
//
//	go run ./test/bench/soak -keys 10000000
//
// It needs build/chatcache.wasm, build/redisbridge, Envoy and Valkey, as `make soak`
// provides them, and prints a table; -json also writes the figures to a file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"time"

	"chatcache/test/bench"
	"chatcache/test/stack"
)

// policy caches every path of the origin for everybody.
const policy = `{
  "version": 1, "name": "soak",
  "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
  "l1": {"max_bytes": "%dMiB"},
  "caches": {"items": {"match": ["GET /items/{item}"], "ttl": "3600s", "shared": true}}
}`

type settings struct {
	keys, connections, body, l1 int
	redis                       string
	json                        string
}

func main() {
	var s settings
	flag.IntVar(&s.keys, "keys", 10_000_000, "how many different keys to ask for")
	flag.IntVar(&s.connections, "connections", 16, "how many connections ask at a time")
	flag.IntVar(&s.body, "body", 1024, "bytes of each response's body")
	flag.IntVar(&s.l1, "l1", 32, "MiB of L1 in each VM")
	flag.StringVar(&s.redis, "redis-memory", "128mb", "maxmemory of Redis, which then evicts entries (volatile-lru)")
	flag.StringVar(&s.json, "json", "", "file to write the figures to")
	flag.Parse()
	stack.Main("soak", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mesh, err := stack.Start(ctx, stack.Options{
		Dir: dir, Policy: fmt.Appendf(nil, policy, s.l1), Origin: origin(s.body),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	if err := boundRedis(ctx, mesh.Valkey.URL(), s.redis); err != nil {
		return err
	}
	r := report{
		Command: fmt.Sprintf("go run ./test/bench/soak -keys %d -connections %d -body %d -l1 %d -redis-memory %s", s.keys, s.connections, s.body, s.l1, s.redis),
		Machine: bench.Machine(), Go: runtime.Version(), Started: time.Now().UTC().Truncate(time.Second),
	}
	r.header(os.Stdout)
	clients, err := dial(ctx, mesh.Envoys[0], s.connections)
	if err != nil {
		return err
	}
	defer clients.close()
	err = r.take(ctx, mesh, clients, s.keys)
	if len(r.Samples) < 4 {
		return err
	}
	r.conclude(os.Stdout) // what is interrupted after an hour has shown something, too
	return errors.Join(err, bench.WriteIf(s.json, r))
}

// take asks for so many keys, and takes the samples.
func (r *report) take(ctx context.Context, mesh *stack.Stack, clients clients, keys int) error {
	const samples = 20
	began := time.Now()
	for i := range samples {
		from, to := keys*i/samples, keys*(i+1)/samples
		if err := clients.ask(ctx, from, to); err != nil {
			return err
		}
		sample, err := measure(ctx, mesh, to, time.Since(began))
		if err != nil {
			return err
		}
		r.add(os.Stdout, sample)
	}
	return nil
}
