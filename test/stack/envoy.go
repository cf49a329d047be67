package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"chatcache/test/loopback"
)

// ErrRefused says that Envoy refused a new configuration and keeps the old one.
var ErrRefused = errors.New("refused by Envoy")

// drainSeconds is how long an old plugin lives on beside its successor after a
// change of policy. Envoy's own default is 600 s.
const drainSeconds = 5

// Envoy is one proxy of the mesh.
type Envoy struct {
	*Process
	Port, AdminPort int

	shipped       []byte
	configuration Configuration // as rendered last
	version       int
}

func newEnvoys(o Options, paths programs, died chan<- *Process) ([]*Envoy, error) {
	shipped, err := os.ReadFile(paths.configuration)
	if err != nil {
		return nil, err
	}
	envoys := make([]*Envoy, o.Envoys)
	ports := o.Ports
	for i := range envoys {
		if i > 0 {
			ports = Ports{}
			if err := ports.fill(); err != nil {
				return nil, err
			}
		}
		envoys[i] = &Envoy{
			Port: ports.Envoy, AdminPort: ports.EnvoyAdmin, shipped: shipped,
			configuration: Configuration{
				Listener: ports.Envoy, Admin: ports.EnvoyAdmin, Origin: o.Ports.Origin,
				Filter: paths.filter, Front: o.Front, Loopback: o.Loopback, Upstream: o.Upstream, ToBridge: o.ToBridge, BridgeSocket: o.BridgeSocket,
				ListenersPath: filepath.Join(o.Dir, fmt.Sprintf("envoy-%d.listeners.json", i)),
			},
		}
		if o.Manager != nil {
			envoys[i].configuration.Manager = func(typedConfig map[string]any) { o.Manager(i, typedConfig) }
		}
		if err := envoys[i].prepare(i, o, paths, died); err != nil {
			return nil, err
		}
	}
	return envoys, nil
}

func (e *Envoy) prepare(i int, o Options, paths programs, died chan<- *Process) error {
	name := fmt.Sprintf("envoy-%d", i)
	var err error
	if e.configuration.Bridge, err = o.between(name, "redisbridge", o.Ports.Bridge); err != nil {
		return err
	}
	bootstrap := filepath.Join(o.Dir, name+".json")
	rendered, err := e.render(o.Policy)
	if err != nil {
		return err
	}
	if err := errors.Join(os.WriteFile(bootstrap, rendered.Bootstrap, 0o644), os.WriteFile(e.configuration.ListenersPath, rendered.Listeners, 0o644)); err != nil {
		return err
	}
	e.Process = &Process{
		Name: name, Log: filepath.Join(o.Dir, name+".log"), died: died,
		command: func(int) *exec.Cmd {
			cmd := exec.Command(paths.envoy, "-c", bootstrap, "--concurrency", strconv.Itoa(o.Workers),
				"--disable-hot-restart", "--component-log-level", "main:warning", "--file-flush-interval-msec", "100", "--drain-time-s", strconv.Itoa(drainSeconds), "--drain-strategy", "immediate",
				"--log-format", "[%Y-%m-%d %T.%e][%t][%l][%n] %v")
			cmd.Dir = o.Dir
			cmd.Env = append(os.Environ(), "CHATCACHE_PARTITION_SECRET="+PartitionSecret, "CHATCACHE_BRIDGE_TOKEN="+BridgeToken)
			return cmd
		},
		probe: e.ready,
	}
	return nil
}

// URL is the proxy's base URL.
func (e *Envoy) URL() string { return "http://" + loopback.Addr(e.Port) }

// AdminURL is the base URL of the admin interface.
func (e *Envoy) AdminURL() string { return "http://" + loopback.Addr(e.AdminPort) }

func (e *Envoy) render(policy []byte) (Rendered, error) {
	e.version++
	e.configuration.Policy, e.configuration.Version = policy, strconv.Itoa(e.version)
	return Render(e.shipped, e.configuration)
}

// SetPolicy gives the running Envoy another policy and returns once it is in
// force. Where Envoy refuses it, the error wraps [ErrRefused] and carries
// Envoy's reason, and the policy before stays in force.
func (e *Envoy) SetPolicy(ctx context.Context, policy []byte) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	rendered, err := e.render(policy)
	if err != nil {
		return err
	}
	before, err := e.listenerState(ctx)
	if err != nil {
		return err
	}
	// Envoy looks when a file is moved into place, not when one is written.
	path := e.configuration.ListenersPath
	if err := errors.Join(os.WriteFile(path+".next", rendered.Listeners, 0o644), os.Rename(path+".next", path)); err != nil {
		return err
	}
	return e.awaitListeners(ctx, before)
}

// ready tells whether Envoy serves its listener. An Envoy whose first listener
// was refused calls itself ready all the same, and listens to nothing.
func (e *Envoy) ready(ctx context.Context) error {
	if err := ExpectOK(ctx, e.AdminURL()+"/ready"); err != nil {
		return err
	}
	state, err := e.listenerState(ctx)
	if err == nil && state.Refused.Details != "" {
		err = fmt.Errorf("listener %w: %s", ErrRefused, state.Refused.Details)
	}
	return err
}

// awaitListeners returns when Envoy has taken or refused a listener since before.
func (e *Envoy) awaitListeners(ctx context.Context, before listenerState) error {
	for {
		now, err := e.listenerState(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("%s: listeners: %w", e.Name, err)
		case now.Refused != before.Refused:
			return fmt.Errorf("%s: policy %w: %s", e.Name, ErrRefused, now.Refused.Details)
		case now.Active != before.Active:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: neither took nor refused the listener: %w", e.Name, ctx.Err())
		case <-time.After(probeEvery):
		}
	}
}

// listenerState tells one state of a listener from the next: an update that
// changes filters only leaves the version as it was, but not the time.
type listenerState struct {
	Active struct {
		Updated string `json:"last_updated"`
	} `json:"active_state"`
	Refused struct {
		At      string `json:"last_update_attempt"`
		Details string `json:"details"`
	} `json:"error_state"`
}

func (e *Envoy) listenerState(ctx context.Context) (listenerState, error) {
	text, err := e.Admin(ctx, "/config_dump?resource=dynamic_listeners")
	if err != nil {
		return listenerState{}, err
	}
	var dump struct {
		Configs []listenerState `json:"configs"`
	}
	if err := json.Unmarshal([]byte(text), &dump); err != nil {
		return listenerState{}, fmt.Errorf("config_dump: %w", err)
	}
	var state listenerState
	for _, c := range dump.Configs { // what was refused stands in an entry of its own
		state.Active = cmp.Or(state.Active, c.Active)
		state.Refused = cmp.Or(state.Refused, c.Refused)
	}
	return state, nil
}

// Admin asks the admin interface for a path ("/stats?filter=chatcache").
func (e *Envoy) Admin(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.AdminURL()+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: admin %s answered %s", e.Name, path, resp.Status)
	}
	return string(body), err
}
