// Command reach measures how long it takes until a raise has reached every VM of real
// Envoys, by their receipts, what processor time that takes, and what a purge costs with few and with very many entries
// in Redis.
//
//	go run ./test/bench/reach -json test/bench/reach/result.json
//
// It needs build/chatcache.wasm, build/redisbridge, Envoy and Valkey, as `make bench-reach`
// provides them, prints two tables, and writes the figures to a file with -json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"chatcache/test/bench"
	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

type settings struct {
	envoys, workers, raises, purges, entries int
	json                                     string
}

func main() {
	var s settings
	flag.IntVar(&s.envoys, "envoys", 2, "how many Envoys")
	flag.IntVar(&s.workers, "workers", 32, "workers of each, with a VM each")
	flag.IntVar(&s.raises, "raises", 500, "how many raises to follow")
	flag.IntVar(&s.purges, "purges", 2000, "how many purges to time with each number of entries")
	flag.IntVar(&s.entries, "entries", 1_000_000, "how many entries Redis holds in the end")
	flag.StringVar(&s.json, "json", "", "file to write the figures to")
	flag.Parse()
	stack.Main("reach", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp("", "reach")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mesh, err := stack.Start(ctx, stack.Options{
		BridgeArgs: []string{"--admin-rate", "0"}, // purges as fast as they are answered
		Dir:        dir, Envoys: s.envoys, Workers: s.workers, Origin: chatapi.New(chatapi.Options{}),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, mesh.Close()) }()
	r := report{Run: bench.Begin(fmt.Sprintf("go run ./test/bench/reach -envoys %d -workers %d -raises %d -purges %d -entries %d", s.envoys, s.workers, s.raises, s.purges, s.entries))}
	admin := administrator{bridge: mesh.Bridge.URL()}
	if r.Envoy, r.Redis, err = bench.Versions(ctx, mesh); err != nil {
		return err
	}
	if r.Purge, err = measurePurges(ctx, mesh, admin, s); err != nil {
		return err
	}
	if err := followAll(ctx, mesh, admin, s.envoys*s.workers); err != nil {
		return err
	}
	if r.Reach, err = measureReach(ctx, mesh, admin, s.envoys*s.workers, s.raises); err != nil {
		return err
	}
	r.End()
	r.print(os.Stdout)
	return bench.WriteIf(s.json, r)
}
