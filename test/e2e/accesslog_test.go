package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// The shipped access log tells of each request which rule it matched and what came of it, of
// local replies too; and the trace of a request is in the bridge's log.
func TestAccessLogAndTrace(t *testing.T) {
	s := patientStack(t, stack.Options{Origin: chatapi.New(chatapi.Options{}), BridgeArgs: []string{"--log-level", "debug"}})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	ask := func(method, path, body, traceparent string) {
		t.Helper()
		req, err := http.NewRequest(method, s.Envoys[0].URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer ann")
		if traceparent != "" {
			req.Header.Set("Traceparent", traceparent)
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	ask("GET", "/api/chat/stats", "", "00-"+trace+"-b7ad6b7169203331-01")
	wantMetrics(t, s, `chatcache_stores{cache="stats"} 1`)
	ask("GET", "/api/chat/stats", "", "00-not-a-trace")
	ask("GET", "/api/chat/stats?secret=word", "", "")
	ask("HEAD", "/api/chat/stats", "", "")
	ask("POST", "/api/chat/sessions", "{}", "00-"+strings.Repeat("ab", 16)+"-b7ad6b7169203331-01")
	ask("GET", "/elsewhere", "", "")

	wantLines(t, s.Envoys[0].Log,
		"GET /api/chat/stats 200", " stats stored\n",
		"GET /api/chat/stats 200", " stats hit:l",
		"HEAD /api/chat/stats 200", " stats hit:l",
		"POST /api/chat/sessions 201", " create session write\n",
		"GET /elsewhere 404", " -\n")
	wantLines(t, s.Bridge.Log,
		"path=/v1/join", "trace="+trace, // a worker's first lookup
		"path=/v1/suspend", "trace="+strings.Repeat("ab", 16))
	if log := contents(t, s.Bridge.Log) + contents(t, s.Envoys[0].Log); strings.Contains(log, "not-a-trace") || strings.Contains(log, "secret=word") {
		t.Errorf("a log repeats what a client sent:\n%s", log)
	}
}

func contents(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wantLines waits until a log has, for each pair, a line with both.
func wantLines(t *testing.T, file string, pairs ...string) {
	t.Helper()
	stack.WaitT(t, "the log has all lines", func(context.Context) error {
		text := contents(t, file)
		for i := 0; i < len(pairs); i += 2 {
			found := false
			for line := range strings.Lines(text) {
				found = found || strings.Contains(line, pairs[i]) && strings.Contains(line, pairs[i+1])
			}
			if !found {
				return fmt.Errorf("none with %q and %q in\n%s", pairs[i], pairs[i+1], text)
			}
		}
		return nil
	})
}
