package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chatcache/test/stack"
)

// routesElsewhere gives the routes that `policy render --disable-elsewhere` writes for a policy.
func routesElsewhere(t *testing.T, policy string) map[string]any {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	if err := stack.Build(t.Context(), root, "build/policy"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policy.json")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(root, "build/policy"), "render", "--for", "envoy", "--disable-elsewhere", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	routes, err := stack.Routes(out)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

// TestFilterDisabledElsewhere: with routes for a policy's reads those that no rule can match don't meet the filter; reads that may match one, and
// all writes, do. To see that, the filter has a policy with more rules than the routes were made for.
func TestFilterDisabledElsewhere(t *testing.T) {
	const head = `{"version": 1, "name": "elsewhere", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "caches": {
		"stats": {"match": ["GET /stats/{x}"], "ttl": "600s", "shared": true}`
	const rules = `}, "invalidations": [{"name": "write", "match": ["POST /pages"], "invalidate": ["stats"]}]}`
	routes := routesElsewhere(t, head+rules)
	s := patientStack(t, stack.Options{
		Policy:  []byte(head + `, "more": {"match": ["GET /pages", "GET /caf%C3%A9"], "ttl": "600s", "shared": true}` + rules),
		Manager: func(_ int, manager map[string]any) { manager["route_config"] = routes },
		Origin:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }),
	})
	for _, test := range []struct {
		method, path string
		filtered     bool
	}{
		{"GET", "/stats/1", true},
		{"GET", "/stats/1?x=%20", true},
		{"HEAD", "/stats/1", true},
		{"GET", "/pages", false},
		{"GET", "/pages?x=%20", false},
		{"HEAD", "/pages", false},
		{"GET", "/caf%C3%A9", true}, // it may be another spelling of a rule's path
		{"POST", "/pages", true},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, s.Envoys[0].URL()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := clientOf(1).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if said := response.Header.Get("Cache-Status"); response.StatusCode != 200 || (said != "") != test.filtered {
			t.Errorf("%s %s: status %d, Cache-Status %q, want one: %v", test.method, test.path, response.StatusCode, said, test.filtered)
		}
	}
}
