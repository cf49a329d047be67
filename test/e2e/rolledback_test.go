package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/test/stack"
)

// withFailures has routes on which a write is tried twice, and on which Envoy itself answers it.
func withFailures(_ int, manager map[string]any) {
	manager["route_config"] = map[string]any{"name": "failures", "virtual_hosts": []any{map[string]any{"name": "all", "domains": []any{"*"}, "routes": []any{
		map[string]any{"match": map[string]any{"prefix": "/retried/"}, "route": map[string]any{"cluster": "chat", "retry_policy": map[string]any{"retry_on": "5xx", "num_retries": 1}}},
		map[string]any{
			"match":           map[string]any{"prefix": "/local/", "headers": []any{map[string]any{"name": ":method", "string_match": map[string]any{"exact": "POST"}}}},
			"direct_response": map[string]any{"status": 500},
		},
		map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "chat"}},
	}}}}
}

// TestStatusThatMeansNothingWasWritten: where the policy says so, a 500 that the origin has answered to the one attempt leaves what
// is stored as it is. After a second attempt, and where Envoy answers, the same status says nothing: reads go to the origin until the settle time has passed, and
// then nothing is stored any more.
func TestStatusThatMeansNothingWasWritten(t *testing.T) {
	const settle = time.Second
	var caches, rules []string
	for _, name := range []string{"plain", "retried", "local"} {
		caches = append(caches, fmt.Sprintf(`"%[1]s": {"match": ["GET /%[1]s/{x}"], "ttl": "600s", "shared": true}`, name))
		rules = append(rules, fmt.Sprintf(`{"name": "%[1]s", "match": ["POST /%[1]s/{x}"], "invalidate": ["%[1]s"], "deadline": "5s", "settle": "1s"}`, name))
	}
	var asked atomic.Int64
	s := patientStack(t, stack.Options{
		Policy: []byte(`{"version": 1, "name": "rolled-back", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "unchanged_on": [500],
			"caches": {` + strings.Join(caches, ",") + `}, "invalidations": [` + strings.Join(rules, ",") + `]}`),
		Manager: withFailures,
		Origin: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			fmt.Fprint(w, "state ", asked.Add(1))
		}),
	})
	ask := func(method, path string) (status int, body, said string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, s.Envoys[0].URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, text := send(t, clientOf(1), request)
		return response.StatusCode, text, response.Header.Get("Cache-Status")
	}
	for _, test := range []struct {
		path string
		kept bool
	}{{"/plain/1", true}, {"/retried/1", false}, {"/local/1", false}} {
		t.Run(test.path[1:], func(t *testing.T) {
			var before string
			stack.UntilT(t, test.path+" is stored", func() bool {
				_, body, said := ask("GET", test.path)
				before = body
				return strings.HasPrefix(said, "chatcache; hit")
			})
			began := time.Now()
			if status, _, said := ask("POST", test.path); status != 500 || said != "chatcache; fwd=method" {
				t.Fatalf("status %d, %s", status, said)
			}
			var after, said string
			stack.UntilT(t, test.path+" isn't bypassed", func() bool {
				_, after, said = ask("GET", test.path)
				return !strings.Contains(said, "fwd=bypass")
			})
			switch waited := time.Since(began); {
			case test.kept && (after != before || !strings.HasPrefix(said, "chatcache; hit")):
				t.Errorf("%s, %s is another answer than %s", said, after, before)
			case !test.kept && (after == before || waited < settle):
				t.Errorf("after %v: %s, %s", waited, said, after)
			}
		})
	}
}
