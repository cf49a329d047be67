// Package parity compares the simulator with a real Envoy 1.40: the same
// module, the same requests, the same upstream handlers, and what client and
// module saw must be equal. It needs ENVOY, the path of the binary.
package parity_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatcache/hostsim"
)

// outcome is what can be observed of one request.
type outcome struct {
	Status   int
	Headers  []string // sorted, without what differs by time and chance
	Body     string
	Trailers []string
	Complete bool
	Log      []string // the module's
	First    *outcome // of parityCase.first
}

// parityCase is one request.
type parityCase struct {
	name     string
	on       string // variant, "default" if empty
	verb     string
	url      string
	script   []string // header fields
	body     string
	http2    bool
	upstream string // which handler; "echo" if empty
	route    string // which cluster; "backend" if empty
	until    string // the module's last log line begins with; "done" if empty
	expect   hostsim.FailureKind
	// first is sent before, and is still under way when this one begins.
	first *parityCase
	// leave lets the client go away when the module has logged a line that begins so.
	leave string
	// settle: how the logs of the two streams mix isn't told by what they do.
	settle bool
	// trailers are the request's.
	trailers hostsim.Headers
	http10   bool
	// afterPanic: the VM has died before; on the real Envoy in the case before this one.
	afterPanic bool
}

func or(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func (c parityCase) method() string  { return or(c.verb, "GET") }
func (c parityCase) path() string    { return or(c.url, "/x") }
func (c parityCase) variant() string { return or(c.on, "default") }

func (c parityCase) headers() hostsim.Headers {
	h := hostsim.Headers{{"x-upstream", or(c.upstream, "echo")}, {"x-route", or(c.route, "backend")}}
	for i := 0; i+1 < len(c.script); i += 2 {
		h.Add(c.script[i], c.script[i+1])
	}
	return h
}

// upstreams are the handlers that a case can choose.
func upstreams(wait func(*http.Request, time.Duration)) map[string]http.Handler {
	big := strings.Repeat("0123456789", 300)
	text := func(w http.ResponseWriter, s string) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, s)
	}
	return map[string]http.Handler{
		"echo": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			text(w, fmt.Sprintf("%s %s %s", r.Method, r.URL, body))
		}),
		"headers": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h["Set-Cookie"] = []string{"a=1", "b=2"}
			h.Set("Server", "origin")
			h.Set("X-Empty", "")
			h.Set("Age", "7")
			text(w, "body")
		}),
		"request": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var names []string
			for name := range r.Header {
				if name != "X-Request-Id" && name != "X-On-Quiet" {
					names = append(names, name+"="+r.Header.Get(name))
				}
			}
			sort.Strings(names)
			text(w, r.Host+" "+strings.Join(names, " "))
		}),
		"204":   status(204),
		"304":   status(304),
		"404":   status(404),
		"503":   status(503),
		"empty": status(200),
		"big":   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, big) }),
		"huge":  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, strings.Repeat(big, 100)) }),
		"count": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			text(w, fmt.Sprint(n))
		}),
		"slow":     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wait(r, 100*time.Millisecond); text(w, "slow") }),
		"sse":      http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream(w, r, wait) }),
		"trailers": http.HandlerFunc(trailers),
		"hang":     http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wait(r, 5*time.Second) }),
		"hang-body": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text(w, "begun")
			w.(http.Flusher).Flush()
			wait(r, 5*time.Second)
		}),
		"truncated":     hostsim.Truncated(big, 2500),
		"cut":           hostsim.ResetAt(7, big, false),
		"cut-chunked":   hostsim.ResetAt(2500, big, true),
		"no-answer":     hostsim.ResetBeforeHeaders(),
		"close":         hostsim.CloseDelimited(big, -1),
		"close-and-cut": hostsim.CloseDelimited(big, 2500),
	}
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

func stream(w http.ResponseWriter, r *http.Request, wait func(*http.Request, time.Duration)) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 3 {
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
		wait(r, 30*time.Millisecond)
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "body")
	w.(http.Flusher).Flush()
	w.Header().Set("X-Sum", "4")
}

// dispatch chooses the handler by the x-upstream header; calls of the module have none.
func dispatch(handlers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Upstream")
		if name == "" {
			name = or(r.URL.Query().Get("upstream"), "echo")
		}
		handlers[name].ServeHTTP(w, r)
	})
}

// comparable leaves out what time and chance decide, and what net/http's client hides.
func comparable(h http.Header, length int64) []string {
	var all []string
	for name, values := range h {
		switch name {
		case "Trailer", "Date", "X-Request-Id", "X-Envoy-Upstream-Service-Time", "Content-Length":
			continue
		}
		for _, v := range values {
			all = append(all, strings.ToLower(name)+": "+v)
		}
	}
	if length >= 0 && h.Get("Content-Length") != "" {
		all = append(all, "content-length: "+strconv.FormatInt(length, 10))
	}
	sort.Strings(all)
	return all
}

