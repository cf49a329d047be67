package main

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chatcache/redisbridge"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"redisbridge": main, "trusts-somebody": trustsSomebody})
}

// trustsSomebody fails where no CA certificates are known.
func trustsSomebody() {
	if pool, err := x509.SystemCertPool(); err != nil || pool.Equal(x509.NewCertPool()) {
		os.Exit(exitNo)
	}
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
			"until":   until,
			"masked":  masked,
		},
	})
}

// listens waits until somebody listens at $SOCKET.
func listens(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.Getenv("SOCKET")[len("unix:"):]
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
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

// until PATTERN COMMAND... repeats a command until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for limit := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("%s doesn't print %s: %v", args[1], args[0], err)
		}
	}
}

// masked compares a file with what a command printed, epochs, times and what depends on them masked.
func masked(ts *testscript.TestScript, _ bool, args []string) {
	got := ts.ReadFile(args[0])
	got = regexp.MustCompile(`(epoch"?:? "?)[0-9a-f]{1,16}\b`).ReplaceAllString(got, "${1}EPOCH")
	got = regexp.MustCompile(`(bridge: version ).+`).ReplaceAllString(got, "${1}VERSION")
	got = regexp.MustCompile(`(ping )[0-9.]+`).ReplaceAllString(got, "${1}PING")
	got = regexp.MustCompile(`[0-9]+( keys of)`).ReplaceAllString(got, "KEYS$1") // some live for a moment only
	got = regexp.MustCompile(`("(?:raisedAt|setAt|version)": )[0-9]+`).ReplaceAllString(got, "${1}MS")
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
			{"name":"chat","epoch":"5eed","sequence":3,"vms":7,"behind":2,"behindMs":1200,"followers":[{"vm":"vm-1","lag":12,"leaseMs":1500,"policyVersion":"5f"},{"vm":"vm-2","lag":3,"leaseMs":2000},{"vm":"vm-3"}],"controls":{"caches":[{"name":"stats","ttl":"30s","rollout":true}]},"caches":[{"name":"stats","hits":1,"misses":2,"suspended":1,"errors":12,"hitRate":0.25,"stores":2,"proxies":{"hitsL1":8,"hitsL2":1,"misses":2,"wouldHits":1,"matches":3,"mismatches":1,"hitRatio":0.75,"savedMs":4510}},{"name":"user"}]}]}`)
	}))
	defer server.Close()
	var out strings.Builder
	code := run(t.Context(), []string{"status", "--bridge", server.URL}, func(string) string { return "" }, &out, io.Discard)
	want := `redis: redis did not answer in time
circuit breaker: half-open (i/o timeout), 7 lookups and stores refused so far

policy chat: sequence 3 of epoch 5eed, 0 raises in it, 0 open suspensions, 7 VMs (2 behind, for up to 1.2s), 0 held polls
  VM vm-1 is 12 behind; its lease has 1.5s left
  VM vm-2 is 3 behind; its lease has 2s left
policy versions: unknown in 2 VMs, 5f in 1 VMs
controls  off  ttl  percent  observe  verify
stats     -    30s  -        -        -  not used: the proxies' policies have different rules for it, or had lately
  cache  hits  misses  suspended  hit rate  stores  suspensions  raises  errors
  stats     1       2          1     25.0%       2            0       0      12
   user     0       0          0      0.0%       0            0       0       0
  all proxies  hits L1  hits L2  collapsed  misses  bypasses  would hit  hit ratio  mismatches  errors  saved
        stats        8        1          0       2         0          1      75.0%      1 of 4       0  4.5 s
