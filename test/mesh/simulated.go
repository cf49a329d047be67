package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/gowasm"
	"chatcache/hostsim"
	"chatcache/policy"
	"chatcache/redisbridge"
	"chatcache/test/jwt"
	"chatcache/test/stack"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// FilterModule builds the filter as `make build` does, once for all tests of a process. It needs Go alone.
var FilterModule = sync.OnceValues(func() ([]byte, error) { return buildFilter() })

// FilterModuleWithNames is the same with the names of functions, which are in the order of Go's linker.
var FilterModuleWithNames = sync.OnceValues(func() ([]byte, error) {
	module, err := compileFilter()
	if err == nil {
		module, _, err = gowasm.Optimize(module)
	}
	return module, err
})

// HotFile has the names of the functions that each request calls.
const HotFile = "filter/hot.txt"

// HotFunctions gives HotFile's names.
func HotFunctions() ([]string, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	list, err := os.ReadFile(filepath.Join(root, HotFile))
	return gowasm.Names(list), err
}

// buildFilter builds the filter with more flags for `go build`.
func buildFilter(flags ...string) ([]byte, error) {
	first, err := HotFunctions()
	if err != nil {
		return nil, err
	}
	module, err := compileFilter(flags...)
	if err == nil {
		module, _, err = gowasm.Optimize(module, first...)
	}
	return module, err
}

// compileFilter gives the filter as Go's compiler writes it.
func compileFilter(flags ...string) ([]byte, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chatcache")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "chatcache.wasm")
	arguments := append([]string{"build", "-buildmode=c-shared", "-ldflags=-w", "-o", out}, flags...)
	cmd := exec.Command("go", append(arguments, "./filter")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New("go build ./filter: " + string(text))
	}
	return os.ReadFile(out)
}

type simulated struct {
	t         *testing.T
	options   hostsim.Options
	clock     *hostsim.Clock
	proxies   [Proxies]*hostsim.Sim
	next      [Proxies]int // worker of the next request
	origin    *Origin
	bridge    *redisbridge.Bridge
	redis     *miniredis.Miniredis
	fault     Fault // of the bridge
	redisDown bool
	link      link // the bridge's to Redis
	ledger    ledger
	delay     func() time.Duration // of each way to the bridge; none if nil
	http2     bool                 // the origin speaks HTTP/2
}

// Simulated runs a mesh in this process, in virtual time.
func Simulated(t *testing.T, o Options) Mesh {
	t.Helper()
	return ofOrigin(t, o.Policy, nil)
}

// ofOrigin is a simulated mesh with an origin of the test's own, or with the usual one.
func ofOrigin(t *testing.T, document string, origin http.HandlerFunc) *simulated {
	t.Helper()
	module, err := FilterModule()
	if err != nil {
		t.Fatal(err)
	}
	m := newSimulated(t)
	m.origin = newOrigin(m.clock.Wait)
	if origin == nil {
		origin = m.origin.ServeHTTP
	}
	m.start(module, document, origin)
	return m
}

func newSimulated(t *testing.T) *simulated {
	clock := hostsim.NewClock(time.Time{})
	return &simulated{t: t, clock: clock, redis: VirtualRedis(t, clock)}
}

func (m *simulated) start(module []byte, document string, origin http.Handler) {
	m.startBridge(document)
	m.options = hostsim.Options{
		Module: module, PluginConfig: []byte(document), Workers: Workers, VMID: "chatcache",
		Env:   map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		Clock: m.clock, AllowOnHeadersStopIteration: true, UseRemoteAddress: true, Policy: hostsim.FailReload,
		Route: hostsim.RouteTo("chat"), RouteTimeout: 300 * time.Second, DrainTime: 5 * time.Second, // as the real mesh
		Clusters: map[string]http.Handler{"chat": origin, "redis-bridge": http.HandlerFunc(m.serveBridge)},
	}
	if m.http2 {
		m.options.HTTP2Clusters = []string{"chat"}
	}
	for i := range m.proxies {
		m.options.Seed = uint64(i + 1)
		m.options.Clusters = maps.Clone(m.options.Clusters)
		m.options.Clusters[Loopback] = m.loopback(i)
		m.proxies[i] = hostsim.RunT(m.t, m.options)
	}
}

