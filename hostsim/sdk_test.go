package hostsim_test

import (
	"errors"
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

// sdkCheckout is the folder of the Go SDK's examples in a checkout of its repository.
// They can't be fetched as Go modules: the SDK's own module leaves them out, for
// each is a module of its own, and those have no versions that a module proxy knows.
// TestWhatTheSDKExamplesShow and TestSampleFilter assert the same behaviours of
// modules that are here.
func sdkCheckout(t *testing.T) string {
	t.Helper()
	root := os.Getenv("SDK_EXAMPLES")
	if root == "" {
		t.Skip("set SDK_EXAMPLES to the examples folder of a checkout of proxy-wasm/proxy-wasm-go-sdk")
	}
	return root
}

// sdkExample builds one of the examples, unchanged.
func sdkExample(t *testing.T, name string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "example.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, ".")
	cmd.Dir = filepath.Join(sdkCheckout(t), name)
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

// sdkExamples are those of the SDK's that are filters of HTTP, or use shared data,
// queues, ticks, metrics or properties; "network" is a filter of TCP.
var sdkExamples = map[string]func(t *testing.T, e example){
	"helloworld": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		s.Advance(time.Second)
		wantLogged(t, s, "OnPluginStart from Go!", "It's 1893456001000000000: random value: ", "OnTick called")
	},
	"dispatch_call_on_tick": func(t *testing.T, e example) {
		asked := map[string]int{}
		s := e.run(t, hostsim.Options{Clusters: map[string]http.Handler{"web_service": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked[r.URL.Path]++ })}})
		s.Advance(time.Second)
		wantLogged(t, s, "called 10 for contextID=1", "response header for the dispatched call: :status: 200")
		if asked["/ok"]+asked["/fail"] != 20 || asked["/ok"] == 0 || asked["/fail"] == 0 { // on two threads
			t.Errorf("the cluster was asked for %v", asked)
		}
	},
	"foreign_call_on_tick": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		s.Advance(3 * time.Millisecond)
		wantLogged(t, s, "foreign function (compress) called: 3, result: 789c")
	},
	"http_auth_random": func(t *testing.T, e example) {
		for body, status := range map[string]int{"granted": 200, "refused": 403} { // its hash decides
			s := e.run(t, hostsim.Options{Clusters: map[string]http.Handler{"httpbin": text(body), "backend": text("in")}})
			resp := do(s)
			want := map[int]string{200: "in", 403: "access forbidden"}[status]
			if resp.Status != status || string(resp.Body) != want || (resp.Get("powered-by") != "") != (status == 403) {
				t.Errorf("%s: got %+v", body, resp)
			}
			wantLogged(t, s, map[int]string{200: "access granted", 403: "access forbidden"}[status])
		}
	},
	"http_body": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		for op, body := range map[string]string{"append": "%s[this is appended body]", "prepend": "[this is prepended body]%s", "replace": "[this is replaced body]"} {
			for at, want := range map[string]string{"request": "POST /x " + strings.Replace(body, "%s", "hello", 1), "response": strings.Replace(body, "%s", "POST /x hello", 1)} {
				r := s.Do(1, hostsim.Post("/x", "hello", "buffer-operation", op, "buffer-replace-at", at))
				wantBody(t, op+" at "+at, r, 200, want)
			}
		}
		wantBody(t, "without a body", do(s), 400, "content must be provided")
		wantBody(t, "echo", e.run(t, hostsim.Options{PluginConfig: []byte("echo")}).Do(1, hostsim.Post("/x", "hello")), 200, "hello")
	},
	"http_body_chunk": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		wantBody(t, "with the pattern", s.Do(1, hostsim.Post("/x", strings.Repeat("x", 40_000)+"pattern")), 403, "pattern found in chunk: 3")
		wantBody(t, "without", s.Do(1, hostsim.Post("/x", "nothing")), 200, "POST /x nothing")
		wantLogged(t, s, "pattern not found")
	},
	"http_headers": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{PluginConfig: []byte(`{"header": "x-mine", "value": "yes"}`)})
		if r := do(s); r.Get("x-mine") != "yes" || r.Get("x-proxy-wasm-go-sdk-example") != "http_headers" {
			t.Errorf("got %+v", r)
		}
		wantLogged(t, s, "request header --> test: best", "response header <-- x-mine: yes", "2 finished")
		e.refused(t, "not JSON")
	},
	"http_routing": func(t *testing.T, e example) {
		for dice, cluster := range map[byte]string{1: "main", 2: "canary"} {
			s := e.run(t, hostsim.Options{PluginConfig: []byte{dice}, Clusters: map[string]http.Handler{"main": text("main"), "canary": text("canary")},
				Route: func(h hostsim.Headers) string {
					if strings.HasSuffix(h.Get(":authority"), "-canary") {
						return "canary"
					}
					return "main"
				}})
			wantBody(t, fmt.Sprint("dice ", dice), do(s), 200, cluster)
		}
	},
	"json_validation": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{PluginConfig: []byte(`{"requiredKeys": ["id"]}`)})
		json := []string{"content-type", "application/json"}
		wantBody(t, "valid", s.Do(1, hostsim.Post("/x", `{"id": 1}`, json...)), 200, `POST /x {"id": 1}`)
		wantBody(t, "without the key", s.Do(1, hostsim.Post("/x", `{"no": 1}`, json...)), 403, "invalid payload")
		wantBody(t, "not JSON", s.Do(1, hostsim.Post("/x", `{`, json...)), 403, "invalid payload")
		wantBody(t, "no content type", do(s), 403, "content-type must be provided")
		e.refused(t, "not JSON")
	},
	"metrics": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		for _, value := range []string{"foo", "bar", "foo"} {
			do(s, "my-custom-header", value)
		}
		do(s)
		s.CheckCounter("custom_header_value_counts_value=foo_reporter=wasmgosdk", 2)
		s.CheckCounter("custom_header_value_counts_value=bar_reporter=wasmgosdk", 1)
	},
	"multiple_dispatches": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{Clusters: map[string]http.Handler{"httpbin": text("x"), "backend": text("in")}})
		r := do(s)
		wantBody(t, "after ten calls", r, 200, "in")
		wantLogged(t, s, "pending dispatched requests: 1", "response resumed after processed 10 dispatched request")
		if r.Get("total-dispatched") != "10" {
			t.Errorf("got %+v", r)
		}
	},
	"postpone_requests": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		st := s.Start(1, hostsim.Get("/x"))
		if s.Settle(); st.Done() {
			t.Error("the request wasn't postponed")
		}
		s.Finish(st)
		wantBody(t, "at the tick", st.Response(), 200, "GET /x ")
		wantLogged(t, s, "postpone request with contextID=2", "resume request with contextID=2")
	},
	"properties": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{})
		wantBody(t, "a route without", do(s), 200, "GET /x ")
		wantLogged(t, s, "no auth header for route")
		req := hostsim.Get("/x")
		req.Properties = map[string]any{"route_metadata.filter_metadata.envoy.filters.http.wasm.auth": "cookie"}
		wantBody(t, "without the header", s.Do(1, req), 401, "")
		req.Headers.Add("cookie", "a")
		wantBody(t, "with the header", s.Do(1, req), 200, "GET /x ")
	},
	"shared_data": func(t *testing.T, e example) {
		s := e.run(t, hostsim.Options{Workers: 2})
		for i := range 4 {
			s.Do(i%2+1, hostsim.Get("/x"))
		}
		wantLogged(t, s, "shared value: 1", "shared value: 3")
		wantLog(t, s, 2, "shared value: 4")
	},
	"vm_plugin_configuration": func(t *testing.T, e example) {
		wantLogged(t, e.run(t, hostsim.Options{PluginConfig: []byte("p"), VMConfig: []byte("v")}), "vm config: v", "plugin config: p")
	},
	"shared_queue": func(t *testing.T, e example) {
		receiver := example{sdkExample(t, "shared_queue/receiver")}
		requests := receiver.run(t, hostsim.Options{PluginConfig: []byte("http_request_headers"), VMID: "receiver"})
		responses := receiver.run(t, hostsim.Options{PluginConfig: []byte("http_response_headers"), VMID: "receiver", Beside: requests})
		sender := example{sdkExample(t, "shared_queue/sender")}.run(t, hostsim.Options{PluginConfig: []byte("http"), VMID: "sender", Beside: requests})
		do(sender, "x-mine", "yes")
		sender.Settle()
		wantLogged(t, sender, `enqueued data: {"key": "x-mine","value": "yes"}`)
		wantLogged(t, requests, `(contextID=1) dequeued data from http_request_headers(queueID=1): {"key": "x-mine","value": "yes"}`)
		wantLogged(t, responses, `(contextID=2) dequeued data from http_response_headers(queueID=2): {"key": ":status","value": "200"}`)
	},
}

