package scenarios

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

const adminToken = stack.AdminToken

// files are what both machines run: the filter and the chat policy.
var files = sync.OnceValues(func() (f struct{ module, policy []byte }, err error) {
	root, err := stack.Root()
	if err != nil {
		return f, err
	}
	if err = stack.Build(context.Background(), root, "build/chatcache.wasm"); err != nil {
		return f, err
	}
	if f.module, err = os.ReadFile(filepath.Join(root, "build", "chatcache.wasm")); err != nil {
		return f, err
	}
	f.policy, err = os.ReadFile(filepath.Join(root, "envoy", "chat.policy.json"))
	// A loaded machine must not turn a hit into a bypass.
	f.policy = bytes.Replace(f.policy, []byte(`"timeout": "50ms"`), []byte(`"timeout": "`+mesh.Patience+`"`), 1)
	return f, err
})

// simulated is a machine in this process, for one scenario.
type simulated struct {
	scenario.Target
	sim    *hostsim.Sim
	origin *scenario.Origin
}

func simulate(t *testing.T, s *scenario.Scenario, http2 bool) outcome {
	t.Helper()
	f, err := files()
	if err != nil {
		t.Fatal(err)
	}
	clock := hostsim.NewClock(time.Time{})
	target, origin, sim, err := scenario.OnSim(hostsim.Options{
		Module: f.module, PluginConfig: f.policy, VMID: "chatcache", Clock: clock, Seed: 1,
		Env:                         map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		AllowOnHeadersStopIteration: true, Policy: hostsim.FailReload, RouteTimeout: 300 * time.Second,
		Patience: 10 * time.Minute,
		Clusters: map[string]http.Handler{bridgeCluster: bridge(t, clock)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	o := run(t, simulated{target, sim, origin}, s, http2)
	for _, f := range sim.TakeFailures() {
		t.Error(f.Error())
	}
	return o
}

// bridge is one on miniredis, both in the clock's time.
func bridge(t *testing.T, clock *hostsim.Clock) http.Handler {
	server := miniredis.RunT(t)
	last := clock.Now()
	server.SetTime(last)
	clock.OnAdvance(func(now time.Time) {
		server.SetTime(now)
		server.FastForward(now.Sub(last))
		last = now
	})
	b, err := redisbridge.New(redisbridge.Options{
		Redis: redis.UniversalOptions{Addrs: []string{server.Addr()}}, Timeout: mesh.BridgePatience, Miniredis: true, Bootstrap: true,
		Token: stack.BridgeToken, AdminToken: adminToken, Clock: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func (s simulated) reset() *scenario.Origin     { return s.origin }
func (s simulated) tick()                       { s.Advance(5 * time.Millisecond) }
func (s simulated) counters() map[string]uint64 { s.sim.Settle(); return s.sim.Counters() }
