package e2e

import (
	"fmt"
	"strings"
	"testing"

	"chatcache/test/mesh"
)

// TestManyUsersTogether: whose lookups go to the bridge in one call get their own answers, be it none, a hit, or that a write is in flight.
func TestManyUsersTogether(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, withoutL1, mesh.Unhurried)}, func(t *testing.T, m mesh.Mesh) {
		var asked []mesh.Request
		for n := range 96 {
			asked = append(asked, readStats.as(fmt.Sprint("user-", n)))
		}
		m.Together(asked...) // a proxy's first requests register its workers, each by itself
		m.Settle()
		m.Purge("stats", "")
		for _, want := range []func(mesh.Response) bool{mesh.Response.Stored, mesh.Response.Hit} {
			for i, r := range m.Together(asked...) {
				if r.Status != 200 || !want(r) || !strings.Contains(r.Body, fmt.Sprintf(`"user":"%s"`, asked[i].User)) {
					t.Errorf("%s: %v", asked[i].User, r)
				}
			}
			m.Settle()
		}
	})
}
