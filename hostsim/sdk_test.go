package hostsim_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// sdkExample builds one of the Go SDK's examples, unchanged, from the checkout
// of its repository that SDK_EXAMPLES names. They can't be fetched as Go modules:
// the SDK's own module leaves them out, for each is a module of its own, and those
// replace the SDK by ../.. and have no tags. TestWhatTheSDKExamplesShow and
// TestSampleFilter assert the same behaviours of modules that are here.
func sdkExample(t *testing.T, name string) []byte {
	t.Helper()
	root := os.Getenv("SDK_EXAMPLES")
	if root == "" {
		t.Skip("set SDK_EXAMPLES to the examples folder of a checkout of proxy-wasm/proxy-wasm-go-sdk")
	}
	out := filepath.Join(t.TempDir(), "example.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = filepath.Join(root, name)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, text)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// logged reports whether worker 1 logged a line that begins with text.
func logged(s *hostsim.Sim, text string) bool { return len(workerLogs(s, text)) > 0 }

func TestSDKExamples(t *testing.T) {
	run := func(name string, o hostsim.Options, check func(t *testing.T, s *hostsim.Sim)) {
		t.Run(name, func(t *testing.T) {
			o.Module = sdkExample(t, name)
			if o.Clusters == nil {
				o.Clusters = clusters(echo)
			}
			if o.Route == nil {
				o.Route = hostsim.RouteTo("backend")
			}
			check(t, hostsim.RunT(t, o))
		})
	}
	want := func(t *testing.T, ok bool, s *hostsim.Sim, what any) {
		t.Helper()
		if !ok {
			t.Errorf("%v; log %v", what, s.Logs())
		}
	}
	run("helloworld", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		s.Advance(time.Second)
		want(t, logged(s, "OnPluginStart from Go!") && logged(s, "It's 1893456001000000000: random value"), s, "no tick")
	})
	run("dispatch_call_on_tick", hostsim.Options{Clusters: map[string]http.Handler{"web_service": text("ok")}}, func(t *testing.T, s *hostsim.Sim) {
		s.Advance(time.Second)
		want(t, logged(s, "called 10 for contextID=1") && logged(s, "response header for the dispatched call: :status: 200"), s, "no calls")
	})
	run("foreign_call_on_tick", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		s.Advance(3 * time.Millisecond)
		want(t, logged(s, "foreign function (compress) called: 3, result: 789c"), s, "no foreign call")
	})
	run("http_auth_random", hostsim.Options{Clusters: map[string]http.Handler{"httpbin": text("some body"), "backend": text("in")}}, func(t *testing.T, s *hostsim.Sim) {
		resp := do(s)
		granted := logged(s, "access granted") && resp.Status == 200
		denied := logged(s, "access forbidden") && resp.Status == 403 && string(resp.Body) == "access forbidden"
		want(t, granted || denied, s, resp)
	})
	run("http_body", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		for op, body := range map[string]string{"append": "hello[this is appended body]", "prepend": "[this is prepended body]hello", "replace": "[this is replaced body]"} {
			r := s.Do(1, hostsim.Post("/x", "hello", "buffer-operation", op))
			want(t, string(r.Body) == "POST /x "+body, s, string(r.Body))
		}
		r := s.Do(1, hostsim.Post("/x", "hello", "buffer-operation", "append", "buffer-replace-at", "response"))
		want(t, string(r.Body) == "POST /x hello[this is appended body]", s, string(r.Body))
		want(t, do(s).Status == 400, s, "a request without body")
	})
	run("http_body_chunk", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		r := s.Do(1, hostsim.Post("/x", strings.Repeat("x", 40_000)+"pattern"))
		want(t, r.Status == 403 && string(r.Body) == "pattern found in chunk: 3", s, string(r.Body))
	})
	run("http_headers", hostsim.Options{PluginConfig: []byte(`{"header": "x-mine", "value": "yes"}`)}, func(t *testing.T, s *hostsim.Sim) {
		r := do(s)
		want(t, r.Get("x-mine") == "yes" && r.Get("x-proxy-wasm-go-sdk-example") == "http_headers" && logged(s, "request header --> test: best") && logged(s, "2 finished"), s, r)
	})
	run("http_routing", hostsim.Options{PluginConfig: []byte{2}, Clusters: map[string]http.Handler{"main": text("main"), "canary": text("canary")},
		Route: func(h hostsim.Headers) string {
			if strings.HasSuffix(h.Get(":authority"), "-canary") {
				return "canary"
			}
			return "main"
		}}, func(t *testing.T, s *hostsim.Sim) {
		want(t, string(do(s).Body) == "canary", s, "not the canary")
	})
	run("json_validation", hostsim.Options{PluginConfig: []byte(`{"requiredKeys": ["id"]}`)}, func(t *testing.T, s *hostsim.Sim) {
		json := []string{"content-type", "application/json"}
		want(t, s.Do(1, hostsim.Post("/x", `{"id": 1}`, json...)).Status == 200, s, "valid")
		want(t, string(s.Do(1, hostsim.Post("/x", `{"no": 1}`, json...)).Body) == "invalid payload", s, "invalid")
		want(t, do(s).Status == 403, s, "no content type")
	})
	run("metrics", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		do(s, "my-custom-header", "foo")
		do(s, "my-custom-header", "foo")
		want(t, s.Counter("custom_header_value_counts_value=foo_reporter=wasmgosdk") == 2, s, s.Counters())
	})
	run("multiple_dispatches", hostsim.Options{Clusters: map[string]http.Handler{"httpbin": text("x"), "backend": text("in")}}, func(t *testing.T, s *hostsim.Sim) {
		r := do(s)
		want(t, r.Get("total-dispatched") == "10" && string(r.Body) == "in", s, r)
	})
	run("postpone_requests", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		r := do(s)
		want(t, r.Status == 200 && logged(s, "resume request with contextID=2"), s, r)
	})
	run("properties", hostsim.Options{}, func(t *testing.T, s *hostsim.Sim) {
		want(t, do(s).Status == 200 && logged(s, "no auth header for route"), s, "a route without")
		req := hostsim.Get("/x")
		req.Properties = map[string]any{"route_metadata.filter_metadata.envoy.filters.http.wasm.auth": "cookie",
			"xds.route_metadata.filter_metadata.envoy.filters.http.wasm.auth": "cookie"}
		want(t, s.Do(1, req).Status == 401, s, "without the header")
		req.Headers.Add("cookie", "a")
		want(t, s.Do(1, req).Status == 200, s, "with the header")
	})
	run("shared_data", hostsim.Options{Workers: 2}, func(t *testing.T, s *hostsim.Sim) {
		for i := range 4 {
			s.Do(i%2+1, hostsim.Get("/x"))
		}
		want(t, logged(s, "shared value: 3") && strings.Contains(fmt.Sprint(s.Logs()), "[2][info] shared value: 4"), s, "not shared")
	})
	run("vm_plugin_configuration", hostsim.Options{PluginConfig: []byte("p"), VMConfig: []byte("v")}, func(t *testing.T, s *hostsim.Sim) {
		want(t, logged(s, "vm config: v") && logged(s, "plugin config: p"), s, "no configuration")
	})
	run("shared_queue/receiver", hostsim.Options{PluginConfig: []byte("http_request_headers"), VMID: "receiver"}, func(t *testing.T, receiver *hostsim.Sim) {
		code := sdkExample(t, "shared_queue/receiver")
		hostsim.RunT(t, hostsim.Options{Module: code, PluginConfig: []byte("http_response_headers"), VMID: "receiver", Beside: receiver})
		sender := hostsim.RunT(t, hostsim.Options{Module: sdkExample(t, "shared_queue/sender"), PluginConfig: []byte("http"), VMID: "sender",
			Beside: receiver, Clusters: clusters(echo), Route: hostsim.RouteTo("backend")})
		do(sender)
		sender.Settle()
		want(t, strings.Contains(fmt.Sprint(receiver.Logs()), `dequeued data from http_request_headers`), receiver, "nothing came")
	})
}
