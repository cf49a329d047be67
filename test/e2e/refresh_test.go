package e2e

import (
	"slices"
	"strconv"
	"strings"
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
		stats := readStats.as("ann")
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
		written := m.Do(0, createSession.make(m))
		m.Settle()
		untilHeard(m, "the write", written.Serial(), func(r read) bool { return r.cache == "stats" })
		if nobody := m.Do(0, mesh.Request{Method: "GET", Path: stats.Path, User: "ben"}); nobody.Hit() {
			t.Errorf("ben was answered with what ann's reads have refreshed: %v", nobody)
		}
	})
}

// However many find a response stale, over all workers of all proxies, the origin is asked once: what may be used
// stale answers the others meanwhile, and for what may not be they wait.
func TestStaleResponsesAreValidatedOnce(t *testing.T) {
	stale := func(document map[string]any) {
		caches := document["caches"].(map[string]any)
		stats, search := caches["stats"].(map[string]any), caches["search"].(map[string]any)
		stats["ttl"], stats["stale_while_revalidate"] = "4s", "600s"
		search["ttl"], search["stale_if_error"] = "4s", "600s"
		longWait(document)
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, stale)}, func(t *testing.T, m mesh.Mesh) {
		for _, read := range []read{readStats, readSearch} {
			wantStored(t, read, m.Do(0, read.as("ann")))
		}
		fresh := readModels.as("")
		wantStored(t, "what stays fresh", m.Do(0, fresh))
		m.Settle()
		m.Until(20*time.Second, "they are stale", func() bool {
			age, err := strconv.Atoi(m.Do(0, fresh).Header.Get("Age"))
			return err == nil && age >= 5
		})
		m.Origin().Slow(2 * time.Second) // all have come before it is answered, and what is answered stays fresh for the last
		for _, read := range []read{readStats, readSearch} {
			asked := m.Origin().Serial()
			responses := m.Together(slices.Repeat([]mesh.Request{read.as("ann")}, 40)...)
			asked = m.Origin().Serial() - asked
			old, validated := 0, 0
			for _, r := range responses {
				switch {
				case r.Hit():
					old++
				case strings.HasPrefix(r.CacheStatus(), "chatcache; fwd=stale"):
					validated++
				case !r.Collapsed():
					t.Errorf("%v: %v", read, r)
				}
			}
			if wantOld := read.cache == "stats"; asked != 1 || validated != 1 || wantOld != (old > 0) {
				t.Errorf("%v: the origin was asked %d times, %d were answered stale, %d validated it", read, asked, old, validated)
			}
			m.Settle()
		}
	})
}
