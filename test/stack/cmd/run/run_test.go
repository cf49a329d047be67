package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/test/loopback"
	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string // the error
	}{
		{map[string]string{}, ""},
		{map[string]string{"ENVOY_PORT": "0"}, `ENVOY_PORT="0": want a port from 1 to 65535`},
		{map[string]string{"VALKEY_PORT": "x"}, `VALKEY_PORT="x": want a port from 1 to 65535`},
		{map[string]string{"CHATAPI_LATENCY": "NaN"}, `CHATAPI_LATENCY="NaN": want a number from 0 to 100`},
	} {
		_, err := readSettings(func(name string) string { return c.env[name] })
		if got := errorText(err); got != c.want {
			t.Errorf("%v: got %q", c.env, got)
		}
	}
	env := map[string]string{
		"ENVOY_PORT": "1", "ENVOY_ADMIN_PORT": "2", "BRIDGE_PORT": "3", "CHATAPI_PORT": "4", "VALKEY_PORT": "5",
		"CHATAPI_LATENCY": "0.5", "REDIS_URL": "redis://r",
	}
	got, err := readSettings(func(name string) string { return env[name] })
	want := settings{stack.Ports{Envoy: 1, EnvoyAdmin: 2, Bridge: 3, Origin: 4, Valkey: 5}, 0.5, "redis://r"}
	if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(settings{})) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTakenPortIsSaid(t *testing.T) {
	stack.RequireT(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("TMPDIR", t.TempDir())
	err = run(t.Context(), settings{ports: stack.Ports{Bridge: l.Addr().(*net.TCPAddr).Port}})
	if !errors.Is(err, loopback.ErrPortTaken) || !strings.Contains(err.Error(), l.Addr().String()) || !strings.HasSuffix(err.Error(), portHelp) {
		t.Errorf("got %v", err)
	}
	leavesNothing(t, os.Getenv("TMPDIR"))
}

func TestInterruptedStartIsSaid(t *testing.T) {
	stack.RequireT(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := run(ctx, settings{}); errorText(err) != "interrupted before everything was ready" {
		t.Errorf("got %v", err)
	}
	leavesNothing(t, os.Getenv("TMPDIR"))
}

func TestRedisThatDoesNotAnswerIsSaid(t *testing.T) {
	port, err := loopback.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	for url, want := range map[string]string{
		"redis://u:s3cret@" + loopback.Addr(port): "REDIS_URL: no Redis answers at " + loopback.Addr(port),
		"http://u:s3cret@r":                       "REDIS_URL can't be read: want redis://",
	} {
		if got := errorText(run(t.Context(), settings{redisURL: url})); !strings.HasPrefix(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%s: got %q", url, got)
		}
	}
	leavesNothing(t, os.Getenv("TMPDIR"))
}

func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// program is a running `make run`.
type program struct {
	cmd   *exec.Cmd
	ports map[string]int
	log   string
	temp  string // its TMPDIR
}

// start runs it on free ports, with more environment.
func start(t *testing.T, env ...string) *program {
	t.Helper()
	stack.RequireT(t)
	root, err := stack.Root()
	if err == nil {
		err = stack.Build(t.Context(), root, "build/chatcache.wasm", "build/redisbridge", "build/run")
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(filepath.Join(root, "build", "run")), ports: map[string]int{}, log: filepath.Join(t.TempDir(), "log"), temp: t.TempDir()}
	p.cmd.Env = append(os.Environ(), "CHATAPI_LATENCY=0", "TMPDIR="+p.temp)
	for _, name := range []string{"ENVOY_PORT", "ENVOY_ADMIN_PORT", "BRIDGE_PORT", "CHATAPI_PORT", "VALKEY_PORT"} {
		port, err := loopback.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		p.ports[name] = port
		p.cmd.Env = append(p.cmd.Env, name+"="+strconv.Itoa(port))
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = root, log, log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	p.await(t, "Ctrl-C stops everything.")
	return p
}

// await waits until the program has printed text.
func (p *program) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(150 * time.Second); !strings.Contains(p.output(t), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in:\n%s", text, p.output(t))
		}
	}
}

func (p *program) output(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// end waits for the program's end and gives its exit status; its ports must be free.
func (p *program) end(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.cmd.Process.Kill() })
	p.cmd.Wait()
	if !stop() {
		t.Errorf("it did not end:\n%s", p.output(t))
	}
	for name, port := range p.ports {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			conn.Close()
			t.Errorf("something still listens on %s", name)
		}
	}
	return p.cmd.ProcessState.ExitCode()
}