`
	if out.String() != want || code != exitNo {
		t.Errorf("exit code %d, printed\n%s", code, out.String())
	}
}

// While Redis is silent nothing is said of where a policy stands.
func TestStatusWithoutRedis(t *testing.T) {
	var out strings.Builder
	printStatus(&out, redisbridge.Status{
		Redis:    redisbridge.RedisStatus{Error: "redis: connection refused"},
		Policies: []redisbridge.PolicyStatus{{Name: "chat", HeldPolls: 2}},
	})
	if want := "redis: connection refused\n\npolicy chat: not known while Redis doesn't answer, 2 held polls\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed\n%s", out.String())
	}
}

// What isn't a bridge says no in pages: one line is shown, and what may be wrong.
func TestAnswersOfOtherServers(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{404, "invalid path. admin commands are:\n  /: Admin home page\n", "redisbridge: bridge said 404: invalid path. admin commands are:; is it the right --bridge?\n"},
		{404, "not found: policy \"chat\" has no cache \"x\"\n", "redisbridge: bridge said 404: not found: policy \"chat\" has no cache \"x\"\n"},
		{503, strings.Repeat("ä", 5000), "redisbridge: bridge said 503: " + strings.Repeat("ä", maxRefusal/2) + "…\n"},
		{200, "<!doctype html>", "; is it the right --bridge?\n"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}))
		var errors strings.Builder
		code := run(t.Context(), []string{"status", "--bridge", server.URL}, func(string) string { return "" }, io.Discard, &errors)
		server.Close()
		if code != exitNo || !strings.HasSuffix(errors.String(), tt.want) {
			t.Errorf("%d %.20s: exit code %d, %s", tt.status, tt.body, code, errors.String())
		}
	}
}

// Ctrl-C isn't taken for a bridge that can't be reached.
func TestInterruptedCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then the server sees that the caller is gone
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	var errors strings.Builder
	code := run(ctx, []string{"purge", "--all", "--bridge", server.URL}, func(string) string { return "" }, io.Discard, &errors)
	if want := "redisbridge: interrupted before the bridge has answered\n"; code != exitNo || errors.String() != want {
		t.Errorf("exit code %d, %s", code, errors.String())
	}
}

// A rollout that is interrupted before its first step has changed nothing, and no bridge has said no.
func TestInterruptedBeforeARollout(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	var errors strings.Builder
	code := run(ctx, []string{"rollout", "stats", "--bridge", server.URL}, func(string) string { return "" }, io.Discard, &errors)
	want := "redisbridge: cache stats: interrupted before the bridge has answered; what is set stays: redisbridge controls shows it\n"
	if code != exitWait || errors.String() != want {
		t.Errorf("exit code %d, %s", code, errors.String())
	}
}

// Calls at a Unix socket leave no connection behind: a rollout makes some every two seconds for hours.
func TestCallsAtASocketEnd(t *testing.T) {
	dir, err := os.MkdirTemp("", "rb") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", dir+"/s")
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	server.Listener.Close()
	server.Listener = l
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	bridge := client{base: "unix:" + dir + "/s"}
	for range 3 {
		var answer redisbridge.ControlsAnswer
		if err := bridge.call(t.Context(), http.MethodGet, "/v1/controls", nil, &answer); err != nil {
			t.Fatal(err)
		}
	}
	for limit := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("%d connections are open", open.Load())
		}
	}
}

// Each flag that a command's usage tells is one, and each flag stands in a usage.
func TestUsageTellsTheFlags(t *testing.T) {
	told := map[string]bool{}
	for _, command := range []string{"serve", "purge", "status", "controls", "inspect", "doctor", "rollout", "warm"} {
		var help strings.Builder
		run(t.Context(), []string{command, "-h"}, func(string) string { return "" }, &help, io.Discard)
		found := regexp.MustCompile(`(?m)^  (--?[A-Za-z][a-z-]*)`).FindAllStringSubmatch(help.String(), -1)
		if len(found) == 0 {
			t.Errorf("%s tells no flag", command)
		}
		for _, m := range regexp.MustCompile(`(?m)(?:^  -|--)([A-Za-z][a-z-]*)`).FindAllStringSubmatch(help.String(), -1) {
			told[m[1]] = true
		}
		for _, m := range found {
			var errors strings.Builder
			// With a value or without: the flag behind it ends the command.
			code := run(t.Context(), []string{command, m[1], "1", "--no-such-flag"}, func(string) string { return "" }, io.Discard, &errors)
			if code != exitUsage || strings.Contains(errors.String(), "not defined: -"+strings.TrimLeft(m[1], "-")+"\n") {
				t.Errorf("%s %s: exit code %d, %s", command, m[1], code, errors.String())
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`(?:set\.[A-Z][A-Za-z0-9]*|durationFlag|share)\((?:set, )?(?:&[\w.]+, )?"([A-Za-z-]+)"`).FindAllStringSubmatch(string(text), -1) {
			if !told[m[1]] {
				t.Errorf("%s: no usage tells the flag %s", file, m[1])
			}
		}
	}
}

// The commands of the READMEs are understood: a bridge that isn't there is all that they miss.
func TestCommandsOfTheReadmes(t *testing.T) {
	word := regexp.MustCompile(`'([^']*)'|([^\s']+)`)
	for _, name := range []string{"README.md", "envoy/istio/README.md", "envoy/redis/README.md"} {
		text, err := os.ReadFile("../../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(`(?m)^redisbridge ([^#\n]+)`).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s has no command", name)
		}
		for _, line := range found {
			var args []string
			for _, m := range word.FindAllStringSubmatch(line[1], -1) {
				args = append(args, m[1]+m[2])
			}
			if args[0] == "warm" {
				continue // of a file, and without a bridge
			}
			var errors strings.Builder
			args = append(args, "--bridge", "unix:/nonexistent")
			if code := run(t.Context(), args, func(string) string { return "" }, io.Discard, &errors); code != exitNo || strings.Contains(errors.String(), "flag") {
				t.Errorf("%s: redisbridge %q: exit code %d, %s", name, args, code, errors.String())
			}
		}
	}
}

