package mesh_test

import (
	"net/http"
	"strings"
	"testing"

	"chatcache/hostsim"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

// BenchmarkOnWasm is what a request costs in the module itself, on wazero: a hit in the VM's memory, and a
// request that no rule matches. What the simulated proxy does for each request is in both; "host-calls" are
// the module's, and what a proxy has to do beside them.
func BenchmarkOnWasm(b *testing.B) {
	module, err := mesh.FilterModule()
	if err != nil {
		b.Fatal(err)
	}
	clock := hostsim.NewClock(hostsim.DefaultStart)
	server := mesh.VirtualRedis(b, clock)
	bridge := mesh.VirtualBridge(b, clock, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{server.Addr()}}})
	body := strings.Repeat("x", 1024)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(body)) })
	sim := hostsim.RunT(b, hostsim.Options{
		Module: module, Clock: clock, Route: hostsim.RouteTo("chat"), AllowOnHeadersStopIteration: true,
		Clusters: map[string]http.Handler{"redis-bridge": bridge, "chat": origin},
		Env:      map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		PluginConfig: []byte(`{"version": 1, "name": "bench", "identity": [{"header": "authorization"}], "bridge": {"cluster": "redis-bridge"},
			"caches": {"stats": {"match": ["GET /stats"], "ttl": "600s"}}, "invalidations": []}`),
	})
	for name, of := range map[string]struct{ path, status string }{
		"L1 hit":          {"/stats", "chatcache; hit; ttl=600; detail=l1"},
		"no rule matches": {"/elsewhere", ""},
	} {
		b.Run(name, func(b *testing.B) {
			request := hostsim.Get(of.path, "authorization", "Bearer ann")
			for range 3 {
				sim.Do(1, request)
				sim.Settle()
			}
			calls := 0
			b.ReportAllocs()
			for b.Loop() {
				stream := sim.Start(1, request)
				sim.Finish(stream)
				if got := stream.Response().Get("cache-status"); got != of.status {
					b.Fatalf("cache-status %q, want %q", got, of.status)
				}
				calls += stream.HostCalls()
			}
			b.ReportMetric(float64(calls)/float64(b.N), "host-calls/op")
		})
	}
}
