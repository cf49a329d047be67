package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// TestWhatEnvoyDoesToAnswersOfTheCache: they are local replies. Envoy adds a route's fields to a hit, which has them already, and
// shows an answer in place of the origin's to no filter.
func TestWhatEnvoyDoesToAnswersOfTheCache(t *testing.T) {
	s := patientStack(t, stack.Options{
		Policy: []byte(`{"version": 1, "name": "local", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "caches": {
			"a": {"match": ["GET /a"], "ttl": "origin", "shared": true}}}`),
		Manager: func(_ int, manager map[string]any) {
			manager["http_filters"] = slices.Concat([]any{script("before")}, manager["http_filters"].([]any))
			host := manager["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)
			host["response_headers_to_add"] = []any{map[string]any{
				"header": map[string]any{"key": "x-route", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
			}}
		},
		Origin: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=600")
			w.Header().Set("Etag", `"v"`)
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			io.WriteString(w, "{}")
		}),
	})
	for _, test := range []struct {
		control, status string
		route, before   int
	}{
		{"", "; stored", 1, 1},
		{"", "; detail=l", 2, 1}, // out of either tier, also where it has waited for the store
		{"no-cache", "fwd-status=304", 2, 0},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", s.Envoys[0].URL()+"/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.control != "" {
			request.Header.Set("Cache-Control", test.control)
		}
		response, err := clientOf(1).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		said := strings.Join(response.Header.Values("Cache-Status"), ", ")
		route, before := len(response.Header.Values("X-Route")), len(response.Header.Values("X-Script-Before"))
		if err != nil || response.StatusCode != 200 || string(body) != "{}" || !strings.Contains(said, test.status) || route != test.route || before != test.before {
			t.Errorf("%d %q %v, %s: %d lines of the route's field, %d of the filter's before; want %+v", response.StatusCode, body, err, said, route, before, test)
		}
	}
}
