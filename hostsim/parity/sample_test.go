package parity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatcache/hostsim/internal/toolchain"
)

// TestSampleFilter sends the same requests, one after the other, through the
// sample filter of each language on the real Envoy and in the simulator.
func TestSampleFilter(t *testing.T) {
	requireEnvoy(t)
	for _, language := range []string{"go", "c", "assemblyscript", "rust"} {
		t.Run(language, func(t *testing.T) { compareSample(t, toolchain.Module(t, "sample/"+language)) })
	}
}

func compareSample(t *testing.T, module []byte) {
	envoy := startEnvoy(t, module, variantNamed("default"))
	sim := simulate(t, module, parityCase{})
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
		c.until = "queue "
		c = c.over(c.http2)
		got := observe(sim.forCase(), c)
		want := observe(envoy.forCase(t).like(got), c)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
			t.Errorf("%s %s: real Envoy (-) and the simulator (+) differ:\n%s", c.method(), c.url, diff)
		}
	}
}
