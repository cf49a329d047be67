package hostsim_test

import (
	"net/http"
	"testing"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/proxytest"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// BenchmarkStart is a proxy with one worker (two VMs) from a compiled module to a closed one.
func BenchmarkStart(b *testing.B) {
	code := toolchain.Module(b, "probe")
	for b.Loop() {
		s, err := hostsim.New(hostsim.Options{Module: code})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkSingleRequestTest is what a test with one request costs.
func BenchmarkSingleRequestTest(b *testing.B) {
	code := toolchain.Module(b, "probe")
	for b.Loop() {
		s, err := hostsim.New(hostsim.Options{Module: code, Clusters: clusters(echo), Route: hostsim.RouteTo("backend")})
		if err != nil {
			b.Fatal(err)
		}
		s.Do(1, hostsim.Get("/x"))
		s.Close()
	}
}

// BenchmarkRequest is one more request on a running proxy.
func BenchmarkRequest(b *testing.B) {
	s, err := hostsim.New(hostsim.Options{Module: toolchain.Module(b, "probe"), Clusters: clusters(echo), Route: hostsim.RouteTo("backend")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if s.Do(1, hostsim.Get("/x", "x-on-quiet", "1")).Status != http.StatusOK {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkProxytest is the SDK's own test host with the same module and the
// same callbacks: start, a request's headers, the response's headers and body, done.
func BenchmarkProxytest(b *testing.B) {
	code := toolchain.Module(b, "probe")
	for b.Loop() {
		vm, err := proxytest.NewWasmVMContext(code)
		if err != nil {
			b.Fatal(err)
		}
		host, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption().WithVMContext(vm))
		host.StartPlugin()
		id := host.InitializeHttpContext()
		host.CallOnRequestHeaders(id, [][2]string{{":method", "GET"}, {":path", "/x"}}, true)
		host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, false)
		host.CallOnResponseBody(id, []byte("GET /x "), true)
		host.CompleteHttpContext(id)
		reset()
		vm.Close()
	}
}
