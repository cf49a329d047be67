package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// Prometheus sees the filter's metrics with their labels, as the shipped stats_tags make them.
func TestPrometheusLabels(t *testing.T) {
	s := patientStack(t, stack.Options{Origin: chatapi.New(chatapi.Options{})})
	ask := func(method, path, body string) {
		t.Helper()
		req, err := http.NewRequest(method, s.Envoys[0].URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer ann")
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	ask("GET", "/api/chat/stats", "")
	wantMetrics(t, s, `chatcache_stores{cache="stats"} 1`)
	ask("GET", "/api/chat/stats", "")
	ask("GET", "/api/chat/stats", "")
	ask("GET", "/api/chat/stats", "a body")
	ask("POST", "/api/chat/sessions", "{}")
	wantMetrics(t, s,
		`chatcache_hits{cache="stats",tier="l`, // either: the first read may come before the first lease
		`chatcache_misses{cache="stats"} 1`,
		`chatcache_bypasses{cache="stats",reason="request-body"} 1`,
		`chatcache_invalidations{cache="sessions"} 1`,
		`chatcache_invalidations{cache="stats"} 1`,
		`chatcache_latency_us_count{cache="stats"} 4`,
		`chatcache_latency_us_bucket{cache="stats",le="50"}`,
		`chatcache_writes_closed{} 1`,
		`chatcache_feed_resets{} 1`,
		`chatcache_l1_entries{}`,
		`chatcache_following{} `,
	)
}

// wantMetrics waits for lines of /stats/prometheus, by their beginnings.
func wantMetrics(t *testing.T, s *stack.Stack, missing ...string) {
	t.Helper()
	// Histograms are merged when Envoy flushes its statistics, every 5 s.
	stack.WaitT(t, "/stats/prometheus has all lines", func(ctx context.Context) error {
		text, err := s.Envoys[0].Admin(ctx, "/stats/prometheus")
		if err != nil {
			return err
		}
		missing = slices.DeleteFunc(missing, func(line string) bool { return strings.Contains(text, line) })
		if len(missing) > 0 {
			return fmt.Errorf("not there: %q", missing)
		}
		return nil
	})
}