func TestSDKExamples(t *testing.T) {
	found, err := os.ReadDir(sdkCheckout(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range found {
		check := sdkExamples[folder.Name()]
		switch {
		case !folder.IsDir() || folder.Name() == "network":
		case check == nil:
			t.Errorf("nothing is asserted of %s", folder.Name())
		case folder.Name() == "shared_queue": // two modules
			t.Run(folder.Name(), func(t *testing.T) { check(t, example{}) })
		default:
			t.Run(folder.Name(), func(t *testing.T) { check(t, example{sdkExample(t, folder.Name())}) })
		}
	}
}

// example is the module of one.
type example struct{ module []byte }

// run starts a proxy with it; what o leaves out is a cluster that answers with what it got.
func (e example) run(t *testing.T, o hostsim.Options) *hostsim.Sim {
	t.Helper()
	o.Module = e.module
	if o.Clusters == nil {
		o.Clusters = clusters(echo)
	}
	if o.Route == nil {
		o.Route = hostsim.RouteTo("backend")
	}
	return hostsim.RunT(t, o)
}

func (e example) refused(t *testing.T, config string) {
	t.Helper()
	if _, err := hostsim.New(hostsim.Options{Module: e.module, PluginConfig: []byte(config)}); !errors.Is(err, hostsim.ErrConfig) {
		t.Errorf("configuration %q: %v", config, err)
	}
}

// logged reports whether worker 1 logged a line that begins with text.
func logged(s *hostsim.Sim, text string) bool { return len(workerLogs(s, text)) > 0 }

func wantLogged(t *testing.T, s *hostsim.Sim, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !logged(s, line) {
			t.Errorf("no log line begins with %q, in %v", line, s.Logs())
		}
	}
}

func wantBody(t *testing.T, what string, r *hostsim.Response, status int, body string) {
	t.Helper()
	if r.Status != status || string(r.Body) != body || !r.Complete {
		t.Errorf("%s: got %d %q (complete: %v), want %d %q", what, r.Status, r.Body, r.Complete, status, body)
	}
}
