package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"chatcache/test/mesh"
)

// paging lets the list of sessions prefetch: a page without any is the last.
func paging(document map[string]any) {
	document["caches"].(map[string]any)["sessions"].(map[string]any)["prefetch"] = map[string]any{"parameter": "page", "more": "/sessions"}
	host, _ := document["host"].(map[string]any)
	host["loopback_cluster"] = mesh.Loopback
}

func sessionsPage(user string, page int) mesh.Request {
	return mesh.Request{Method: "GET", Path: fmt.Sprintf("/api/chat/sessions?page=%d&limit=5", page), User: user}
}

// Who reads a page finds the next one stored: their own, and nobody else's. It ends behind the last page, and who
// reads a prefetched page is told nothing of that.
func TestPrefetch(t *testing.T) {
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, paging)}, func(t *testing.T, m mesh.Mesh) {
		for range 3 {
			m.Do(0, createSession.make(m))
		}
		m.Settle()
		before := m.Origin().Serial()
		first := m.Do(0, sessionsPage("ann", 1))
		wantStored(t, "page 1", first)
		var list struct{ Total int }
		if err := json.Unmarshal([]byte(first.Body), &list); err != nil || list.Total < 6 || list.Total > 40 { // no more pages than may be prefetched in a second
			t.Fatalf("%v: %v", err, first)
		}
		pages := (list.Total + 4) / 5
		for page := 2; page <= pages+1; page++ { // the last one is empty, which says that it is
			m.Until(20*time.Second, fmt.Sprintf("page %d is prefetched", page), func() bool {
				return m.Sum(".prefetches") >= uint64(page-1) && m.Sum(".stores") >= uint64(page)
			})
			r := m.Do(0, sessionsPage("ann", page))
			wantHit(t, page, r)
			if r.Header.Get("X-Chatcache-Prefetch") != "" {
				t.Errorf("page %d has the mark", page)
			}
		}
		m.Settle()
		if asked := m.Origin().Serial() - before; asked != int64(pages+1) {
			t.Errorf("the origin was asked %d times for %d pages", asked, pages+1)
		}
		if hits, failed := m.Sum(".prefetch_hits"), m.Sum(".prefetch_failures"); hits != uint64(pages) || failed > 0 {
			t.Errorf("%d hits of %d prefetched pages, %d failures", hits, pages, failed)
		}
		if other := m.Do(0, sessionsPage("ben", 2)); other.Hit() {
			t.Errorf("ben was answered with a page that ann's read has fetched: %v", other)
		}
	})
}
