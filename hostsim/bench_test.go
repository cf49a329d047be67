package hostsim_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm/proxytest"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// BenchmarkSingleRequestTest is what a test with one request costs, from the
// module's bytes to a closed proxy: here, and in the SDK's own test host with
// the same module and the same callbacks. Both run in turns, so that what else the
// machine does costs both; "proxytest/hostsim" is how many times as long the SDK's takes.
func BenchmarkSingleRequestTest(b *testing.B) {
	log.SetOutput(io.Discard) // the SDK's host logs there
	defer log.SetOutput(os.Stderr)
	code := toolchain.Module(b, "sample/go")
	began := time.Now()
	start(b, code).Close()
	compiling := time.Since(began)
	var here, sdks time.Duration
	for b.Loop() {
		t0 := time.Now()
		s := start(b, code)
		if r := s.Do(1, hostsim.Get("/x")); r.Status != http.StatusOK {
			b.Fatal(r)
		}
		s.Close()
		t1 := time.Now()
		proxytestOnce(b, code)
		here, sdks = here+t1.Sub(t0), sdks+time.Since(t1)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(compiling), "first-ms") // once a process: the module is compiled, or read from the user's cache directory
	b.ReportMetric(ms(here)/float64(b.N), "hostsim-ms")
	b.ReportMetric(ms(sdks)/float64(b.N), "proxytest-ms")
	b.ReportMetric(float64(sdks)/float64(here), "proxytest/hostsim")
	b.ReportMetric(0, "ns/op") // of both together: says nothing
}

// start is a proxy with one worker, so with two VMs.
func start(b *testing.B, code []byte) *hostsim.Sim {
	s, err := hostsim.New(hostsim.Options{Module: code, Clusters: clusters(echo), Route: hostsim.RouteTo("backend")})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func proxytestOnce(b *testing.B, code []byte) {
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

// BenchmarkStart is a proxy from a compiled module to a closed one, with a VM
// for the main thread and one for each worker.
func BenchmarkStart(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			code := toolchain.Module(b, "sample/go")
			for b.Loop() {
				s, err := hostsim.New(hostsim.Options{Module: code, Workers: workers})
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

// BenchmarkRequest is one more request on a running proxy.
func BenchmarkRequest(b *testing.B) {
	s := start(b, toolchain.Module(b, "sample/go"))
	defer s.Close()
	for b.Loop() {
		if s.Do(1, hostsim.Get("/x")).Status != http.StatusOK {
			b.Fatal("no answer")
		}
	}
}
