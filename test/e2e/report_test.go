package e2e

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/mesh"
)

// proxies is what the bridge says that all proxies together have counted of a cache.
func proxies(m mesh.Mesh, cache string) redisbridge.ProxyCounts {
	for _, p := range m.Status().Policies {
		for _, c := range p.Caches {
			if c.Name == cache {
				return c.Proxies
			}
		}
	}
	return redisbridge.ProxyCounts{}
}

// The bridge tells what the proxies have counted, all of them together, and how much waiting
// the cache has spared; without L1, too.
func TestProxiesReport(t *testing.T) {
	for name, document := range map[string]string{"with L1": mesh.ChatPolicy(t), "without L1": mesh.ChatPolicy(t, withoutL1)} {
		t.Run(name, func(t *testing.T) {
			mesh.Each(t, mesh.Options{Policy: document}, func(t *testing.T, m mesh.Mesh) {
				stats := readStats.as("ann")
				m.Origin().Slow(100 * time.Millisecond)
				wantStored(t, stats, m.Do(0, stats))
				m.Settle()
				for i := range 6 {
					wantHit(t, stats, m.Do(i%mesh.Proxies, stats))
				}
				reload := stats
				reload.Fields = [][2]string{{"cache-control", "no-cache"}}
				m.Do(1, reload)
				var c redisbridge.ProxyCounts
				m.Until(20*time.Second, "the proxies have reported 6 hits, a miss and a bypass", func() bool {
					c = proxies(m, "stats")
					return c.HitsL1+c.HitsL2 == 6 && c.Misses == 1 && c.Bypasses == 1 && c.Stores == 1
				})
				if c.ForwardedMicros < 100_000 || c.SavedMS <= 0 || fmt.Sprintf("%.2f", c.HitRatio) != "0.75" {
					t.Errorf("%+v", c)
				}
			})
		})
	}
}
