package redisbridge

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// roundTrips counts what the bridge sends to Redis, a pipeline as one.
type roundTrips struct {
	pipelines
	commands atomic.Int64
}

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		r.commands.Add(1)
		return next(ctx, cmd)
	}
}

// BenchmarkMiss is what collapsing costs a miss in the bridge: a lookup that is granted the fetch
// lease, as a ratio to one that wants none, measured in turn on one server.
func BenchmarkMiss(b *testing.B) {
	sent := &roundTrips{}
	server := stack.ScratchValkeyT(b)
	bridge, err := New(Options{
		Redis: redis.UniversalOptions{Addrs: []string{server.Socket}}, Hooks: []redis.Hook{sent},
		Insecure: true, Bootstrap: true, Timeout: 5 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer bridge.Close()
	m := wire.LookupRequest{
		Scope: wire.Scope{Policy: "chat", Horizon: 600_000, Quarantine: 1000}, Groups: wire.ReadGroups("stats", "alice"),
	}
	var took [2]time.Duration
	var trips [2]int64
	for i := 0; b.Loop(); i++ {
		for with, fetch := range []string{"", "f1"} {
			m.Key = wire.EntryKey("stats", "chat", "alice", "GET", "/", fmt.Sprint(with, "-", i))
			m.Fetch, m.Lease = fetch, 1000
			before, began := sent.count.Load()+sent.commands.Load(), time.Now()
			a, err := bridge.Lookup(b.Context(), m)
			took[with] += time.Since(began)
			trips[with] += sent.count.Load() + sent.commands.Load() - before
			if err != nil || a.Granted != (fetch != "") {
				b.Fatalf("%+v, %v", a, err)
			}
		}
	}
	n := float64(b.N)
	b.ReportMetric(float64(trips[0])/n, "trips/plain")
	b.ReportMetric(float64(trips[1])/n, "trips/lease")
	b.ReportMetric(float64(took[1])/float64(took[0]), "lease/plain")
}