func simulate(t *testing.T, module []byte, c parityCase) outcome {
	clock := hostsim.NewClock(time.Time{})
	wait := func(r *http.Request, d time.Duration) { clock.Wait(r.Context(), nil, d) }
	handler := dispatch(upstreams(wait))
	o := hostsim.Options{
		Module: module, Clock: clock, PluginName: "probe", RouteTimeout: 400 * time.Millisecond,
		Clusters:      map[string]http.Handler{"backend": handler, "backend2": handler, "refused": status(200), "nohosts": status(200)},
		HTTP2Clusters: []string{"backend2"},
		Direct: func(h hostsim.Headers) (int, string) {
			if h.Get(":path") == "/direct" {
				return 203, "direct"
			}
			return 0, ""
		},
		Route: func(h hostsim.Headers) string { return h.Get("x-route") },
	}
	for _, v := range variants {
		if v.name == c.variant() {
			o.AllowOnHeadersStopIteration, o.BufferLimit, o.VMID = v.allow, v.limit, v.name
			o.PluginConfig = []byte(v.config)
			if v.retry {
				o.Retries, o.AttemptCountInResponse = 1, true
			}
			if v.policy == "FAIL_OPEN" {
				o.Policy = hostsim.FailOpen
			}
		}
	}
	s := hostsim.RunT(t, o)
	s.SetCluster("refused", hostsim.ClusterRefusing)
	s.SetCluster("nohosts", hostsim.ClusterNoHosts)
	if c.afterPanic {
		s.Do(1, hostsim.Get("/x", "x-on-request-headers", "panic"))
	}
	before := len(s.Logs())
	var first *hostsim.Stream
	if c.first != nil {
		first = s.Start(1, c.first.request())
		s.Settle()
	}
	st := s.Start(1, c.request())
	if c.leave != "" {
		for i := 0; !strings.Contains(fmt.Sprint(s.Logs()), "] "+c.leave) && i < 1000; i++ {
			s.Advance(time.Millisecond)
		}
		st.Disconnect()
	}
	s.Finish(st)
	resp := st.Response()
	s.Advance(time.Second)
	if c.expect != "" {
		s.Expect(c.expect)
	}
	out := simOutcome(resp)
	if first != nil {
		o := simOutcome(first.Response())
		out.First = &o
	}
	if c.leave != "" {
		out = outcome{} // the client wasn't there to see it
	}
	for _, l := range s.Logs()[before:] {
		if l.Level == hostsim.LevelInfo {
			out.Log = append(out.Log, strings.TrimSpace(l.Message))
		}
	}
	return out
}

func (c *parityCase) request() *hostsim.Request {
	return &hostsim.Request{Method: c.method(), Path: c.path(), Headers: c.headers(), Body: []byte(c.body), HTTP2: c.http2, Trailers: c.trailers, HTTP10: c.http10}
}

func simOutcome(resp *hostsim.Response) outcome {
	var trailers []string
	for _, f := range resp.Trailers {
		trailers = append(trailers, f[0]+": "+f[1])
	}
	out := outcome{Trailers: trailers, Status: resp.Status, Body: string(resp.Body), Complete: resp.Complete}
	h := http.Header{}
	for _, f := range resp.Headers {
		h.Add(f[0], f[1])
	}
	length, err := strconv.ParseInt(resp.Get("content-length"), 10, 64)
	if err != nil {
		length = -1
	}
	out.Headers = comparable(h, length)
	return out
}

func TestParity(t *testing.T) {
	module := buildProbe(t)
	server := httptest.NewUnstartedServer(dispatch(upstreams(func(r *http.Request, d time.Duration) {
		select {
		case <-r.Context().Done():
		case <-time.After(d):
		}
	})))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	envoy := startEnvoy(t, module, server)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			offset := envoy.logSize()
			want := envoy.observe(c, offset)
			want.Log = envoy.moduleLog(offset, or(c.until, "done"))
			got := simulate(t, module, c)
			if c.settle {
				sort.Strings(want.Log)
				sort.Strings(got.Log)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("real Envoy (-) and the simulator (+) differ:\n%s", diff)
			}
		})
	}
}

func buildProbe(t *testing.T) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "probe.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, "../internal/testdata/probe")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, text.String())
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// TestMetrics compares what modules count with what Envoy's admin interface shows.
func TestMetrics(t *testing.T) {
	module := buildProbe(t)
	server := httptest.NewServer(dispatch(upstreams(func(*http.Request, time.Duration) {})))
	t.Cleanup(server.Close)
	envoy := startEnvoy(t, module, server)
	c := parityCase{script: []string{onRequest, "count parity.a; count parity.b", onDone, "count parity.b"}}
	sim := hostsim.RunT(t, hostsim.Options{Module: module, Clusters: map[string]http.Handler{"backend": status(200)}, Route: hostsim.RouteTo("backend")})
	for range 3 {
		offset := envoy.logSize()
		envoy.observe(c, offset)
		envoy.moduleLog(offset, "done")
		sim.Do(1, c.request())
	}
	for name, n := range sim.Counters() {
		if got := envoy.counter(t, "wasmcustom."+name); got != n {
			t.Errorf("counter %s: Envoy has %d, the simulator %d", name, got, n)
		}
	}
}
