package hostsim_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// workerLogs are worker 1's messages that begin with one of the prefixes.
func workerLogs(s *hostsim.Sim, prefixes ...string) []string {
	var got []string
	for _, l := range s.Logs() {
		for _, p := range prefixes {
			if l.Worker == 1 && strings.HasPrefix(l.Message, p) {
				got = append(got, strings.TrimSpace(l.Message))
			}
		}
	}
	return got
}

func TestReconfigureKeepsTheHeapAndDrainsTheOldContext(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte("tick 100000; log one") })
	do(s, "x-on-request-headers", "grow 1; kept", "x-on-quiet", "1")
	if err := s.Reconfigure([]byte("log two")); err != nil {
		t.Fatal(err)
	}
	do(s, "x-on-request-headers", "kept", "x-on-quiet", "1")
	s.Advance(599 * time.Second)
	if got := workerLogs(s, "plugin done"); len(got) != 0 {
		t.Errorf("the old context was done before the drain's end")
	}
	s.Advance(time.Second)
	got := workerLogs(s, "start", "kept", "plugin done", "tick")
	want := `[start "tick 100000; log one" env "" kept 1 start "log two" env "" kept 1 tick tick tick tick tick plugin done]`
	if s.Advance(time.Hour); fmt.Sprint(got) != want || len(workerLogs(s, "tick")) != 5 {
		t.Errorf("log %v\nwant %s", got, want)
	}
}

func TestARefusedReconfigurationChangesNothing(t *testing.T) {
	s := probe(t, nil)
	err := s.Reconfigure([]byte("refuse"))
	if !errors.Is(err, hostsim.ErrConfig) || len(workerLogs(s, "start")) != 1 {
		t.Errorf("got %v, log %v", err, s.Logs())
	}
	if do(s).Status != 200 {
		t.Error("the old configuration no longer works")
	}
}

func TestReplaceStartsNewVMs(t *testing.T) {
	s := probe(t, nil)
	do(s, "x-on-request-headers", "grow 1; kept", "x-on-quiet", "1")
	if err := s.Replace(rebuilt(toolchain.Module(t, "probe")), nil); err != nil {
		t.Fatal(err)
	}
	do(s, "x-on-request-headers", "kept", "x-on-quiet", "1")
	s.Advance(600 * time.Second)
	if got := fmt.Sprint(workerLogs(s, "kept", "plugin done")); got != "[kept 1 kept 0 plugin done]" {
		t.Errorf("log %s", got)
	}
	if err := s.Replace([]byte("nonsense"), nil); !errors.Is(err, hostsim.ErrModule) {
		t.Errorf("got %v", err)
	}
}

func TestRetries(t *testing.T) {
	tries := 0
	s := probe(t, func(o *hostsim.Options) {
		o.Retries, o.AttemptCountInResponse = 1, true
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if tries++; tries == 1 {
				w.WriteHeader(503)
				return
			}
			echo(w, r)
		})
	})
	resp := s.Do(1, hostsim.Post("/x", "hello", "x-on-quiet", "1", "x-on-response-headers", "prop upstream.request_attempt_count"))
	if resp.Status != 200 || string(resp.Body) != "POST /x hello" || resp.Get("x-envoy-attempt-count") != "2" {
		t.Errorf("got %+v", resp)
	}
	if got := fmt.Sprint(workerLogs(s, "prop")); got != `[prop upstream.request_attempt_count = "\x02\x00\x00\x00\x00\x00\x00\x00"]` {
		t.Errorf("log %s", got)
	}
}

func TestForeignFunctions(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) {
		o.ForeignFunctions = map[string]func([]byte) ([]byte, error){
			"own": func(b []byte) ([]byte, error) { return append([]byte("got "), b...), nil },
		}
	})
	st := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers",
		"foreign own hello; foreign missing x; foreign uncompress x; zip hello; setprop mine 7; state envoy.string value; state mine value"))
	s.Finish(st)
	wantLogs(t, s, `foreign "got hello"`, "foreign: error status returned by host: not found",
		"foreign: unknown status code: 3", `zip "hello"`, "state envoy.string err=<nil>", "state mine err=error status returned by host: not found")
	if v, _ := st.FilterState("wasm.mine"); string(v) != "7" {
		t.Errorf("own property %q", v)
	}
	if v, _ := st.FilterState("envoy.string"); string(v) != "value" {
		t.Errorf("filter state %q", v)
	}
}
