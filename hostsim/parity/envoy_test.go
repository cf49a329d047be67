package parity_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realEnvoy is an Envoy with the probe module on several listeners, one for
// each way of configuring the plugin.
type realEnvoy struct {
	ports map[string]int // by variant
	admin int
	log   string // file
}

// variant is one way of configuring the plugin.
type variant struct {
	name   string
	allow  bool   // allow_on_headers_stop_iteration
	policy string // FAIL_…
	limit  int    // per_connection_buffer_limit_bytes
	retry  bool   // one retry of 5xx
	config string // of the plugin
}

var variants = []variant{
	{name: "default"},
	{name: "allow", allow: true, limit: 20_000},
	{name: "retry", retry: true},
	{name: "queue", config: "queue q"},
	{name: "closed", policy: "FAIL_CLOSED"},
	{name: "open", policy: "FAIL_OPEN"},
}

func startEnvoy(t *testing.T, module []byte, upstream *httptest.Server) *realEnvoy {
	t.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		if os.Getenv("CHATCACHE_REQUIRE") != "" {
			t.Fatal("ENVOY is not set, and CHATCACHE_REQUIRE wants the comparison with a real Envoy: run `make tools` and set ENVOY to .tools/…/envoy")
		}
		t.Skip("no real Envoy to compare with: set ENVOY to the path of an Envoy 1.40")
	}
	dir := t.TempDir()
	wasm := filepath.Join(dir, "probe.wasm")
	if err := os.WriteFile(wasm, module, 0o600); err != nil {
		t.Fatal(err)
	}
	e := &realEnvoy{ports: map[string]int{}, log: filepath.Join(dir, "envoy.log")}
	var listeners []any
	for _, v := range variants {
		e.ports[v.name] = freePort(t)
		listeners = append(listeners, listener(v, e.ports[v.name], wasm))
	}
	e.admin = freePort(t)
	config, _ := json.Marshal(map[string]any{"admin": map[string]any{"address": address(e.admin)}, "static_resources": map[string]any{
		"listeners": listeners,
		"clusters": []any{
			cluster("backend", upstream.Listener.Addr().(*net.TCPAddr).Port), cluster("refused", freePort(t)),
			http2Cluster("backend2", upstream.Listener.Addr().(*net.TCPAddr).Port),
			map[string]any{"name": "nohosts", "type": "STATIC", "connect_timeout": "1s"},
		},
	}})
	path := filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	e.run(t, binary, path)
	return e
}

func (e *realEnvoy) run(t *testing.T, binary, config string) {
	t.Helper()
	cmd := exec.Command(binary, "-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-format", "%l|%v", "--component-log-level", "wasm:info", "-l", "warning")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := os.Create(e.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.ports[variants[len(variants)-1].name]))
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(e.log)
			t.Fatalf("Envoy doesn't listen after 30 s\n%s", text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func address(port int) map[string]any {
	return map[string]any{"socket_address": map[string]any{"address": "127.0.0.1", "port_value": port}}
}

func cluster(name string, port int) map[string]any {
	return map[string]any{"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": map[string]any{
		"cluster_name": name, "endpoints": []any{map[string]any{"lb_endpoints": []any{map[string]any{
			"endpoint": map[string]any{"address": address(port)}}}}}}}
}

func http2Cluster(name string, port int) map[string]any {
	c := cluster(name, port)
	c["typed_extension_protocol_options"] = map[string]any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": map[string]any{
		"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		"explicit_http_config": map[string]any{"http2_protocol_options": map[string]any{}}}}
	return c
}

func listener(v variant, port int, wasm string) map[string]any {
	plugin := map[string]any{
		"name":      "probe",
		"vm_config": map[string]any{"vm_id": v.name, "runtime": "envoy.wasm.runtime.v8", "code": map[string]any{"local": map[string]any{"filename": wasm}}},
	}
	if v.allow {
		plugin["allow_on_headers_stop_iteration"] = true
	}
	if v.config != "" {
		plugin["configuration"] = map[string]any{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": v.config}
	}
	if v.policy != "" {
		plugin["failure_policy"] = v.policy
	}
	route := map[string]any{"cluster_header": "x-route", "timeout": "0.4s"}
	direct := map[string]any{"match": map[string]any{"path": "/direct"},
		"direct_response": map[string]any{"status": 203, "body": map[string]any{"inline_string": "direct"}}}
	host := map[string]any{"name": "all", "domains": []any{"*"},
		"routes": []any{direct, map[string]any{"match": map[string]any{"prefix": "/"}, "route": route}}}
	if v.retry {
		route["retry_policy"] = map[string]any{"retry_on": "5xx,reset", "num_retries": 1}
		host["include_attempt_count_in_response"] = true
	}
	hcm := map[string]any{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": "http", "codec_type": "AUTO",
		"route_config": map[string]any{"virtual_hosts": []any{host}},
		"http_filters": []any{
			map[string]any{"name": "probe", "typed_config": map[string]any{
				"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": plugin}},
			map[string]any{"name": "router", "typed_config": map[string]any{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
		},
	}
	l := map[string]any{"name": v.name, "address": address(port), "filter_chains": []any{map[string]any{
		"filters": []any{map[string]any{"name": "hcm", "typed_config": hcm}}}}}
	if v.limit > 0 {
		l["per_connection_buffer_limit_bytes"] = v.limit
	}
	return l
}

// wasmLine finds what the module logged in a line of Envoy's log.
var wasmLine = regexp.MustCompile(`^info\|wasm log(?: [^:]*)?: (.*)`)

// moduleLog are the module's info lines since the offset, until one that
// begins with until, or a second has passed without it; "-" expects none.
func (e *realEnvoy) moduleLog(offset int64, until string) []string {
	patience := time.Second
	if until == "-" {
		patience = 30 * time.Millisecond
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		var lines []string
		text, _ := os.ReadFile(e.log)
		for line := range strings.SplitSeq(string(text[min(offset, int64(len(text))):]), "\n") {
			if m := wasmLine.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "start ") {
				lines = append(lines, strings.TrimSpace(m[1]))
			}
		}
		if time.Now().After(deadline) || (len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], until)) {
			return lines
		}
	}
}

// counter reads a counter from the admin interface.
func (e *realEnvoy) counter(t *testing.T, name string) uint64 {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/stats?filter=%s", e.admin, name))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	_, value, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		t.Fatalf("counter %s: %q", name, text)
	}
	return n
}

