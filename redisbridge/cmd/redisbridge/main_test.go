package main

import (
	"crypto/x509"
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

// until PATTERN COMMAND... repeats a command until its output matches.
func until(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile(args[0])
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
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
			{"name":"chat","vms":7,"behind":2,"behindMs":1200,"followers":[{"vm":"vm-1","lag":12,"leaseMs":1500,"policyVersion":"5f"},{"vm":"vm-2","lag":3,"leaseMs":2000},{"vm":"vm-3"}],"controls":{"caches":[{"name":"stats","ttl":"30s","rollout":true}]},"caches":[{"name":"stats","hits":1,"misses":2,"suspended":1,"errors":12,"hitRate":0.25,"stores":2,"proxies":{"hitsL1":8,"hitsL2":1,"misses":2,"wouldHits":1,"matches":3,"mismatches":1,"hitRatio":0.75,"savedMs":4510}},{"name":"user"}]}]}`)
	}))
	defer server.Close()
	var out strings.Builder
	code := run(t.Context(), []string{"status", "--bridge", server.URL}, func(string) string { return "" }, &out, io.Discard)
	want := `redis: redis did not answer in time
circuit breaker: half-open (i/o timeout), 7 lookups and stores refused so far

policy chat: sequence 0 of epoch , 0 raises in it, 0 open suspensions, 7 VMs (2 behind, for up to 1.2s), 0 held polls
  VM vm-1 is 12 behind; its lease has 1.5s left
  VM vm-2 is 3 behind; its lease has 2s left
policy versions: unknown in 2 VMs, 5f in 1 VMs
controls  off  ttl  percent  observe  verify
stats     -    30s  -        -        -  not used: the proxies' policies have different rules for it
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
