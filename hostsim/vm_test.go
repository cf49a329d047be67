package hostsim_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

func counting(n *int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { *n++; echo(w, r) })
}

func TestFailurePolicies(t *testing.T) {
	for name, c := range map[string]struct {
		policy        hostsim.FailurePolicy
		first, second int
		afterBackoff  int
	}{
		"closed": {hostsim.FailClosed, 503, 503, 503},
		"open":   {hostsim.FailOpen, 503, 200, 200},
		"reload": {hostsim.FailReload, 503, 503, 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) { o.Policy = c.policy })
			first := do(s, "x-on-request-headers", "panic")
			second := do(s)
			s.Advance(time.Second)
			third := do(s)
			if first.Status != c.first || second.Status != c.second || third.Status != c.afterBackoff {
				t.Errorf("statuses %d %d %d, want %d %d %d", first.Status, second.Status, third.Status, c.first, c.second, c.afterBackoff)
			}
			died := s.Expect(hostsim.VMDied)
			if len(died) != 1 || !strings.Contains(died[0].Detail, "panic: as asked") {
				t.Errorf("failures %v, log %v", died, s.Logs())
			}
			seen := strings.Count(fmt.Sprint(s.Logs()), "request-headers")
			if want := map[string]int{"closed": 1, "open": 1, "reload": 2}[name]; seen != want {
				t.Errorf("the module saw %d requests, want %d", seen, want)
			}
		})
	}
}

func TestPausedStreamsHangWhenTheirVMDies(t *testing.T) {
	s := probe(t, nil)
	paused := s.Start(1, hostsim.Get("/x", "x-on-request-headers", "call backend / 9; pause", "x-on-call", "resume-request"))
	do(s, "x-on-request-headers", "panic")
	s.Finish(paused)
	s.Expect(hostsim.VMDied)
	if paused.Done() || len(s.Expect(hostsim.NeverResumed)) != 1 {
		t.Error("a stream of a dead VM went on")
	}
}

func TestALoopInACallbackIsCut(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.CallbackTimeout = time.Second })
	resp := do(s, "x-on-request-headers", "loop")
	if resp.Status != 503 {
		t.Errorf("status %d", resp.Status)
	}
	if f := s.Expect(hostsim.VMDied); len(f) != 1 || !strings.Contains(f[0].Detail, "endless loop") {
		t.Errorf("failures %v", f)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.MemoryLimit = 64 << 20 })
	if resp := do(s, "x-on-request-headers", "grow 100"); resp.Status != 503 {
		t.Errorf("status %d", resp.Status)
	}
	if f := s.Expect(hostsim.VMDied); len(f) != 1 || !strings.Contains(fmt.Sprint(s.Logs()), "out of memory") {
		t.Errorf("failures %v, log %v", f, s.Logs())
	}
}

func TestARefusedConfigurationIsAnError(t *testing.T) {
	_, err := hostsim.New(hostsim.Options{Module: toolchain.Module(t, "probe"), PluginConfig: []byte("refuse")})
	want := "hostsim: configuration refused: proxy_on_configure refused it\n  [0][error] refused: as asked"
	if !errors.Is(err, hostsim.ErrConfig) || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestEveryThreadHasItsVM(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) {
		o.Workers, o.PluginConfig, o.Env = 2, []byte("queue q"), map[string]string{"PROBE": "yes"}
	})
	var got []string
	for _, l := range s.Logs() {
		got = append(got, l.String())
	}
	want := `[0][info] start "queue q" env "yes" [1][info] start "queue q" env "yes" [2][info] start "queue q" env "yes"`
	if strings.Join(got, " ") != want {
		t.Errorf("log %v", got)
	}
}

func TestAQueueWakesTheLastThatRegisteredIt(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.Workers, o.PluginConfig = 2, []byte("queue q") })
	s.Do(1, hostsim.Get("/x", "x-on-done", "enqueue hello", "x-on-quiet", "1"))
	s.Settle()
	logs := s.Logs()
	if got := logs[len(logs)-1].String(); got != `[2][info] queue "hello"` {
		t.Errorf("last line %s", got)
	}
	if n := s.Queued(); n != 0 {
		t.Errorf("%d items that were dequeued are still there", n)
	}
}

func TestSharedDataAndMetricsAreTheProxys(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.Workers = 2 })
	for worker := 1; worker <= 2; worker++ {
		s.Do(worker, hostsim.Get("/x", "x-on-request-headers", fmt.Sprintf("count hits; shared key value%d", worker)))
	}
	if v, ok := s.SharedData("key"); string(v) != "value2" || !ok {
		t.Errorf("shared data %q %v", v, ok)
	}
	if got := s.Counter("hits"); got != 2 {
		t.Errorf("counter %d", got)
	}
}

