package e2e

import (
	"testing"
	"time"

	"chatcache/test/mesh"
)

// refreshed lets stats be stale after a second, and refreshed through the proxy itself.
func refreshed(document map[string]any) {
	stats := document["caches"].(map[string]any)["stats"].(map[string]any)
	stats["ttl"], stats["stale_while_revalidate"] = "1s", "600s"
	host, _ := document["host"].(map[string]any)
	host["loopback_cluster"] = mesh.Loopback
}

// Nobody waits for the origin while what is stale may answer: it is refreshed behind everybody's back, as often as it
// gets stale. What a write has made invalid isn't used, stale or not.
func TestStaleResponsesAreRefreshed(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, refreshed)}, func(t *testing.T, m mesh.Mesh) {
		stats := reads[0].as("ann")
		first := m.Do(0, stats)
		wantStored(t, "first", first)
		m.Settle()
		m.Origin().Slow(100 * time.Millisecond)
		last := first
		for n := range uint64(3) {
			m.Until(20*time.Second, "it is refreshed", func() bool {
				for i := range 2 * mesh.Proxies {
					r := m.Do(i%mesh.Proxies, stats)
					wantHit(t, "while it is refreshed", r)
					if r.Serial() > last.Serial() {
						last = r
					}
				}
				return m.Sum(".refreshes") > n && last.Serial() > first.Serial()
			})
			first = last
		}
		if failed := m.Sum(".refresh_failures"); failed > 0 {
			t.Errorf("%d refreshes failed", failed)
		}
		written := m.Do(0, writes[0].make(m))
		m.Settle()
		untilHeard(m, "the write", written.Serial(), func(r read) bool { return r.cache == "stats" })
		if nobody := m.Do(0, mesh.Request{Method: "GET", Path: stats.Path, User: "ben"}); nobody.Hit() {
			t.Errorf("ben was answered with what ann's reads have refreshed: %v", nobody)
		}
	})
}
