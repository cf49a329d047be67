package parity_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// TestSampleFilter sends the same requests, one after the other, through the
// sample filter of each language on the real Envoy and in the simulator.
func TestSampleFilter(t *testing.T) {
	for _, language := range []string{"go", "c", "assemblyscript", "rust"} {
		t.Run(language, func(t *testing.T) { compareSample(t, toolchain.Module(t, "sample/"+language)) })
	}
}

func compareSample(t *testing.T, module []byte) {
	handler := dispatch(upstreams(func(*http.Request, time.Duration) {}))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	envoy := startEnvoy(t, module, server)
	sim := hostsim.RunT(t, hostsim.Options{
		Module: module, PluginName: "probe", RouteTimeout: 400 * time.Millisecond,
		Clusters: map[string]http.Handler{"backend": handler}, Route: hostsim.RouteTo("backend"),
	})
	for _, c := range []parityCase{
		{url: "/plain", upstream: "request"},
		{url: "/deny"},
		{url: "/ask", upstream: "request"},
		{url: "/ask-nobody", upstream: "request"},
		{url: "/later", upstream: "request"},
		{url: "/old"},
		{url: "/wrap", verb: "POST", body: "some text"},
		{url: "/wrap", verb: "POST", body: "some text", http2: true},
		{url: "/plain", verb: "POST", body: "some text"},
	} {
		offset, lines := envoy.logSize(), len(sim.Logs())
		want := envoy.observe(c, offset)
		want.Log = envoy.moduleLog(offset, "queue ")
		got := simOutcome(sim.Do(1, c.request()))
		sim.Settle()
		for _, l := range sim.Logs()[lines:] {
			got.Log = append(got.Log, strings.TrimSpace(l.Message))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s: real Envoy (-) and the simulator (+) differ:\n%s", c.method(), c.url, diff)
		}
	}
}
