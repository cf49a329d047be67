package parity_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chatcache/hostsim/internal/toolchain"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// realEnvoy is an Envoy with the probe module on several listeners, one for
// each way of configuring the plugin.
type realEnvoy struct {
	cmd    *exec.Cmd
	exited chan struct{}
	ports  map[string]int // by variant
	admin  int
	dir    string
	server *upstreamServer
}

// requireEnvoy gives the binary's path, or skips the test.
func requireEnvoy(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		stack.Require(t, errors.New("no real Envoy to compare with: run `make tools`, and set ENVOY to .tools/envoy"))
	}
	return binary
}

// startEnvoy starts an Envoy for one test.
func startEnvoy(t *testing.T, module []byte, vs ...variant) *realEnvoy {
	t.Helper()
	e, err := launch(requireEnvoy(t), module, vs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

// shared is an Envoy with a listener for each variant, and for each case that
// needs its own; it starts with the first test that wants it, and TestMain ends it.
var shared struct {
	once  sync.Once
	envoy *realEnvoy
	err   error
}

func sharedEnvoy(t *testing.T) *realEnvoy {
	t.Helper()
	binary, module := requireEnvoy(t), probeModule(t)
	shared.once.Do(func() { shared.envoy, shared.err = launch(binary, module, listeners()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.envoy
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.envoy != nil {
		shared.envoy.close()
	}
	os.Exit(code)
}

func probeModule(t *testing.T) []byte { return toolchain.Module(t, "probe") }

func launch(binary string, module []byte, vs []variant) (e *realEnvoy, err error) {
	e = &realEnvoy{ports: map[string]int{}, admin: freePort(), exited: make(chan struct{}), server: startUpstream()}
	if e.dir, err = os.MkdirTemp("", "parity"); err != nil {
		return nil, err
	}
	for _, v := range vs {
		e.ports[v.name] = freePort()
	}
	if err := errors.Join(os.WriteFile(e.wasm(), module, 0o600), e.configure(vs)); err != nil {
		return nil, err
	}
	if err := e.run(binary); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *realEnvoy) close() {
	e.cmd.Process.Kill()
	<-e.exited
	e.server.Close()
	os.RemoveAll(e.dir)
}

func (e *realEnvoy) wasm() string { return filepath.Join(e.dir, "probe.wasm") }
func (e *realEnvoy) logs() string { return filepath.Join(e.dir, "envoy.log") }

func (e *realEnvoy) run(binary string) error {
	e.cmd = exec.Command(binary, "-c", filepath.Join(e.dir, "envoy.json"), "--use-dynamic-base-id", "--concurrency", "1",
		"--drain-time-s", strconv.Itoa(int(drainTime.Seconds())), "--drain-strategy", "immediate", "--file-flush-interval-msec", "10",
		"--log-format", "%l|%v", "--component-log-level", "wasm:info", "-l", "warning")
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := os.Create(e.logs())
	if err != nil {
		return err
	}
	defer out.Close()
	e.cmd.Stdout, e.cmd.Stderr = out, out
	if err := e.cmd.Start(); err != nil {
		return err
	}
	go func() { e.cmd.Wait(); close(e.exited) }()
	for _, port := range append(slices.Collect(maps.Values(e.ports)), e.admin) {
		if err := e.awaitPort(port); err != nil {
			e.close()
			return err
		}
	}
	return nil
}

// patience is how long a proxy gets to do what it was told: one with dozens of VMs, on
// a busy machine, has taken more than a minute.
const patience = 4 * time.Minute

func (e *realEnvoy) awaitPort(port int) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("Envoy doesn't listen after %v\n%s", patience, tail(e.logs(), 0))
		}
	}
}

// signalled waits until Envoy has ended, and reports whether a signal did it.
func (e *realEnvoy) signalled() bool {
	select {
	case <-e.exited:
		status, ok := e.cmd.ProcessState.Sys().(syscall.WaitStatus)
		return ok && (status.Signaled() || status.ExitStatus() > 128)
	case <-time.After(10 * time.Second):
		return false
	}
}

// freePort is a port for one of Envoy's listeners, or for nobody.
func freePort() int {
	port, err := loopback.FreePort()
	if err != nil {
		panic(err) // nothing can be tested without loopback
	}
	return port
}

// realProxy is the Envoy as one case sees it.
type realProxy struct {
	*realEnvoy
	t      *testing.T
	offset int64 // where the case begins in Envoy's log
	access int64 // and in its access log
}

func (e *realEnvoy) forCase(t *testing.T) *realProxy {
	e.server.requests.take()
	return &realProxy{e, t, size(e.logs()), size(e.accessLog())}
}

func size(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return info.Size()
}

func tail(file string, offset int64) string {
	text, _ := os.ReadFile(file)
	return string(text[min(offset, int64(len(text))):])
}

func (p *realProxy) pass(d time.Duration) { time.Sleep(d) }

// wasmLine finds what the module logged in a line of Envoy's log.
var wasmLine = regexp.MustCompile(`^info\|wasm log(?: [^:]*)?: (.*)`)

func (p *realProxy) log() []string {
	var lines []string
	for line := range strings.SplitSeq(tail(p.logs(), p.offset), "\n") {
		if m := wasmLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "start ") {
			lines = append(lines, strings.TrimSpace(m[1]))
		}
	}
	return lines
}

func (p *realProxy) awaitEnd(until string) {
	patience := 5 * time.Second
	if until == "-" {
		patience = 30 * time.Millisecond
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if lines := p.log(); len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], until) {
			return
		}
	}
}

func (p *realProxy) upstream() []string { return p.server.requests.take() }
func (p *realProxy) reached() int       { return p.server.requests.count() }

// metrics are the modules' counters and gauges.
func (p *realProxy) metrics() map[string]int64 {
	all := map[string]int64{}
	for line := range strings.Lines(p.stats(p.t, "/stats?usedonly&filter=wasmcustom")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			all[strings.TrimPrefix(name, "wasmcustom.")] = n
		}
	}
	return all
}

// stats reads from the admin interface.
func (e *realEnvoy) stats(t *testing.T, path string) string {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", e.admin, path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// state is the last line of the access log.
func (p *realProxy) state() string {
	for range 200 {
		if text := tail(p.accessLog(), p.access); strings.HasSuffix(text, "\n") {
			lines := strings.Fields(text)
			return lines[len(lines)-1]
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "no line in the access log"
}
