package hostsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// What the SDK's examples show and TestSampleFilter doesn't; see sdkExample.
func TestWhatTheSDKExamplesShow(t *testing.T) {
	t.Run("calls from a tick", func(t *testing.T) {
		s := probe(t, func(o *hostsim.Options) {
			o.PluginConfig = []byte("tick 1000; on-tick call web /a 500")
			o.Clusters["web"] = text("ok")
		})
		s.Advance(3 * time.Second)
		wantLogs(t, s, "tick", `call answered 200 "ok"`, "tick", `call answered 200 "ok"`, "tick", `call answered 200 "ok"`)
	})
	t.Run("several calls before a response goes on", func(t *testing.T) {
		calls := 0
		s := probe(t, func(o *hostsim.Options) {
			o.Clusters["web"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls++ })
		})
		r := do(s, "x-on-response-headers", strings.Repeat("call web /a 500; ", 10)+"pause", "x-on-call", "count answers; last resume-response")
		if string(r.Body) != "GET /x " || calls != 10 || s.Counter("answers") != 10 {
			t.Errorf("got %q after %d calls and %d answers", r.Body, calls, s.Counter("answers"))
		}
	})
	t.Run("metadata of the route", func(t *testing.T) {
		s := probe(t, nil)
		req := hostsim.Get("/x", "x-on-request-headers", "prop xds.route_metadata.filter_metadata.auth")
		req.Properties = map[string]any{"xds.route_metadata.filter_metadata.auth": "cookie"}
		s.Do(1, req)
		wantLog(t, s, 1, `prop xds.route_metadata.filter_metadata.auth = "cookie"`)
	})
	t.Run("a queue of another plugin", func(t *testing.T) {
		receiver := probe(t, func(o *hostsim.Options) { o.VMID, o.PluginConfig = "receiver", []byte("queue q") })
		sender := hostsim.RunT(t, hostsim.Options{Module: toolchain.Module(t, "probe"), VMID: "sender", Beside: receiver,
			Clusters: clusters(echo), Route: hostsim.RouteTo("backend")})
		do(sender, "x-on-request-headers", "resolve receiver q; enqueue hello", "x-on-done", "resolve nobody q")
		sender.Settle()
		wantLogs(t, receiver, `queue "hello"`)
		if log := fmt.Sprint(sender.Logs()); !strings.Contains(log, "resolve: error status returned by host: not found") {
			t.Errorf("the queue of nobody: %s", log)
		}
	})
}
