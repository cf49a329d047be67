package e2e

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/mesh"
)

// verifyAll has every would-be hit of the cache compared with the origin's answer.
func verifyAll(m mesh.Mesh, cache string) {
	m.Control(redisbridge.ControlsRequest{Policy: "chat-api", Cache: cache, Set: redisbridge.ControlSettings{Verify: 100}})
}

// behind sends a write to the origin that no proxy sees.
func behind(t *testing.T, m mesh.Mesh, method, path, body string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer ann")
	w := httptest.NewRecorder()
	m.Origin().API.ServeHTTP(w, r)
	if w.Code >= http.StatusBadRequest {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

// readUntil reads on until the proxies have counted what is wanted, and gives the last response.
func readUntil(m mesh.Mesh, r read, what string, counted func(redisbridge.ProxyCounts) bool) (last mesh.Response) {
	i := 0
	m.Until(20*time.Second, what, func() bool {
		last = m.Do(i%mesh.Proxies, r.as("ann"))
		i++
		return counted(proxies(m, r.cache))
	})
	return last
}

// A verified cache's clients get the origin's answers; what is stored and isn't what the origin answers is
// counted, and the log says where they differ, without a value. A write through a proxy makes none.
func TestVerify(t *testing.T) {
	mesh.Each(t, mesh.Options{}, func(t *testing.T, m mesh.Mesh) {
		stats := readStats
		wantStored(t, stats, m.Do(0, stats.as("ann")))
		m.Settle()
		verifyAll(m, stats.cache)
		before := m.Origin().Serial()
		last := readUntil(m, stats, "4 answers match", func(c redisbridge.ProxyCounts) bool { return c.Matches >= 4 })
		if last.CacheStatus() != "chatcache; fwd=bypass; detail=verify" || last.Serial() <= before {
			t.Errorf("%v, want the origin's", last)
		}

		m.Do(0, createSession.make(m))
		m.Settle()
		readUntil(m, stats, "answers match after a write", func(c redisbridge.ProxyCounts) bool { return c.Matches >= 8 })
		if c := proxies(m, stats.cache); c.Mismatches > 0 || c.WouldHits < 8 {
			t.Errorf("after a write through a proxy: %+v", c)
		}
		if strings.Contains(m.Logs(), "chatcache: verify") {
			t.Errorf("logged although nothing differs:\n%s", m.Logs())
		}

		behind(t, m, "POST", "/api/chat/sessions", `{"title":"unnoticed"}`)
		readUntil(m, stats, "a mismatch", func(c redisbridge.ProxyCounts) bool { return c.Mismatches > 0 })
		if !strings.Contains(m.Logs(), "chatcache: verify: cache stats: the origin doesn't answer what is stored: it differs at /sessions") ||
			strings.Contains(m.Logs(), "unnoticed") {
			t.Errorf("the log has\n%s", m.Logs())
		}

		m.Control(redisbridge.ControlsRequest{Policy: "chat-api", Cache: stats.cache, Unset: []string{"verify"}})
		m.Until(10*time.Second, "hits again", func() bool { return m.Do(1, stats.as("ann")).Hit() })
	})
}

// What the policy ignores makes no mismatch.
func TestVerifyIgnores(t *testing.T) {
	ignoring := func(document map[string]any) {
		document["caches"].(map[string]any)["stats"].(map[string]any)["verify"] = map[string]any{"ignore": []any{"/sessions", "/messages"}}
	}
	mesh.Each(t, mesh.Options{Policy: mesh.ChatPolicy(t, ignoring)}, func(t *testing.T, m mesh.Mesh) {
		stats := readStats
		wantStored(t, stats, m.Do(0, stats.as("ann")))
		m.Settle()
		behind(t, m, "POST", "/api/chat/sessions", `{"title":"unnoticed"}`)
		verifyAll(m, stats.cache)
		readUntil(m, stats, "answers match", func(c redisbridge.ProxyCounts) bool { return c.Matches >= 4 })
		if c := proxies(m, stats.cache); c.Mismatches > 0 {
			t.Errorf("%+v", c)
		}
	})
}
