package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"redisbridge": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// Short: a socket's path has at most 107 bytes.
			dir, err := os.MkdirTemp("", "rb")
			if err != nil {
				return err
			}
			e.Defer(func() { os.RemoveAll(dir) })
			e.Setenv("SOCKET", "unix:"+dir+"/s")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listens": listens,
			"masked":  masked,
		},
	})
}

// listens waits until somebody listens at $SOCKET.
func listens(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.Getenv("SOCKET")[len("unix:"):]
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("unix", path)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("nobody listens: %v", err)
		}
	}
}

// masked compares a file with what a command printed, epochs and times masked.
func masked(ts *testscript.TestScript, _ bool, args []string) {
	got := ts.ReadFile(args[0])
	got = regexp.MustCompile(`(epoch"?:? "?)[0-9a-f]{1,16}\b`).ReplaceAllString(got, "${1}EPOCH")
	got = regexp.MustCompile(`(ping )[0-9.]+`).ReplaceAllString(got, "${1}PING")
	if want := ts.ReadFile(args[1]); got != want {
		ts.Fatalf("%s is\n%s", args[0], got)
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		args string
		want int
	}{
		{"help", exitOK},
		{"purge --help", exitOK},
		{"", exitUsage},
		{"prune", exitUsage},
		{"purge", exitUsage},
		{"status --yaml", exitUsage},
		{"serve --memory", exitUsage},
		{"serve --memory --insecure --listen nowhere", exitNo},
		{"purge --all --bridge unix:/nonexistent", exitNo},
		{"status --bridge unix:/nonexistent", exitNo},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			got := run(t.Context(), strings.Fields(tt.args), func(string) string { return "" }, io.Discard, io.Discard)
			if got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
		})
	}
}

// A bridge whose Redis is down: status prints what it knows and says no.
func TestStatusOfABrokenBridge(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"redis":{"ok":false,"error":"redis did not answer in time",
			"breaker":{"state":"half-open","cause":"i/o timeout","openings":2,"refused":7}},"policies":[
			{"name":"chat","caches":[{"name":"stats","hits":1,"misses":2,"suspended":1,"errors":12,"hitRate":0.25,"stores":2}]}]}`)
	}))
	defer server.Close()
	var out strings.Builder
	code := run(t.Context(), []string{"status", "--bridge", server.URL}, func(string) string { return "" }, &out, io.Discard)
	want := `redis: redis did not answer in time
circuit breaker: half-open (i/o timeout), 7 lookups and stores refused so far

policy chat: sequence 0 of epoch , 0 open suspensions, 0 VMs, 0 held polls
  cache  hits  misses  suspended  hit rate  stores  suspensions  raises  errors
  stats     1       2          1     25.0%       2            0       0      12
`
	if out.String() != want || code != exitNo {
		t.Errorf("exit code %d, printed\n%s", code, out.String())
	}
}
