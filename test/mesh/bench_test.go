package mesh_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chatcache/hostsim"
	"chatcache/redisbridge"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/redis/go-redis/v9"
)

// BenchmarkOnWasm is what a request costs in the module itself, on wazero: a hit in the VM's memory, a
// request that no rule matches, and a miss with its fill. What the simulated proxy does for each request is in the time of all; "host-calls" are
// the module's, and what a proxy has to do beside them. "calls" are those of functions, the module's own and these, "functions" how
// many different ones: they are the same in every run, and in a proxy that does much else between two requests,
// fetching their code costs more than running it. With CHATCACHE_CALLS=1 the functions are listed.
func BenchmarkOnWasm(b *testing.B) {
	counted := map[string]int{}
	sim, traced := onWasm(b, mesh.FilterModule, nil), onWasm(b, mesh.FilterModuleWithNames, func(function string) { counted[function]++ })
	for name, of := range map[string]struct {
		path   string // "*" is another number each time
		status string
		fills  bool
	}{
		"L1 hit":          {"/stats/1/2", "chatcache; hit; ttl=600; detail=l1", false},
		"no rule matches": {"/elsewhere", "", false},
		"miss":            {"/stats/2/*", "chatcache; fwd=uri-miss; stored", true},
	} {
		b.Run(name, func(b *testing.B) {
			n := 0
			ask := func(s *hostsim.Sim) *hostsim.Stream {
				n++
				request := hostsim.Get(strings.Replace(of.path, "*", strconv.Itoa(n), 1), "authorization", "Bearer ann")
				stream := s.Start(1, request)
				s.Finish(stream)
				if of.fills {
					s.Settle()
				}
				return stream
			}
			do := func(s *hostsim.Sim) *hostsim.Stream {
				stream := ask(s)
				if got := stream.Response().Get("cache-status"); got != of.status {
					b.Fatalf("cache-status %q, want %q", got, of.status)
				}
				return stream
			}
			for _, s := range []*hostsim.Sim{sim, traced} {
				for range 3 {
					ask(s)
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
		fmt.Fprintf(os.Stderr, "%4d %s\n", counted[name], name) // a benchmark's log has ten lines at most
	}
}

// onWasm is a proxy with the filter, which tells onCall of its functions.
func onWasm(b testing.TB, filter func() ([]byte, error), onCall func(function string)) *hostsim.Sim {
	module, err := filter()
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