// sendHTTP10 sends a request that no client of net/http sends any more.
func (e *realEnvoy) sendHTTP10(c parityCase) outcome {
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(e.ports[c.variant()])))
	if err != nil {
		return outcome{}
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.0\r\n", c.path())
	for _, f := range c.headers() {
		fmt.Fprintf(conn, "%s: %s\r\n", f[0], f[1])
	}
	io.WriteString(conn, "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return outcome{}
	}
	return received(resp)
}

func (e *realEnvoy) logSize() int64 {
	info, err := os.Stat(e.log)
	if err != nil {
		return 0
	}
	return info.Size()
}

// observe sends the case's request, with the one before it and the client's leave.
func (e *realEnvoy) observe(c parityCase, offset int64) outcome {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	firstDone := make(chan outcome, 1)
	if c.first != nil {
		go func() { firstDone <- e.send(ctx, *c.first) }()
		e.moduleLog(offset, "request-headers")
	}
	if c.leave != "" {
		done := make(chan struct{})
		go func() { e.send(ctx, c); close(done) }()
		e.moduleLog(offset, c.leave)
		cancel()
		<-done
		return outcome{}
	}
	out := e.send(ctx, c)
	if c.first != nil {
		first := <-firstDone
		out.First = &first
	}
	return out
}

// send makes the request with a real client.
func (e *realEnvoy) send(ctx context.Context, c parityCase) outcome {
	if c.http10 {
		return e.sendHTTP10(c)
	}
	req, _ := http.NewRequestWithContext(ctx, c.method(), "http://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(e.ports[c.variant()]))+c.path(), strings.NewReader(c.body))
	if c.body == "" {
		req.Body, req.ContentLength = nil, 0
	}
	if c.trailers != nil {
		req.ContentLength, req.Trailer = -1, http.Header{}
		for _, f := range c.trailers {
			req.Trailer.Set(f[0], f[1])
		}
	}
	req.Host = "example.com"
	req.Header.Set("User-Agent", "")
	for _, f := range c.headers() {
		req.Header.Set(f[0], f[1])
	}
	transport := &http.Transport{DisableKeepAlives: !c.http2, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(!c.http2)
	transport.Protocols.SetUnencryptedHTTP2(c.http2)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return outcome{Complete: false}
	}
	return received(resp)
}

func received(resp *http.Response) outcome {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var trailers []string
	for name := range resp.Trailer {
		if resp.Trailer.Get(name) == "" { // announced, and did not come
			continue
		}
		trailers = append(trailers, strings.ToLower(name)+": "+resp.Trailer.Get(name))
	}
	return outcome{Trailers: trailers, Status: resp.StatusCode, Headers: comparable(resp.Header, resp.ContentLength), Body: string(body), Complete: err == nil}
}
