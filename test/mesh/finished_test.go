package mesh_test

import (
	"slices"
	"strings"
	"testing"

	"chatcache/gowasm/finished"
	"chatcache/hostsim"
	"chatcache/test/mesh"
)

// What the proxy calls for a stream that the filter has answered from its memory, or that no rule matches, returns before it enters Go.
func TestFinishedStreams(t *testing.T) {
	var called []string
	sim := onWasm(t, mesh.FilterModuleWithNames, func(function string) { called = append(called, function) })
	const all = "proxyOnResponseHeaders proxyOnResponseBody proxyOnLog proxyOnDone"
	for _, test := range []struct{ path, status, enters string }{
		{"/stats/1/1", "chatcache; fwd=uri-miss; stored", all},
		{"/stats/1/1", "chatcache; hit; ttl=600; detail=l2", all}, // the VM wasn't registered when it was stored
		{"/stats/1/1", "chatcache; hit; ttl=600; detail=l1", ""},
		{"/elsewhere", "", ""},
		{"/stats/1/2", "chatcache; fwd=uri-miss; stored", all},
	} {
		called = nil
		response := sim.Do(1, hostsim.Get(test.path, "authorization", "Bearer ann"))
		sim.Settle()
		if got := response.Get("cache-status"); got != test.status {
			t.Errorf("%s: cache-status %q, want %q", test.path, got, test.status)
		}
		var enters []string
		for _, name := range called {
			_, function, _ := strings.Cut(name, "proxywasm_internal.") // the SDK's
			of := func(c finished.Callback) bool {
				return strings.EqualFold(function, strings.ReplaceAll(c.Export, "_", ""))
			}
			if slices.ContainsFunc(finished.Callbacks, of) && !slices.Contains(enters, function) {
				enters = append(enters, function)
			}
		}
		if got := strings.Join(enters, " "); got != test.enters {
			t.Errorf("%s, %s: enters %s, want %s", test.path, test.status, got, test.enters)
		}
	}
}
