package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chatcache/test/chatapi"
	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// A rollout of a cache under traffic reaches its target while all is well, and turns the cache off when the origin
// answers something else than what is stored. On hostsim, and on Envoy.
func TestRollout(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		api := chatapi.New(chatapi.Options{})
		s := simulator(t, api)
		rolledOut(t, rolloutWorld{api: api, proxy: s.URL(), bridge: s.BridgeURL()})
	})
	t.Run("real", func(t *testing.T) {
		api := chatapi.New(chatapi.Options{})
		s := patientStack(t, stack.Options{Origin: api})
		rolledOut(t, rolloutWorld{api: api, proxy: s.Envoys[0].URL(), bridge: s.Bridge.URL()})
	})
}

// simulator runs hostsim and a bridge that keeps everything in memory, as `make sim` does.
func simulator(t *testing.T, origin http.Handler) *stack.Simulator {
	t.Helper()
	root, err := stack.Root()
	if err == nil {
		err = stack.Build(t.Context(), root, "build/chatcache.wasm", "build/redisbridge", "build/hostsim")
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.StartSimulator(t.Context(), patient(t, stack.Options{Dir: t.TempDir(), Origin: origin}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

type rolloutWorld struct {
	api           *chatapi.API
	proxy, bridge string
}

// redisbridge is the command, for an administrator of the world's bridge.
func (w rolloutWorld) redisbridge(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root, "build", "redisbridge"), append(args, "--bridge", w.bridge)...)
	cmd.Env = append(os.Environ(), "CHATCACHE_ADMIN_TOKEN="+stack.AdminToken)
	return cmd
}

const rolloutUsers = 12

// read reads one user's stats through the proxy.
func (w rolloutWorld) read(ctx context.Context, user int) (cacheStatus string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.proxy+"/api/chat/stats", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", fmt.Sprintf("Bearer user%d", user%rolloutUsers))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	return response.Header.Get("Cache-Status"), nil
}

// write adds to what the origin knows of every user, and no proxy sees it.
func (w rolloutWorld) write() {
	for user := range rolloutUsers {
		r := httptest.NewRequest(http.MethodPost, "/api/chat/sessions", strings.NewReader(`{"title":"unnoticed"}`))
		r.Header.Set("Authorization", fmt.Sprintf("Bearer user%d", user))
		w.api.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// each does something every so often until the test, or what is given back, ends it.
func each(t *testing.T, interval time.Duration, do func(ctx context.Context, n int)) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				do(ctx, n)
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// follows waits until a worker has spoken to the bridge: before that nobody answers --wait.
func (w rolloutWorld) follows(t *testing.T) {
	t.Helper()
	stack.WaitT(t, "the cache is asked", func(ctx context.Context) error {
		status, err := w.read(ctx, 0)
		if err == nil && !strings.Contains(status, "fwd=uri-miss") && !strings.Contains(status, "hit") {
			err = fmt.Errorf("Cache-Status %q", status)
		}
		return err
	})
}

func rolledOut(t *testing.T, w rolloutWorld) {
	w.follows(t)
	defer each(t, 10*time.Millisecond, func(ctx context.Context, n int) { _, _ = w.read(ctx, n) })()
	turnOff := func() {
		t.Helper()
		if out, err := w.redisbridge(t, "controls", "set", "stats", "off", "--wait").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	turnOff()
	events, err := w.rollout(t)
	if diff := cmp.Diff([]string{"set 50", "held 50", "set 100", "held 100", "done 100"}, events); err != nil || diff != "" {
		t.Fatalf("%v\n%s", err, diff)
	}

	turnOff()
	defer each(t, 300*time.Millisecond, func(context.Context, int) { w.write() })()
	events, err = w.rollout(t)
	if err == nil || events[len(events)-1] != "off 0" {
		t.Fatalf("%v: %q", err, events)
	}
	for user := range rolloutUsers {
		status, err := w.read(t.Context(), user)
		if err != nil || strings.HasPrefix(status, "chatcache; hit") {
			t.Errorf("after the breach: %v, %q", err, status)
		}
	}
}

// rollout runs the command and gives what it tells, without what depends on time.
func (w rolloutWorld) rollout(t *testing.T) (events []string, err error) {
	t.Helper()
	cmd := w.redisbridge(t, "rollout", "stats", "--to", "100", "--step", "50", "--hold", "2s",
		"--verify", "50", "--min-compared", "10", "--patience", "1m", "--max-errors", "1000", "--json")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	scanner := bufio.NewScanner(strings.NewReader(string(out)))
	for scanner.Scan() {
		var e struct {
			Cache, Event string
			Percent      float64
		}
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil || e.Cache != "stats" {
			t.Fatalf("%v: %s", err, scanner.Text())
		}
		if e.Event != "watching" {
			events = append(events, fmt.Sprintf("%s %v", e.Event, e.Percent))
		}
	}
	return events, err
}
