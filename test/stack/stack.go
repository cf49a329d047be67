package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"chatcache/test/loopback"

	"golang.org/x/sync/errgroup"
)

// What the parts of a mesh on loopback share. They protect nothing: everything
// listens on 127.0.0.1 and holds sample data.
const (
	PartitionSecret = "sample-partition-secret-0123456789"
	BridgeToken     = "sample-bridge-token"
	AdminToken      = "sample-admin-token"
)

// Ports are the ports on 127.0.0.1 to use; 0 means a free one.
type Ports struct {
	Envoy, EnvoyAdmin int // of the first Envoy; the others always get free ones
	Bridge            int
	Origin            int
	Valkey            int
}

// Options say what to start. The zero value is one Envoy with one worker, the
// chat policy and no origin but a 404.
type Options struct {
	Dir     string       // for logs and configurations; must exist
	Envoys  int          // how many; 0 means 1, less than that none
	Workers int          // threads of each Envoy that serve; 0 means 1
	Policy  []byte       // default: envoy/chat.policy.json
	Origin  http.Handler // what the cluster "chat" leads to
	Ports   Ports
	// OriginPort is that of a server which runs already and stands in for Origin.
	OriginPort int
	// RedisURL uses a server that runs already instead of starting one.
	RedisURL string
	// BridgeSocket is the path of a Unix socket by which the Envoys reach the bridge; by its port if
	// empty. ValkeySocket is one that Valkey listens on beside its port.
	BridgeSocket, ValkeySocket string
	// Front are HTTP filters to put before the cache, as parsed JSON has them.
	Front []any
	// Manager changes the HTTP connection manager of an Envoy, counted from 0, see
	// [Configuration].
	Manager func(envoy int, typedConfig map[string]any)
	// Upstream changes the cluster that leads to the origin, of every Envoy.
	Upstream func(cluster map[string]any)
	// ToBridge changes the one that leads to the bridge, likewise.
	ToBridge func(cluster map[string]any)
	// Loopback names a cluster that leads to the Envoy's own listener; none if empty.
	Loopback string
	// BridgeArgs are appended to the bridge's command line.
	BridgeArgs []string
	// Between lets something stand between two parts, which are named as their
	// processes: it gives the port by which one reaches the other, whose own is port.
	// It is asked once for each Envoy and the bridge, and for the bridge and Valkey.
	Between func(from, to string, port int) (int, error)
}

// between gives the port by which a part reaches another.
func (o Options) between(from, to string, port int) (int, error) {
	if o.Between == nil {
		return port, nil
	}
	return o.Between(from, to, port)
}

// Stack is a running mesh.
type Stack struct {
	Envoys []*Envoy
	Bridge *Bridge
	Valkey *Valkey // nil with Options.RedisURL
	Origin *Origin // nil with Options.OriginPort

	died chan *Process
}

// Start starts the mesh and returns once every part can serve. On an error
// nothing is left running.
func Start(ctx context.Context, o Options) (*Stack, error) {
	o, paths, err := prepare(o)
	if err != nil {
		return nil, err
	}
	s := &Stack{died: make(chan *Process, o.Envoys+2)}
	if o.OriginPort == 0 {
		s.Origin = &Origin{Port: o.Ports.Origin, handler: o.Origin}
	}
	if o.RedisURL == "" {
		s.Valkey = newValkey(o, paths, s.died)
		port, err := o.between("redisbridge", s.Valkey.Name, s.Valkey.Port)
		if err != nil {
			return nil, err
		}
		o.RedisURL = redisURL(port)
	}
	s.Bridge = newBridge(o, paths, s.died)
	if s.Envoys, err = newEnvoys(o, paths, s.died); err != nil {
		return nil, err
	}
	if err := s.startAll(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Stack) startAll(ctx context.Context) error {
	if s.Origin != nil {
		if err := s.Origin.Start(ctx); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if s.Valkey != nil {
			if err := s.Valkey.Start(ctx); err != nil {
				return err
			}
		}
		return s.Bridge.Start(ctx)
	})
	for _, e := range s.Envoys {
		group.Go(func() error { return e.Start(ctx) })
	}
	return group.Wait()
}

