package mesh_test

import (
	"cmp"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"chatcache/hostsim"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

// BenchmarkOnWasm is what a request costs in the module itself, on wazero: a hit in the VM's memory, and a
// request that no rule matches. What the simulated proxy does for each request is in the time of both; "host-calls" are
// the module's, and what a proxy has to do beside them. "calls" are those of functions, the module's own and these, "functions" how
// many different ones: they are the same in every run, and in a proxy that does much else between two requests,
// fetching their code costs more than running it. With CHATCACHE_CALLS=1 and a module that has names
// (built without -ldflags=-s) the functions are listed.
func BenchmarkOnWasm(b *testing.B) {
	counted := map[string]int{}
	sim, traced := onWasm(b, nil), onWasm(b, func(function string) { counted[function]++ })
	for name, of := range map[string]struct{ path, status string }{
		"L1 hit":          {"/stats/1/2", "chatcache; hit; ttl=600; detail=l1"},
		"no rule matches": {"/elsewhere", ""},
	} {
		b.Run(name, func(b *testing.B) {
			request := hostsim.Get(of.path, "authorization", "Bearer ann")
			do := func(s *hostsim.Sim) *hostsim.Stream {
				stream := s.Start(1, request)
				s.Finish(stream)
				if got := stream.Response().Get("cache-status"); got != of.status {
					b.Fatalf("cache-status %q, want %q", got, of.status)
				}
				return stream
			}
			for _, s := range []*hostsim.Sim{sim, traced} {
				for range 3 {
					s.Do(1, request)
					s.Settle()
				}
			}
			clear(counted)
			do(traced)
			ofOne := maps.Clone(counted)
			calls := 0
			b.ReportAllocs()
			for b.Loop() {
				calls += do(sim).HostCalls()
			}
			b.ReportMetric(float64(calls)/float64(b.N), "host-calls/op")
			report(b, ofOne)
		})
	}
}

// report tells of the functions that one request has called, and how often.
func report(b *testing.B, counted map[string]int) {
	calls := 0
	for _, n := range counted {
		calls += n
	}
	b.ReportMetric(float64(calls), "calls/op")
	b.ReportMetric(float64(len(counted)), "functions/op")
	if os.Getenv("CHATCACHE_CALLS") == "" {
		return
	}
	for _, name := range slices.SortedFunc(maps.Keys(counted), func(x, y string) int {
		return cmp.Or(cmp.Compare(counted[y], counted[x]), cmp.Compare(x, y))
	}) {
		b.Logf("%4d %s", counted[name], name)
	}
}

// onWasm is a proxy with the filter, which tells onCall of its functions.
func onWasm(b *testing.B, onCall func(function string)) *hostsim.Sim {
	module, err := mesh.FilterModule()
	if err != nil {
		b.Fatal(err)
	}
	clock := hostsim.NewClock(hostsim.DefaultStart)
	server := mesh.VirtualRedis(b, clock)
	bridge := mesh.VirtualBridge(b, clock, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{server.Addr()}}})
	body := strings.Repeat("x", 1024)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(body)) })
	return hostsim.RunT(b, hostsim.Options{
		Module: module, Clock: clock, Route: hostsim.RouteTo("chat"), AllowOnHeadersStopIteration: true, OnCall: onCall,
		Clusters: map[string]http.Handler{"redis-bridge": bridge, "chat": origin},
		Env:      map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		PluginConfig: []byte(`{"version": 1, "name": "bench", "identity": [{"header": "authorization"}], "bridge": {"cluster": "redis-bridge"},
			"caches": {"stats": {"match": ["GET /stats/{kib}/{item}"], "ttl": "600s"}}, "invalidations": []}`),
	})
}