// A wait shows how far it is, and says in the end what came of it, also by its exit code.
func TestPurgeWait(t *testing.T) {
	const raised = `{"policy":"chat","epoch":"e","sequence":7,"raisedAt":100,"groups":["*"],"receipts":`
	const some = `{"applied":[{"vm":"a","ms":3}],"leaseOut":[],"pending":[{"vm":"b","ms":2900},{"vm":"c","ms":2900}]}`
	const all = `{"complete":true,"applied":[{"vm":"a","ms":3},{"vm":"b","ms":1200}],"leaseOut":[{"vm":"c","ms":2900}],"pending":[]}`
	for _, tt := range []struct {
		name, args    string
		first, then   string
		code          int
		stdout, calls string
		stderr        string
	}{
		{"at once", "--wait", all, "", exitOK, "2 VMs applied it, the last after 1.2s: b 1.2s, a 3ms\n1 VM didn't, and its lease has run out, the last after 2.9s: c 2.9s\n", "POST", ""},
		{"later", "--wait", some, all, exitOK, "2 VMs applied it, the last after 1.2s: b 1.2s, a 3ms\n1 VM didn't, and its lease has run out, the last after 2.9s: c 2.9s\n", "POST GET",
			"after 1s: 1 of 3 VMs have applied it, the leases of 0 have run out; waiting for b, c\n"},
		{"never", "--wait --timeout 1ms", some, some, exitWait, "1 VM applied it, the last after 3ms: a 3ms\nnot known of 2: b, c\n", "POST", ""},
		{"a new epoch", "--wait", `{"newEpoch":true}`, "", exitWait,
			"Redis has begun a new epoch since: each VM forgets everything when it hears of that, or when its lease runs out\n0 VMs applied it\n", "POST", ""},
		{"in the quarantine of an epoch", "--wait", `{"quarantineMs":1500,"pending":[{"vm":"b","ms":2900}]}`, all, exitOK,
			"2 VMs applied it, the last after 1.2s: b 1.2s, a 3ms\n1 VM didn't, and its lease has run out, the last after 2.9s: c 2.9s\n", "POST GET",
			"after 1s: 0 of 1 VMs have applied it, the leases of 0 have run out; waiting for b, and for the new epoch's quarantine, 1.5s more\n"},
		{"beyond the quarantine's end", "--wait --timeout 1ms", `{"quarantineMs":1500}`, "", exitWait,
			"Redis has begun its epoch so lately that for 1.5s more a VM may use its memory that Redis doesn't know of\n0 VMs applied it\n", "POST", ""},
		{"nobody", "--wait", `{"complete":true}`, "", exitWait,
			"no VM follows the feed of this policy, so none has answered: is it the proxies' policy, and has one had a request?\n", "POST", ""},
		{"unreadable", "--wait --timeout 1ms", `{"error":"redis: no"}`, "", exitWait, "receipts can't be read: redis: no\n0 VMs applied it\n", "POST", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls = append(calls, r.Method)
				if r.Method == http.MethodPost {
					io.WriteString(w, raised+tt.first+"}")
					return
				}
				if q := r.URL.Query(); q.Get("epoch") != "e" || q.Get("sequence") != "7" || q.Get("raisedAt") != "100" || q.Get("policy") != "chat" || q.Get("wait") == "" {
					t.Errorf("asked for %s", r.URL)
				}
				io.WriteString(w, tt.then)
			}))
			defer server.Close()
			var stdout, stderr strings.Builder
			args := append(strings.Fields(tt.args), "--bridge", server.URL)
			code := run(t.Context(), append([]string{"purge", "--all"}, args...), func(string) string { return "" }, &stdout, &stderr)
			want := "policy chat: raised * at sequence 7 of epoch e\n" + tt.stdout
			if code != tt.code || stdout.String() != want || stderr.String() != tt.stderr || strings.Join(calls, " ") != tt.calls {
				t.Errorf("exit code %d, calls %s, stderr %q, printed\n%s", code, calls, stderr.String(), stdout.String())
			}
		})
	}
}