// Processes gives every process of the mesh in the order in which Close stops
// them: nobody asks a part that has gone.
func (s *Stack) Processes() []*Process {
	var all []*Process
	for _, e := range s.Envoys {
		all = append(all, e.Process)
	}
	all = append(all, s.Bridge.Process)
	if s.Valkey != nil {
		all = append(all, s.Valkey.Process)
	}
	return all
}

// Close stops everything.
func (s *Stack) Close() error {
	var errs []error
	for _, p := range s.Processes() {
		errs = append(errs, p.Stop())
	}
	if s.Origin != nil {
		errs = append(errs, s.Origin.Stop())
	}
	return errors.Join(errs...)
}

// Wait returns when ctx is done, with nil, or when a process ended that nobody
// stopped, with an error that wraps [ErrExited], names it and shows its last words.
func (s *Stack) Wait(ctx context.Context) error {
	return waitForDeath(ctx, s.died)
}

// Failed makes the error of a mesh in a directory of its own that couldn't be started: [ErrInterrupted]
// alone where ctx was cancelled meanwhile. The directory is removed unless logs in it may say why.
func Failed(ctx context.Context, dir string, err error) error {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	interrupted := ctx.Err() != nil
	if interrupted {
		err = fmt.Errorf("%w before everything was ready", ErrInterrupted)
	}
	if interrupted || len(logs) == 0 {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// programs are the files that a mesh is made of.
type programs struct {
	root, envoy, valkey   string
	filter, bridge        string
	configuration, policy string
}

// prepare fills in defaults, finds the programs and reserves ports.
func prepare(o Options) (Options, programs, error) {
	o.Envoys, o.Workers = max(0, cmp.Or(o.Envoys, 1)), max(1, o.Workers)
	if o.RedisURL != "" {
		o.Ports.Valkey = 0 // none is started: its port may well be the server's
	}
	if o.Origin == nil {
		o.Origin = http.NotFoundHandler()
	}
	paths, err := findPrograms(o)
	if err != nil {
		return o, paths, err
	}
	if o.Policy == nil {
		if o.Policy, err = os.ReadFile(filepath.Join(paths.root, "envoy", "chat.policy.json")); err != nil {
			return o, paths, err
		}
	}
	paths.policy = filepath.Join(o.Dir, "policy.json")
	if err := os.WriteFile(paths.policy, o.Policy, 0o644); err != nil {
		return o, paths, err
	}
	o.Policy = slices.Clone(o.Policy)
	if o.OriginPort != 0 {
		o.Ports.Origin = 0 // it is taken
	}
	err = o.Ports.fill()
	o.Ports.Origin = cmp.Or(o.OriginPort, o.Ports.Origin)
	return o, paths, err
}

func findPrograms(o Options) (p programs, err error) {
	if p.root, err = Root(); err != nil {
		return p, err
	}
	if o.Envoys > 0 {
		if p.envoy, err = EnvoyPath(p.root); err != nil {
			return p, err
		}
	}
	if o.RedisURL == "" {
		if p.valkey, err = ValkeyPath(p.root); err != nil {
			return p, err
		}
	}
	p.filter = filepath.Join(p.root, "build", "chatcache.wasm")
	p.bridge = filepath.Join(p.root, "build", "redisbridge")
	p.configuration = filepath.Join(p.root, "envoy", "envoy.yaml")
	return p, nil
}

// fill replaces each 0 by a free port and refuses ports that are taken.
func (p *Ports) fill() error {
	var errs []error
	for _, port := range []*int{&p.Envoy, &p.EnvoyAdmin, &p.Bridge, &p.Origin, &p.Valkey} {
		var err error
		if *port == 0 {
			*port, err = loopback.FreePort()
		} else {
			err = loopback.CheckPort(*port)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
