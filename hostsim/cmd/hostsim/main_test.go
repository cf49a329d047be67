package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chatcache/hostsim/internal/toolchain"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"hostsim": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	code := toolchain.Module(t, "probe")
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			return os.WriteFile(filepath.Join(e.WorkDir, "probe.wasm"), code, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"code": exitCode},
	})
}

// exitCode is "code N PROGRAM ARGUMENT…": runs the program, which must end with N.
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var ended *exec.ExitError
		if !errors.As(err, &ended) {
			ts.Fatalf("%v", err)
		}
		got = fmt.Sprint(ended.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// output collects what serve prints; wait blocks until a line matches.
type output struct {
	mu   sync.Mutex
	text string
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text += string(p)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// wait waits for a line and returns what the pattern's last group matches in it.
func (o *output) wait(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) { // a new module is compiled first
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("no line like %s in\n%s", pattern, o)
	return ""
}

func TestServe(t *testing.T) {
	code := toolchain.Module(t, "probe")
	dir := t.TempDir()
	wasm, config := filepath.Join(dir, "m.wasm"), filepath.Join(dir, "config")
	for path, b := range map[string][]byte{wasm: code, config: []byte("one")} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "%s %d\n", r.URL, i)
			w.(http.Flusher).Flush()
		}
	}))
	defer upstream.Close()
	conn, err := net.Dial("tcp", upstream.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gone := "http://" + conn.LocalAddr().String() // taken, so that nobody else listens there
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out, errs output
	defer func() {
		if t.Failed() {
			t.Logf("stderr:\n%s", &errs)
		}
	}()
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"serve", "--wasm", wasm, "--config", config, "--listen", "127.0.0.1:0", "-v",
			"--upstream", upstream.URL, "--cluster", "side=" + upstream.URL, "--cluster", "gone=" + gone}, &out, &errs)
	}()
	address := out.wait(t, `listening on (http://[^,]+),`)
	get := func(fields ...string) string {
		req, _ := http.NewRequest("GET", address+"/x", nil)
		for i := 0; i < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(body), err)
	}
	if got := get(); got != "200 /x 0\n/x 1\n/x 2\n<nil>" {
		t.Errorf("got %q", got)
	}
	out.wait(t, `(?m)^GET /x 200 [0-9.]+ms via_upstream, [0-9]+ host calls$`)
	if got := get("x-on-request-headers", "call side /side 5000; pause", "x-on-call", "reply 200 hit"); got != "200 hit<nil>" {
		t.Errorf("got %q", got)
	}
	out.wait(t, `call answered 200 "/side 0\\n/side 1\\n/side 2\\n"`)
	get("x-on-request-headers", "call gone /x 5000; pause", "x-on-call", "resume-request")
	out.wait(t, `(?m)^cluster gone: dial tcp .*connection refused$`)
	get("x-on-request-headers", "reply 403 no; pause")
	out.wait(t, `(?m)^GET /x 403 [0-9.]+ms local reply, [0-9]+ host calls$`)
	if got := get("connection", "upgrade", "upgrade", "websocket"); got != "403 <nil>" {
		t.Errorf("an upgrade: got %q", got)
	}
	out.wait(t, `(?m)^GET /x 403 [0-9.]+ms upgrade_failed, [0-9]+ host calls$`)
	os.WriteFile(config, []byte("two"), 0o600)
	out.wait(t, "reloaded the configuration")
	os.WriteFile(config, []byte("refuse"), 0o600)
	out.wait(t, "the new configuration is refused, the old one goes on")
	os.WriteFile(config, []byte("tick 10"), 0o600)
	out.wait(t, `(?m)^  \[1\]\[info\] tick$`) // though no request comes
	os.WriteFile(wasm, []byte("nonsense"), 0o600)
	out.wait(t, "the new module is refused, the old one goes on: hostsim: not a usable proxy-wasm module: it doesn't compile")
	os.Remove(wasm)
	out.wait(t, "the old module and configuration go on: open .*m.wasm: no such file or directory")
	if got := get(); !strings.HasPrefix(got, "200") {
		t.Errorf("got %q", got)
	}
	os.WriteFile(wasm, code, 0o600)
	out.wait(t, "reloaded the module")
	cancel()
	if code := <-ended; code != exitOK || errs.String() != "" {
		t.Errorf("exit code %d, stderr %s", code, &errs)
	}
}
