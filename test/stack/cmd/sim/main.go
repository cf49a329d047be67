// Command sim is `make sim`: the filter in hostsim, in front of the sample chat
// API, with a bridge that keeps everything in memory, on loopback, until Ctrl-C.
// It needs neither Envoy nor a Redis server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"chatcache/test/chatapi"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

type settings struct {
	ports   stack.Ports
	latency float64
}

func main() {
	s, err := readSettings(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "make sim:", err)
		os.Exit(2)
	}
	flag.IntVar(&s.ports.Envoy, "port", s.ports.Envoy, "`PORT` of the proxy (ENVOY_PORT); 0 takes a free one, as for the others")
	flag.IntVar(&s.ports.Bridge, "bridge-port", s.ports.Bridge, "`PORT` of the bridge (BRIDGE_PORT)")
	flag.IntVar(&s.ports.Origin, "chatapi-port", s.ports.Origin, "`PORT` of the sample chat API (CHATAPI_PORT)")
	flag.Float64Var(&s.latency, "latency", s.latency, "scale of the sample API's latencies (CHATAPI_LATENCY); 0 answers at once")
	flag.Parse()
	if flag.NArg() > 0 || !(s.latency >= 0 && s.latency <= 100) {
		flag.Usage()
		os.Exit(2)
	}
	stack.Main("make sim", func(ctx context.Context) error { return run(ctx, s, os.Stdout) })
}

// readSettings reads the environment. There is neither an Envoy's admin interface nor a Valkey.
func readSettings(getenv func(string) string) (s settings, err error) {
	s.ports, s.latency, err = stack.Environment(getenv)
	s.ports.EnvoyAdmin, s.ports.Valkey = 0, 0
	return s, err
}

// run starts everything and returns when ctx is done, or with an error when a
// part ended on its own.
func run(ctx context.Context, s settings, out io.Writer) error {
	dir, err := os.MkdirTemp("", "chatcache-sim-")
	if err != nil {
		return err
	}
	sim, err := stack.StartSimulator(ctx, stack.Options{
		Dir: dir, Ports: s.ports, Origin: chatapi.New(chatapi.Options{Latency: s.latency}),
	})
	if errors.Is(err, loopback.ErrPortTaken) {
		err = fmt.Errorf("%w\n  Choose others with ENVOY_PORT, BRIDGE_PORT or CHATAPI_PORT.", err)
	}
	if err != nil {
		return stack.Failed(ctx, dir, err)
	}
	stack.WarmUp(ctx, sim.URL())
	fmt.Fprint(out, strings.NewReplacer(
		"{proxy}", sim.URL(), "{bridge}", sim.BridgeURL(), "{origin}", sim.Origin.URL(), "{log}", sim.Proxy.Log,
	).Replace(banner))
	died := sim.Wait(ctx)
	fmt.Fprintln(out, "\nstopping")
	if err := errors.Join(died, sim.Close()); err != nil {
		return err // the logs stay
	}
	return os.RemoveAll(dir)
}

const banner = `
  chat API through the simulator  {proxy}
  bridge, in memory               {bridge}
  sample chat API                 {origin}
  a line for each request         {log}

A miss takes what the API takes, a hit a few milliseconds (any bearer token is a user):

  curl -s -o /dev/null -D - -w 'took %{time_total} s\n' -H 'authorization: Bearer ada' {proxy}/api/chat/stats

A write drops exactly what it made stale; ask again after it:

  curl -s -X POST -H 'authorization: Bearer ada' -d '{"title":"hello"}' {proxy}/api/chat/sessions

Everything is dropped by a purge, and a change of envoy/chat.policy.json is loaded at once:

  build/redisbridge purge --all --bridge {bridge}

Ctrl-C stops everything.
`
