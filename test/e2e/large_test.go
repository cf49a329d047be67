package e2e

import (
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/mesh"
)

// largest lets the cache of stats take what is far too large for a worker to hold as a whole, while others wait for it.
func largest(document map[string]any) {
	document["max_response"] = "7MiB"
	mesh.Unhurried(document)
}

// A large response goes to Redis in pieces while it streams through, and is answered from there by every worker, until a
// write makes it stale.
func TestLargeResponses(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, largest)}, func(t *testing.T, m mesh.Mesh) {
		const size = 6_500_000
		m.Origin().SetFault("GET /api/chat/stats", chatapi.Fault{Kind: chatapi.FaultBig, N: size})
		whole := func(what string, r mesh.Response) mesh.Response {
			t.Helper()
			if r.Status != 200 || len(r.Body) != size || strings.Trim(r.Body, "x") != "" {
				t.Fatalf("%s: status %d, %d bytes of %d", what, r.Status, len(r.Body), size)
			}
			return r
		}
		stats := readStats.as("ann")
		first := whole("first", m.Do(0, stats))
		wantStored(t, "first", first)
		m.Settle()
		for i := range 2 * mesh.Proxies {
			r := whole("again", m.Do(i%mesh.Proxies, stats))
			wantHit(t, "again", r)
			if r.Serial() != first.Serial() {
				t.Errorf("answered with response %d, want %d", r.Serial(), first.Serial())
			}
		}
		if stores := m.Sum("cache.stats.stores"); stores != 1 {
			t.Errorf("%d stores, want 1", stores)
		}
		written := m.Do(0, createSession.make(m))
		m.Settle()
		untilHeard(m, "the write", written.Serial(), func(r read) bool { return r.cache == "stats" })
	})
}