// loopback sends a request back to the proxy that it came from, to any of its workers.
func (m *simulated) loopback(proxy int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := hostsim.NewRequest(r.Method, r.URL.RequestURI())
		req.Authority = r.Host
		for name, values := range r.Header {
			for _, value := range values {
				req.Headers.Add(strings.ToLower(name), value)
			}
		}
		stream := m.proxies[proxy].Start(m.worker(proxy), req)
		for !stream.Done() && r.Context().Err() == nil {
			m.clock.Wait(r.Context(), nil, time.Millisecond)
		}
		if from := stream.Response(); from != nil {
			w.WriteHeader(from.Status)
			w.Write(from.Body)
		}
	}
}

func (m *simulated) startBridge(document string) {
	parsed, problems := policy.Parse([]byte(document))
	if len(problems) > 0 {
		m.t.Fatal(problems)
	}
	m.bridge = VirtualBridge(m.t, m.clock, redisbridge.Options{
		Redis:    redis.UniversalOptions{Addrs: []string{m.redis.Addr()}, Dialer: m.link.dial},
		Policies: []*policy.Policy{parsed}, PartitionSecret: stack.PartitionSecret,
	})
}

func (m *simulated) serveBridge(w http.ResponseWriter, r *http.Request) {
	switch m.fault {
	case Hung:
		m.clock.Wait(r.Context(), nil, time.Hour)
	case Garbage:
		w.Write([]byte("<html>It works!</html>"))
	default:
		m.dawdle(r)
		m.bridge.ServeHTTP(w, r)
		m.dawdle(r)
	}
}

// dawdle makes the way to the bridge, and back, take time.
func (m *simulated) dawdle(r *http.Request) {
	if m.delay != nil {
		m.clock.Wait(r.Context(), nil, m.delay())
	}
}

func (m *simulated) request(r Request) *hostsim.Request {
	req := hostsim.NewRequest(r.Method, r.Path)
	req.Authority, req.Body = "chat.test", []byte(r.Body)
	for _, f := range r.fields() {
		req.Headers.Add(f[0], f[1])
	}
	if r.Claims != nil {
		req.Metadata = map[string]any{"envoy.filters.http.jwt_authn": map[string]any{"jwt_payload": asStruct(r.Claims)}}
	}
	return req
}

// asStruct gives claims as Envoy has them, in a google.protobuf.Struct: numbers are doubles.
func asStruct(claims map[string]any) (metadata map[string]any) {
	text, _ := json.Marshal(claims)
	_ = json.Unmarshal(text, &metadata)
	return metadata
}

// fields are the header fields that a client sends.
func (r Request) fields() [][2]string {
	fields := r.Fields
	if r.Claims != nil {
		r.User = jwt.Sign(r.Claims)
	}
	if r.User != "" {
		fields = append(fields[:len(fields):len(fields)], [2]string{"authorization", "Bearer " + r.User})
	}
	if r.Body != "" {
		fields = append(fields[:len(fields):len(fields)], [2]string{"content-type", "application/json"})
	}
	return fields
}

// worker spreads requests over a proxy's workers.
func (m *simulated) worker(proxy int) int {
	m.next[proxy]++
	return m.next[proxy]%Workers + 1
}

func (m *simulated) Do(proxy int, r Request) Response {
	return m.response(m.proxies[proxy].Do(m.worker(proxy), m.request(r)))
}

func (m *simulated) response(from *hostsim.Response) Response {
	r := Response{Status: from.Status, Header: http.Header{}, Body: string(from.Body)}
	for _, f := range from.Headers {
		r.Header.Add(f[0], f[1])
	}
	if from.Complete {
		m.ledger.note(r)
	}
	return r
}

type simulatedStream struct {
	m      *simulated
	proxy  *hostsim.Sim
	stream *hostsim.Stream
}

func (s simulatedStream) Finish() Response {
	s.proxy.Finish(s.stream)
	return s.m.response(s.stream.Response())
}

func (m *simulated) Open(proxy int, r Request) Stream {
	s := simulatedStream{m, m.proxies[proxy], m.proxies[proxy].Start(m.worker(proxy), m.request(r))}
	m.clock.Settle()
	if s.stream.Response() == nil {
		m.t.Fatalf("%s %s: no response headers", r.Method, r.Path)
	}
	return s
}

func (m *simulated) Together(requests ...Request) []Response {
	streams := make([]*hostsim.Stream, len(requests))
	for i, r := range requests {
		streams[i] = m.proxies[i%Proxies].Start(m.worker(i%Proxies), m.request(r))
	}
	responses := make([]Response, len(requests))
	for i, s := range streams {
		m.proxies[i%Proxies].Finish(s)
		responses[i] = m.response(s.Response())
	}
	return responses
}

