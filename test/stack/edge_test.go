package stack_test

import (
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"chatcache/test/loopback"
	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// What the shipped envoy.yaml promises beside the cache.
func TestShippedConfigurationAsAnEdge(t *testing.T) {
	var asked atomic.Int32
	var path atomic.Value
	// A busy machine must not make the write one whose invalidation is pending.
	patient := []byte(mesh.ChatPolicy(t, mesh.Unhurried))
	s := stack.RunT(t, stack.Options{Policy: patient, BridgeArgs: []string{"--timeout", "4s"}, Origin: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		path.Store(r.URL.Path)
		w.WriteHeader(http.StatusServiceUnavailable)
	})})
	post := func(target string, header http.Header) {
		t.Helper()
		asked.Store(0)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Envoys[0].URL()+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("POST %s: %s", target, resp.Status)
		}
	}

	post("/api/chat/sessions", http.Header{"X-Envoy-Retry-On": {"5xx"}, "X-Envoy-Max-Retries": {"3"}})
	if n := asked.Load(); n != 1 {
		t.Errorf("a client had its write sent %d times with x-envoy-retry-on", n)
	}
	post("/api//chat/x/../sessions", nil)
	if got := path.Load(); got != "/api/chat/sessions" {
		t.Errorf("the origin saw the path %v", got)
	}
	post("/api/chat/sessions/s1/messages?q=private+words", nil)
	if line := accessLogLine(t, s.Envoys[0], "POST /api/chat/sessions/s1/messages"); strings.Contains(line, "private") || !strings.HasSuffix(strings.TrimSpace(line), " save message write") {
		t.Errorf("access log: %s", line)
	}
}

// An Envoy that refuses its first listener still calls itself ready.
func TestStartThatEnvoyRefusesFailsAtOnceAndLeavesNothing(t *testing.T) {
	stack.RequireT(t)
	if err := stack.Build(t.Context(), repositoryRoot(t), "build/chatcache.wasm", "build/redisbridge"); err != nil {
		t.Fatal(err)
	}
	port, err := loopback.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s, err := stack.Start(t.Context(), stack.Options{
		Dir: t.TempDir(), Ports: stack.Ports{EnvoyAdmin: port},
		Front: []any{map[string]any{"name": "nonsense"}},
	})
	if s != nil || !errors.Is(err, stack.ErrRefused) || !strings.Contains(err.Error(), "nonsense") {
		t.Fatalf("got %v, %v", s, err)
	}
	if conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
		conn.Close()
		t.Error("Envoy still runs")
	}
}

// accessLogLine gives the last line with text; Envoy writes it a little after the answer.
func accessLogLine(t *testing.T, e *stack.Envoy, text string) (line string) {
	t.Helper()
	stack.UntilT(t, "a line of the access log has "+text, func() bool {
		log := string(readFile(t, e.Log))
		// A line that is still being written doesn't count.
		lines := strings.Split(log[:strings.LastIndex(log, "\n")+1], "\n")
		for i := len(lines) - 1; i >= 0; i-- {
			if strings.Contains(lines[i], text) {
				line = lines[i]
				return true
			}
		}
		return false
	})
	return line
}
