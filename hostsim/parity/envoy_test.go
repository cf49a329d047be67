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
	case <-time.After(patience):
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
	lines  int   // how many the module is to log
	asked  int   // how many requests the upstream is to get
	read   int64 // bytes that were read before
	beyond int64 // more than so many are to be read while they are held
}

func (e *realEnvoy) forCase(t *testing.T) *realProxy {
	e.server.forCase()
	return &realProxy{realEnvoy: e, t: t, offset: size(e.logs()), access: size(e.accessLog())}
}

// like makes the case's end wait for as much as was seen of it in the simulator: the
// client's answer says nothing of calls, of other streams, or of what comes after it.
func (p *realProxy) like(o outcome) *realProxy {
	p.lines, p.asked, p.read = len(o.Log), len(o.Upstream), p.bytesRead()
	for _, line := range o.Log {
		var n int64
		if _, err := fmt.Sscanf(line, "fits %d: false", &n); err == nil {
			p.beyond = max(p.beyond, n*11/10) // the bytes of headers and frames are read, too
		}
	}
	return p
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
	text := tail(p.logs(), p.offset)
	text = text[:strings.LastIndexByte(text, '\n')+1] // the last line may be on its way
	for line := range strings.Lines(text) {
		if m := wasmLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "start ") {
			lines = append(lines, strings.TrimSpace(m[1]))
		}
	}
	return lines
}

func (p *realProxy) awaitEnd(until string) {
	await(p, func() bool {
		lines := p.log()
		return len(lines) >= p.lines && p.reached() >= p.asked &&
			(until == "-" || len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], until))
	})
	if until == "-" {
		p.pass(30 * time.Millisecond) // for what should not come
	}
}

func (p *realProxy) upstream() []string { return p.server.requests.take() }
func (p *realProxy) reached() int       { return p.server.requests.count() }
func (p *realProxy) open()              { p.server.open() }

// fill waits for more than what didn't fit in the simulator.
func (p *realProxy) fill() {
	await(p, func() bool { return p.bytesRead() > p.read+p.beyond })
	p.pass(300 * time.Millisecond) // for what should not come
}

// bytesRead is what it has read from clients and upstreams.
func (p *realProxy) bytesRead() (n int64) {
	for line := range strings.Lines(p.stats(p.t, "/stats?filter=^(http.http.downstream|cluster.backend.*.upstream)_cx_rx_bytes_total$")) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		bytes, _ := strconv.ParseInt(value, 10, 64)
		n += bytes
	}
	return n
}

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

// update gives Envoy other listeners, of which so many have changed, and waits until its worker has them.
func (p *realProxy) update(listeners []variant, changed int) {
	p.t.Helper()
	const updates, onWorker = "listener_manager.lds.update_success", "listener_manager.listener_create_success"
	before, had := p.stat(updates), p.stat(onWorker)
	if err := p.setListeners(listeners...); err != nil {
		p.t.Fatal(err)
	}
	p.await("the update", func() bool { return p.stat(updates) > before && p.stat(onWorker) == had+changed })
}

func (p *realProxy) await(what string, done func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s takes more than %v\n%s", what, patience, tail(p.logs(), p.offset))
		}
	}
}

func (p *realProxy) stat(name string) int {
	var n int
	fmt.Sscanf(p.stats(p.t, "/stats?filter=^"+name+"$"), name+": %d", &n)
	return n
}

func (p *realProxy) state(path string) (state string) {
	state = "no line in the access log"
	await(p, func() bool {
		for line := range strings.Lines(tail(p.accessLog(), p.access)) {
			of, value, _ := strings.Cut(line, " ")
			if of == path && strings.HasSuffix(value, "\n") {
				state = strings.TrimSpace(value)
				return true
			}
		}
		return false
	})
	return state
}
