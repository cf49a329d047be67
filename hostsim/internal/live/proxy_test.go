package live_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/live"
	"chatcache/hostsim/internal/toolchain"
)

// TestWhatIsCutIsCutForTheClient: a response that didn't end well must not look whole, nor one that never came like an empty one.
func TestWhatIsCutIsCutForTheClient(t *testing.T) {
	sim, err := hostsim.New(hostsim.Options{
		Module:   toolchain.Module(t, "probe"),
		Clusters: map[string]http.Handler{"backend": hostsim.ResetAt(4, "begun and cut", true)},
		Route:    hostsim.RouteTo("backend"), Clock: hostsim.NewClock(time.Now()),
	})
	if err != nil {
		t.Fatal(err)
	}
	proxy := live.New(sim, make(chan struct{}, 1), func(live.Line) {}, func() {})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); proxy.Run(ctx) }()
	server := httptest.NewServer(proxy)
	t.Cleanup(func() { server.Close(); cancel(); <-ended; sim.Close() })

	ask := func(script string) (*http.Response, []byte, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-On-Request-Headers", script)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp, body, err
	}
	if resp, body, err := ask("reply 200 whole; pause"); err != nil || string(body) != "whole" {
		t.Errorf("a reply: %v %q, %v", resp, body, err)
	}
	if _, body, err := ask(""); err == nil {
		t.Errorf("an upstream that is cut: %q, want an error", body)
	}
	if resp, body, err := ask("close; pause"); err == nil {
		t.Errorf("a closed stream: status %d, %q, want an error", resp.StatusCode, body)
	}
}
