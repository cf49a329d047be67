package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"chatcache/test/loopback"
)

// Simulator is the filter in hostsim, with a bridge that keeps everything in
// its own memory: neither Envoy nor a Redis server is needed.
type Simulator struct {
	Proxy  *Process
	Bridge *Process
	Origin *Origin

	ports Ports
	died  chan *Process
}

// StartSimulator starts origin, bridge and hostsim with the chat policy, and
// returns once they serve. Of the options it uses Dir, Policy, BridgeArgs, Origin and the
// ports of Envoy (for the proxy), bridge and origin. On an error nothing is left running.
func StartSimulator(ctx context.Context, o Options) (*Simulator, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	if err := o.Ports.fill(); err != nil {
		return nil, err
	}
	s := &Simulator{ports: o.Ports, died: make(chan *Process, 2)}
	s.Origin = &Origin{Port: o.Ports.Origin, handler: o.Origin}
	policy := filepath.Join(root, "envoy", "chat.policy.json")
	if o.Policy != nil {
		policy = filepath.Join(o.Dir, "policy.json")
		if err := os.WriteFile(policy, o.Policy, 0o644); err != nil {
			return nil, err
		}
	}
	s.Bridge = &Process{
		Name: "redisbridge", Log: filepath.Join(o.Dir, "redisbridge.log"), died: s.died,
		command: func(int) *exec.Cmd {
			args := []string{"serve", "--memory", "--insecure", "--bootstrap", "--listen", loopback.Addr(o.Ports.Bridge), "--policy", policy}
			cmd := exec.Command(filepath.Join(root, "build", "redisbridge"), append(args, o.BridgeArgs...)...)
			cmd.Env = append(os.Environ(), "CHATCACHE_PARTITION_SECRET="+PartitionSecret) // for purge --rule --identity
			return cmd
		},
		probe: func(ctx context.Context) error { return ExpectOK(ctx, s.BridgeURL()+"/readyz") },
	}
	s.Proxy = &Process{
		Name: "hostsim", Log: filepath.Join(o.Dir, "hostsim.log"), died: s.died,
		command: func(int) *exec.Cmd {
			cmd := exec.Command(filepath.Join(root, "build", "hostsim"), "serve", "--listen", loopback.Addr(o.Ports.Envoy),
				"--wasm", filepath.Join(root, "build", "chatcache.wasm"), "--config", policy,
				"--env", "CHATCACHE_PARTITION_SECRET=$CHATCACHE_PARTITION_SECRET", "--allow-on-headers-stop-iteration", "--normalize-path",
				"--upstream", s.Origin.URL(), "--cluster", "redis-bridge="+s.BridgeURL())
			cmd.Env = append(os.Environ(), "CHATCACHE_PARTITION_SECRET="+PartitionSecret)
			return cmd
		},
		probe: func(ctx context.Context) error { return Connects(ctx, o.Ports.Envoy) },
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Simulator) start(ctx context.Context) error {
	if s.Origin.handler == nil {
		s.Origin.handler = http.NotFoundHandler()
	}
	if err := s.Origin.Start(ctx); err != nil {
		return err
	}
	if err := s.Bridge.Start(ctx); err != nil {
		return err
	}
	return s.Proxy.Start(ctx)
}

// Connects gives nil once a port on loopback takes connections: a probe for [NewProcess].
func Connects(ctx context.Context, port int) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", loopback.Addr(port))
	if err != nil {
		return err
	}
	return conn.Close()
}

// URL is the simulated proxy's base URL.
func (s *Simulator) URL() string { return "http://" + loopback.Addr(s.ports.Envoy) }

// BridgeURL is the bridge's base URL.
func (s *Simulator) BridgeURL() string { return "http://" + loopback.Addr(s.ports.Bridge) }

// Wait returns when ctx is done, with nil, or when a process ended that nobody
// stopped, with an error that wraps [ErrExited].
func (s *Simulator) Wait(ctx context.Context) error {
	return waitForDeath(ctx, s.died)
}

// Close stops everything.
func (s *Simulator) Close() error {
	return errors.Join(s.Proxy.Stop(), s.Bridge.Stop(), s.Origin.Stop())
}

// waitForDeath returns when ctx is done, or tells of a process that died.
func waitForDeath(ctx context.Context, died <-chan *Process) error {
	select {
	case <-ctx.Done():
		return nil
	case p := <-died:
		return fmt.Errorf("%s: %w: %s; the end of its log (%s):\n%s", p.Name, ErrExited, p.ending, p.Log, p.LogTail(20))
	}
}
