package scenarios

import (
	"net/http"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

const adminToken = stack.AdminToken

// simulated is a machine in this process, for one scenario.
type simulated struct {
	scenario.Target
	sim    *hostsim.Sim
	origin *scenario.Origin
}

// heard: in virtual time every run is the same.
func (simulated) heard() bool { return true }

func simulate(t *testing.T, s *scenario.Scenario, http2 bool) outcome {
	t.Helper()
	module, err := mesh.FilterModule()
	if err != nil {
		t.Fatal(err)
	}
	clock := hostsim.NewClock(time.Time{})
	target, origin, sim, err := scenario.OnSim(hostsim.Options{
		Module: module, PluginConfig: []byte(bothPolicies(t)), VMID: "chatcache", Clock: clock, Seed: 1,
		Env:           map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		NormalizePath: true, MergeSlashes: true, // as envoy/envoy.yaml
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
	server := mesh.VirtualRedis(t, clock)
	return mesh.VirtualBridge(t, clock, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{server.Addr()}}})
}

func (s simulated) reset() *scenario.Origin     { return s.origin }
func (s simulated) tick()                       { s.Advance(5 * time.Millisecond) }
func (s simulated) Counters() map[string]uint64 { s.sim.Settle(); return s.sim.Counters() }
