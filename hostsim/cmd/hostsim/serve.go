package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/live"
)

const serveUsage = `usage: hostsim serve --wasm FILE --upstream URL [flags]

A local HTTP proxy that runs the module in front of the upstream, reloads when
the files of --wasm and --config change, and prints a line a request.
`

// serve is a local proxy that runs the module, until ctx is done.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	var m moduleFlags
	m.register(f)
	listen := f.String("listen", "127.0.0.1:10000", "`ADDRESS` to listen on")
	upstream := f.String("upstream", "", "`URL` of the server behind the proxy")
	rest, code := parse(f, serveUsage, args, stdout, stderr)
	if code >= 0 {
		return code
	}
	if len(rest) > 0 {
		return misused(f, stderr, fmt.Errorf("found %q, want flags only", rest[0]))
	}
	o, err := m.options()
	if err != nil {
		return misused(f, stderr, err)
	}
	if *upstream == "" {
		return misused(f, stderr, errors.New("--upstream is missing: where shall requests go?"))
	}
	u, err := parseURL(*upstream)
	if err != nil {
		return misused(f, stderr, fmt.Errorf("--upstream: %w", err))
	}
	s := &server{flags: m, out: &syncWriter{w: stdout}, poke: make(chan struct{}, 1)}
	o.Clock = hostsim.NewClock(time.Now())
	o.Seed = uint64(time.Now().UnixNano()) // ids that the module draws must be new to the clusters
	o.Clusters = m.handlers(o.Clock, s.poke, 0, s.out)
	const upstreamCluster = "upstream"
	o.Clusters[upstreamCluster] = live.NewCluster(o.Clock, u, s.poke, 0, s.out.failed(upstreamCluster))
	o.Route = hostsim.RouteTo(upstreamCluster)
	if err := s.run(ctx, o, *listen); err != nil {
		fmt.Fprintf(stderr, "hostsim serve: %v\n", err)
		return exitNo
	}
	return exitOK
}

// server is the running proxy; sim, proxy and what they print are touched on
// the loop only.
type server struct {
	flags moduleFlags
	out   *syncWriter
	poke  chan struct{}
	sim   *hostsim.Sim
	proxy *live.Proxy
}

// syncWriter is written to by the loop and by clusters.
type syncWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *syncWriter) printf(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.w, format, args...)
}

// failed prints why a cluster gave no whole answer.
func (w *syncWriter) failed(cluster string) func(error) {
	return func(err error) { w.printf("cluster %s: %v\n", cluster, err) }
}

func (s *server) run(ctx context.Context, o hostsim.Options, address string) error {
	sim, err := hostsim.New(o)
	if err != nil {
		return err
	}
	defer sim.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	s.sim, s.proxy = sim, live.New(sim, s.poke, s.print, s.printNews)
	server := &http.Server{Handler: s.proxy, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	loop, stopLoop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.proxy.Run(loop) })
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	s.out.printf("listening on http://%s, %d worker(s); reloads on change of module and configuration\n", l.Addr(), sim.Workers())
	err = s.watch(ctx, failed, o)
	ended, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	server.Shutdown(ended)
	server.Close()
	stopLoop()
	running.Wait()
	return err
}

// print tells of a request that has ended.
func (s *server) print(l live.Line) {
	cut := ""
	if !l.Complete {
		cut = " (cut)"
	}
	s.out.printf("%s %s %d%s %.1fms %s, %d host calls\n", l.Method, l.Path, l.Status, cut,
		float64(l.Took.Microseconds())/1000, l.Decision, l.HostCalls)
}

// printNews tells what the module logged and what Envoy wouldn't have survived,
// in requests or between them.
func (s *server) printNews() {
	for _, line := range s.sim.TakeLogs() {
		if s.flags.verbose {
			s.out.printf("  %s\n", line)
		}
	}
	for _, f := range s.sim.TakeFailures() {
		s.out.printf("%s\n", f.Error())
	}
}

// reloadEvery is how often the files are looked at.
const reloadEvery = 300 * time.Millisecond

// missingTold is how often in a row a file isn't there before that is said.
const missingTold = 3

// watch reloads what has changed until ctx is done or the server fails.
func (s *server) watch(ctx context.Context, failed <-chan error, o hostsim.Options) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	module, config, missing := o.Module, o.PluginConfig, 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			return err
		case <-tick.C:
		}
		newModule, err1 := os.ReadFile(s.flags.wasm)
		newConfig, err2 := readOptional(s.flags.config)
		if err := errors.Join(err1, err2); err != nil { // a file that is being written comes back
			if missing++; missing == missingTold {
				s.out.printf("the old module and configuration go on: %v\n", err)
			}
			continue
		}
		missing = 0
		if bytes.Equal(module, newModule) && bytes.Equal(config, newConfig) {
			continue
		}
		s.proxy.Do(func() { s.reload(!bytes.Equal(module, newModule), newModule, newConfig) })
		module, config = newModule, newConfig
	}
}

func readOptional(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return os.ReadFile(path)
}

func (s *server) reload(changed bool, module, config []byte) {
	what, err := "configuration", error(nil)
	if changed {
		what, err = "module", s.sim.Replace(module, config)
	} else {
		err = s.sim.Reconfigure(config)
	}
	if err != nil {
		s.out.printf("the new %s is refused, the old one goes on: %v\n", what, err)
		return
	}
	s.out.printf("reloaded the %s\n", what)
}
