package e2e

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// Envoys reach the bridge by HTTP/1.1, as envoy/OPERATING.md has it for thousands of workers: what one proxy's user writes, the other
// proxy's memory forgets, and the connections on which polls were held serve the next ones.
func TestBridgeByHTTP1(t *testing.T) {
	byHTTP1 := upstreamBy("explicit_http_config", map[string]any{"http_protocol_options": map[string]any{}})
	s := patientStack(t, stack.Options{Envoys: 2, Origin: chatapi.New(chatapi.Options{}), ToBridge: func(cluster map[string]any) {
		byHTTP1(cluster)
		cluster["circuit_breakers"] = map[string]any{"thresholds": []any{map[string]any{"max_requests": 4096, "max_pending_requests": 1024, "max_connections": 4096}}}
	}})
	const writes = 20
	for i := range writes {
		want := fmt.Sprintf("title %d", i)
		if got := ask(t, s.Envoys[0].URL(), "POST", "/api/chat/sessions", `{"title": "`+want+`"}`); !strings.Contains(got.body, want) {
			t.Fatalf("write %d: %v", i, got)
		}
		for proxy := range s.Envoys {
			stack.WaitT(t, "a hit has what was written", func(context.Context) error {
				if got := ask(t, s.Envoys[proxy].URL(), "GET", "/api/chat/sessions", ""); !strings.Contains(got.body, want) || !strings.Contains(got.cacheStatus, "hit") {
					return fmt.Errorf("proxy %d: %v, want a hit with %s", proxy, got, want)
				}
				return nil
			})
		}
	}
	for proxy := range s.Envoys {
		stats := ask(t, s.Envoys[proxy].AdminURL(), "GET", "/stats?filter=cluster.redis-bridge.upstream_(cx|rq)", "").body
		count := func(name string) int {
			found := regexp.MustCompile(`(?m)^cluster\.redis-bridge\.` + name + `: (\d+)$`).FindStringSubmatch(stats)
			if found == nil {
				t.Fatalf("Envoy has no %s in\n%s", name, stats)
			}
			n, _ := strconv.Atoi(found[1])
			return n
		}
		if one, two := count("upstream_cx_http1_total"), count("upstream_cx_http2_total"); one == 0 || two != 0 {
			t.Errorf("proxy %d: %d connections of HTTP/1.1, %d of HTTP/2", proxy, one, two)
		}
		if ended, calls := count("upstream_cx_destroy_remote"), count("upstream_rq_completed"); ended != 0 || calls < 3*writes {
			t.Errorf("proxy %d: the bridge ended %d connections in %d calls, want none", proxy, ended, calls)
		}
	}
}

// got is an answer, in short.
type got struct{ body, cacheStatus string }

// ask makes a request as a user.
func ask(t *testing.T, base, method, path, body string) got {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ann")
	response, text := send(t, http.DefaultTransport, r)
	return got{text, response.Header.Get("Cache-Status")}
}
