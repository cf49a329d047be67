package hostsim_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"chatcache/hostsim"
)

// A filter of the Rust SDK runs as one of the Go SDK does.
func TestRustFilter(t *testing.T) {
	path := os.Getenv("RUST_FILTER")
	if path == "" {
		t.Skip("set RUST_FILTER to the module built from hostsim/internal/testdata/rust: it needs Rust with a wasm32 target")
	}
	sim := hostsim.RunT(t, hostsim.Options{
		Path: path, PluginConfig: []byte("hello"), Route: hostsim.RouteTo("upstream"),
		Clusters: map[string]http.Handler{
			"upstream": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "checked: ", r.Header.Get("X-Checked"))
			}),
			"auth": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, strings.TrimPrefix(r.URL.Path, "/"))
			}),
		},
	})
	for path, want := range map[string]string{"/allow": "200 checked: yes", "/deny": "403 denied\n"} {
		r := sim.Do(1, hostsim.Get(path))
		if got := fmt.Sprintf("%d %s", r.Status, r.Body); got != want || r.Get("x-rust") != "1" {
			t.Errorf("%s: %q (x-rust %q), want %q", path, got, r.Get("x-rust"), want)
		}
	}
	if !logged(sim, "configured with hello") {
		t.Errorf("the configuration isn't in the log: %v", sim.Logs())
	}
}
