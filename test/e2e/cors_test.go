package e2e

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"chatcache/test/stack"
)

// TestCORSBesideTheCache: what Envoy's CORS filter adds for the site that asked first is stored where that filter stands behind the cache, as
// Istio's does behind a WasmPlugin (envoy/istio/README.md), and is what browsers of all sites get then. Before the cache each gets its own, and
// behind it if the cache's key has the site.
func TestCORSBesideTheCache(t *testing.T) {
	for name, test := range map[string]struct {
		at     int
		fields string
		second string // what the second site gets
	}{
		"before":           {0, "", "https://b.example"},
		"behind":           {1, "", "https://a.example"},
		"behind, in a key": {1, `, "headers": ["origin"]`, "https://b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			s := patientStack(t, stack.Options{
				Policy: []byte(`{"version": 1, "name": "cors", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "caches": {
					"a": {"match": ["GET /a"], "ttl": "600s", "shared": true` + test.fields + `}}}`),
				Manager: func(_ int, manager map[string]any) {
					const name, types = "envoy.filters.http.cors", "type.googleapis.com/envoy.extensions.filters.http.cors.v3."
					filter := []any{map[string]any{"name": name, "typed_config": map[string]any{"@type": types + "Cors"}}}
					manager["http_filters"] = slices.Insert(manager["http_filters"].([]any), test.at, filter...)
					host := manager["route_config"].(map[string]any)["virtual_hosts"].([]any)[0].(map[string]any)
					host["typed_per_filter_config"] = map[string]any{name: map[string]any{
						"@type": types + "CorsPolicy", "allow_origin_string_match": []any{map[string]any{"suffix": ".example"}},
					}}
				},
				Origin: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }),
			})
			var got [2]string
			for i, site := range []string{"https://a.example", "https://b.example"} {
				request, err := http.NewRequestWithContext(t.Context(), "GET", s.Envoys[0].URL()+"/a", nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Origin", site)
				response, _ := send(t, clientOf(1), request)
				got[i] = response.Header.Get("Access-Control-Allow-Origin")
			}
			if want := [2]string{"https://a.example", test.second}; got != want {
				t.Errorf("allowed are %q, want %q", got, want)
			}
		})
	}
}
