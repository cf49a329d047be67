// Command proxy measures what a request costs: with the filter in all that it does, and
// with proxies that lack it, one after the other in each of several rounds.
//
//	go run ./test/bench/proxy -json test/bench/proxy/result.json -markdown test/bench/proxy/RESULT.md
//
// It needs build/chatcache.wasm, build/noop.wasm, build/redisbridge, Envoy and Valkey, as
// `make bench` provides them. Envoy, with one worker, the bridge and Valkey run on the first
// processor; what asks them, and the origin, on the last. So four workers share one, too: their
// rows tell what a hit costs where each worker has a VM of its own, and not how many more of them
// four processors would serve. A request's cost is processor time as
// the kernel accounts it to each process, so that it doesn't depend on how fast the client is.
// Every figure is the median of the rounds, every ratio that of the rounds' ratios: what
// else the machine does meanwhile falls on both alike.
//
// main.go only wires: rows.go says what is measured, mesh.go what is started, load.go sends the
// requests, round.go measures, report.go prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"time"

	"chatcache/test/bench"
	"chatcache/test/stack"
)

type settings struct {
	rounds         int
	each           time.Duration
	only           string
	peers          bool
	json, markdown string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 7, "how often each row is measured")
	flag.DurationVar(&s.each, "each", 1500*time.Millisecond, "how long each measurement takes")
	flag.StringVar(&s.only, "rows", "", "regular expression: only these rows, and those that they are compared with; without the time to start")
	flag.BoolVar(&s.peers, "peers", false, "also other products' caches that this machine has: nginx, with Lua and Redis, too, Varnish, Node with ioredis")
	flag.StringVar(&s.json, "json", "", "file to write the figures to; those that it holds are compared with")
	flag.StringVar(&s.markdown, "markdown", "", "file to write the table to")
	flag.Parse()
	stack.Main("bench", func(ctx context.Context) error { return run(ctx, s) })
}

func run(ctx context.Context, s settings) (err error) {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	all := rows()
	if s.peers {
		all = append(all, peerRows()...)
	}
	chosen, err := choose(all, only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "chatcache-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := startMesh(ctx, dir, chosen)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	r := newReport(s)
	if r.Missing, err = m.startPeers(ctx, dir, chosen); err != nil {
		return err
	}
	chosen = slices.DeleteFunc(chosen, func(w row) bool { return r.Missing[w.peer] != "" })
	if err := m.pin(); err != nil {
		return err
	}
	if r.Envoy, r.Redis, err = m.versions(ctx); err != nil {
		return err
	}
	if err := measure(ctx, m, chosen, s, &r); err != nil {
		return err
	}
	if s.only == "" {
		if r.Start, err = measureStart(ctx, m); err != nil {
			return err
		}
	}
	if r.Module, err = moduleSize(); err != nil {
		return err
	}
	return r.publish(s)
}

// publish prints the report, and writes it to the files that were asked for.
func (r *report) publish(s settings) error {
	before, err := readReport(s.json)
	if err != nil {
		return err
	}
	r.End()
	r.print(os.Stdout, before)
	return errors.Join(bench.WriteTextIf(s.markdown, r.markdown), bench.WriteIf(s.json, r))
}