// get reads through the proxy as a user.
func (p *program) get(t *testing.T, path, user string) *http.Response {
	t.Helper()
	r, err := http.NewRequest("GET", "http://127.0.0.1:"+strconv.Itoa(p.ports["ENVOY_PORT"])+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+user)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// accessLog is what the proxy has written of its requests.
func (p *program) accessLog(t *testing.T) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(p.temp, "*", "envoy-0.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs %q, %v, want one", logs, err)
	}
	text, err := os.ReadFile(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestServesUntilInterrupted(t *testing.T) {
	p := start(t)
	stack.UntilT(t, "the proxy was warmed up", func() bool { return strings.Count(p.accessLog(t), " GET /api/user/me 200 ") > 1 })
	users := 0
	stack.WaitT(t, "a user's first read is as the README shows it", func(context.Context) error {
		users++
		resp := p.get(t, "/api/chat/stats", fmt.Sprint("ada-", users))
		switch got := resp.Header.Get("Cache-Status"); {
		case resp.StatusCode == 200 && got == "chatcache; fwd=uri-miss; stored":
			return nil
		case resp.StatusCode == 200 && (strings.HasSuffix(got, "; detail=bridge-timeout") || strings.HasSuffix(got, "; detail=bridge-error") || strings.HasSuffix(got, "; detail=breaker-open")):
			return errors.New(got) // the machine stood still for longer than the policy's bridge.timeout
		default:
			t.Fatalf("%s, %v", resp.Status, resp.Header)
			return nil
		}
	})
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 || !strings.HasSuffix(p.output(t), "\nstopping\n") {
		t.Errorf("exit status %d:\n%s", code, p.output(t))
	}
	leavesNothing(t, p.temp)
}

func TestDeathOfAPartEndsAllAndIsSaid(t *testing.T) {
	p := start(t)
	resp, err := http.Post("http://127.0.0.1:"+strconv.Itoa(p.ports["ENVOY_ADMIN_PORT"])+"/quitquitquit", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	code := p.end(t)
	if code != 1 || !strings.Contains(p.output(t), "make run: envoy-0: process ended: exit status 0; the end of its log") {
		t.Errorf("exit status %d:\n%s", code, p.output(t))
	}
}

// With REDIS_URL no server is started: VALKEY_PORT may be the running one's.
func TestOwnRedisIsUsedAndLeftRunning(t *testing.T) {
	port := startValkey(t)
	p := start(t, "REDIS_URL=redis://127.0.0.1:"+port+"/0", "VALKEY_PORT="+port)
	if !strings.Contains(p.output(t), "Redis                   as REDIS_URL says") {
		t.Error(p.output(t))
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit status %d:\n%s", code, p.output(t))
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err != nil {
		t.Errorf("the server that was there before is gone: %v", err)
	} else {
		conn.Close()
	}
}

func startValkey(t *testing.T) (port string) {
	t.Helper()
	stack.RequireT(t)
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	path, err := stack.ValkeyPath(root)
	if err != nil {
		t.Fatal(err)
	}
	free, err := loopback.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(free)
	dir := t.TempDir()
	server := stack.NewProcess("valkey", filepath.Join(dir, "valkey.log"), func(int) *exec.Cmd {
		return exec.Command(path, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", dir)
	}, func(ctx context.Context) error { return stack.Connects(ctx, free) })
	t.Cleanup(func() { server.Kill() })
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return port
}