func (m *simulated) Settle() {
	m.t.Helper()
	m.clock.Settle()
	m.Until(settleWithin, "stores and ends of writes are acknowledged", func() bool { return m.ledger.settled(m) })
}

func (m *simulated) Until(within time.Duration, what string, holds func() bool) time.Duration {
	m.t.Helper()
	began := m.clock.Now()
	for !holds() {
		if m.clock.Now().Sub(began) >= within {
			m.t.Fatalf("not within %v: %s", within, what)
		}
		m.clock.Advance(within / 100)
	}
	return m.clock.Now().Sub(began)
}

func (m *simulated) Origin() *Origin { return m.origin }

func (m *simulated) Break(p Part, f Fault) {
	if p == Redis {
		m.breakRedis(f)
		return
	}
	m.fault = f
	state := hostsim.ClusterUp
	if f == Down {
		state = hostsim.ClusterRefusing
	}
	for _, proxy := range m.proxies {
		proxy.SetCluster("redis-bridge", state)
	}
}

func (m *simulated) breakRedis(f Fault) {
	m.link.hung.Store(f == Hung)
	switch f {
	case Down:
		m.redis.Close()
	case Healthy:
		if m.redisDown {
			m.restartRedis()
		}
	}
	m.redisDown = f == Down
}

// restartRedis waits for the bridge to have a connection again: that takes real time, at
// most the second for which go-redis gives up dialling.
func (m *simulated) restartRedis() {
	if err := m.redis.Restart(); err != nil {
		m.t.Fatal(err)
	}
	stack.UntilT(m.t, "the bridge finds Redis again", func() bool { return m.bridge.Status(context.Background()).Redis.Error == "" })
}

func (m *simulated) Flush() { m.redis.FlushAll() }

func (m *simulated) Keys() map[string]string {
	keys := map[string]string{}
	for _, k := range m.redis.Keys() {
		keys[k], _ = m.redis.Get(k) // entries and generations; others hold no text of a client
	}
	return keys
}

func (m *simulated) Purge(cache, partition string) {
	m.t.Helper()
	ask := redisbridge.PurgeRequest{Policy: "chat-api", All: cache == "", Cache: cache, Partition: partition}
	if _, err := m.bridge.Purge(context.Background(), ask); err != nil {
		m.t.Fatal(err)
	}
	m.clock.Settle()
}

func (m *simulated) Invalidate(rule, user string) {
	m.t.Helper()
	ask := redisbridge.InvalidateRequest{Rule: rule, Identity: &redisbridge.Identity{Header: map[string]string{"authorization": "Bearer " + user}}}
	if _, err := m.bridge.Invalidate(context.Background(), ask); err != nil {
		m.t.Fatal(err)
	}
	m.clock.Settle()
}

func (m *simulated) Control(r redisbridge.ControlsRequest) {
	m.t.Helper()
	if _, err := m.bridge.SetControls(context.Background(), r); err != nil {
		m.t.Fatal(err)
	}
	m.clock.Settle()
}

func (m *simulated) Status() redisbridge.Status { return m.bridge.Status(context.Background()) }

func (m *simulated) Reconfigure(document string, proxies ...int) {
	m.t.Helper()
	for i, proxy := range m.proxies {
		if len(proxies) > 0 && !slices.Contains(proxies, i) {
			continue
		}
		if err := proxy.Reconfigure([]byte(document)); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *simulated) Refused(document string) string {
	m.t.Helper()
	err := m.proxies[0].Reconfigure([]byte(document))
	if !errors.Is(err, hostsim.ErrConfig) {
		m.t.Fatalf("took the policy (%v):\n%s", err, document)
	}
	return err.Error()
}

func (m *simulated) Sum(suffix string) (sum uint64) {
	for _, proxy := range m.proxies {
		for name, n := range proxy.Counters() {
			if strings.HasSuffix(name, suffix) {
				sum += n
			}
		}
	}
	return sum
}

func (m *simulated) Gauge(name string) (sum int64) {
	for _, proxy := range m.proxies {
		sum += int64(proxy.Gauge(name))
	}
	return sum
}

func (m *simulated) Logs() string {
	var b strings.Builder
	for _, proxy := range m.proxies {
		for _, line := range proxy.Logs() {
			b.WriteString(line.String() + "\n")
		}
	}
	return b.String()
}

// link is the bridge's way to Redis. While it is hung, what is sent is lost.
type link struct{ hung atomic.Bool }

func (l *link) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, address)
	return &linkConn{c, l}, err
}

type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Write(b []byte) (int, error) {
	if c.link.hung.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