func TestProperties(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.PluginName = "chat" })
	req := hostsim.Get("/x?a=1", "x-on-request-headers",
		"prop request.path; prop request.url_path; prop request.query; prop request.method; prop plugin_name;"+
			"prop metadata.filter_metadata.envoy.payload.sub; setprop mine 7; prop mine; prop source.address; prop nothing",
		"x-on-quiet", "1", "x-on-response-headers", "prop upstream.request_attempt_count; prop response.code")
	req.Metadata = map[string]any{"envoy": map[string]any{"payload": map[string]any{"sub": "u1"}}}
	req.Properties = map[string]any{"source.address": "10.0.0.1:7"}
	s.Do(1, req)
	wantLogs(t, s, `prop request.path = "/x?a=1"`, `prop request.url_path = "/x"`, `prop request.query = "a=1"`,
		`prop request.method = "GET"`, `prop plugin_name = "chat"`, `prop metadata.filter_metadata.envoy.payload.sub = "u1"`,
		`prop mine = "7"`, `prop source.address = "10.0.0.1:7"`, "prop: error status returned by host: not found",
		`prop upstream.request_attempt_count = "\x01\x00\x00\x00\x00\x00\x00\x00"`, `prop response.code = "\xc8\x00\x00\x00\x00\x00\x00\x00"`)
}

func TestASeedMakesChanceReproducible(t *testing.T) {
	draw := func(seed uint64) string {
		s := probe(t, func(o *hostsim.Options) { o.Seed = seed })
		do(s, "x-on-request-headers", "header request x-request-id; random")
		return fmt.Sprint(workerLogs(s, "header", "random"))
	}
	a, again, b := draw(1), draw(1), draw(2)
	if a != again || a == b || strings.Count(a, "random") != 1 {
		t.Errorf("seed 1 gave %s and %s, seed 2 %s", a, again, b)
	}
}

func TestTheModuleMayBeAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "filter.wasm")
	if _, err := hostsim.New(hostsim.Options{Path: path}); !errors.Is(err, hostsim.ErrModule) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := hostsim.New(hostsim.Options{}); !errors.Is(err, hostsim.ErrConfig) {
		t.Errorf("neither module nor path: %v", err)
	}
	if err := os.WriteFile(path, toolchain.Module(t, "probe"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := probe(t, func(o *hostsim.Options) { o.Module, o.Path = nil, path })
	if resp := do(s); resp.Status != 200 {
		t.Errorf("status %d", resp.Status)
	}
}

func TestCheckCounter(t *testing.T) {
	inner := &failing{TB: t}
	s := hostsim.RunT(inner, hostsim.Options{Module: toolchain.Module(t, "probe")})
	do(s, "x-on-request-headers", "count hits")
	s.CheckCounter("hits", 1)
	s.CheckCounter("hits", 2)
	inner.finish()
	if got, want := fmt.Sprint(inner.errors), "[counter hits is 1, want 2, of map[hits:1]]"; got != want {
		t.Errorf("the test said %s, want %s", got, want)
	}
}

func TestATraceTellsTheStory(t *testing.T) {
	s := probe(t, nil)
	st := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers", "reply 200 hi; pause"))
	s.Finish(st)
	want := []string{
		`==> proxy_on_context_create(2, 1)`,
		`<== proxy_on_context_create = 0`,
		`==> proxy_on_request_headers(2, 8, 1)`,
		`    proxy_get_header_map_pairs(RequestHeaders) = Ok`,
		`    proxy_send_local_response(200, "", "hi", {X-Reply: yes}, -1) = Ok`,
		`<== proxy_on_request_headers = 1`,
		`==> proxy_on_response_headers(2, 4, 0)`,
		`<== proxy_on_response_headers = 0`,
		`==> proxy_on_response_body(2, 2, 1)`,
		`<== proxy_on_response_body = 0`,
		`==> proxy_on_log(2)`, `<== proxy_on_log = 0`,
		`==> proxy_on_done(2)`, `<== proxy_on_done = 1`,
		`==> proxy_on_delete(2)`, `<== proxy_on_delete = 0`,
	}
	got := st.Trace()
	for i := range got {
		if cut := strings.Index(got[i], " = Ok "); cut >= 0 {
			got[i] = got[i][:cut+5]
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("trace:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestHeadersCanBeReadAgainAtTheEnd(t *testing.T) {
	s := probe(t, nil)
	do(s, "x-on-quiet", "1", "x-mine", "7", "x-on-response-headers", "prop request.path; prop request.protocol",
		"x-on-done", "header request x-mine; header response :status; prop request.path; prop response.headers.content-length")
	wantLogs(t, s, "prop: error status returned by host: not found", `prop request.protocol = "HTTP/1.1"`,
		`header x-mine = "7"`, `header :status = "200"`, `prop request.path = "/x"`, `prop response.headers.content-length = "7"`)
}

func TestPendingNamesWhatTheModuleWaitsFor(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["slow"] = slow(clock, time.Second)
	})
	s.Start(1, hostsim.Get("/x", "x-on-request-headers", "call slow /a 0; pause", "x-on-call", "resume-request"))
	s.Settle()
	if got := fmt.Sprint(s.Pending()); got != "[worker 1: call 4 to slow call 4 to slow /a]" {
		t.Errorf("pending %s", got)
	}
	s.Advance(time.Second)
	if got := s.Pending(); len(got) != 0 {
		t.Errorf("pending after the answer %v", got)
	}
}
