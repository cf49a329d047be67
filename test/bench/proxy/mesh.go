package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/bench"
	"chatcache/test/stack"
)

// proxy is one of the Envoys that are compared.
type proxy int

const (
	plain       proxy = iota // no filter but the router
	idle                     // a filter on the Go SDK that does nothing
	caching                  // chatcache
	filling                  // chatcache, for what is never asked for again
	full                     // chatcache, whose L1 is full
	envoysCache              // Envoy's own cache filter
	passing1                 // chatcache with 1, 100 and 1,000 rules, none of which matches
	passing100
	passing1000
	many    // chatcache, whose L1 has room for 100,000 entries
	writing // chatcache, whose policy nobody else has
	// The two filters as Go's compiler writes them, without what package gowasm makes of them.
	idleAsCompiled
	cachingAsCompiled
	// What follows has a bridge of its own, see meshParts.
	bridgeSocket // chatcache, which reaches the bridge by a Unix socket
	bothSockets  // likewise, and the bridge Redis
	plainOfFour  // plain, with four workers
	cachingOfFour
	proxies
)

// part is some of the proxies and the bridge that serves them. All parts have the first one's Valkey and origin.
type part struct {
	proxies []proxy
	options func(dir string, o *stack.Options)
}

var meshParts = []part{
	{[]proxy{plain, idle, caching, filling, full, envoysCache, passing1, passing100, passing1000, many, writing, idleAsCompiled, cachingAsCompiled}, func(dir string, o *stack.Options) {
		o.ValkeySocket = redisSocket(dir)
	}},
	{[]proxy{bridgeSocket}, func(dir string, o *stack.Options) { o.BridgeSocket = filepath.Join(o.Dir, "bridge.sock") }},
	{[]proxy{bothSockets}, func(dir string, o *stack.Options) {
		o.BridgeSocket, o.RedisURL = filepath.Join(o.Dir, "bridge.sock"), "unix://"+redisSocket(dir)
	}},
	{[]proxy{plainOfFour, cachingOfFour}, func(_ string, o *stack.Options) { o.Workers = 4 }},
}

func redisSocket(dir string) string { return filepath.Join(dir, "redis.sock") }

func passing(rules int) proxy {
	return map[int]proxy{1: passing1, 100: passing100, 1000: passing1000}[rules]
}

// The processes whose time is told apart.
const (
	processEnvoy  = "Envoy"
	processBridge = "bridge"
	processRedis  = "Redis"
)

// mesh is what is measured: proxies with their bridges before one Valkey and one origin, and other products' caches.
type mesh struct {
	*stack.Stack // of the first part
	stacks       []*stack.Stack
	sites        map[proxy]site
	peers        map[string]running
}

// site is where a proxy runs.
type site struct {
	*stack.Envoy
	bridge *stack.Bridge
}

// startMesh starts the first part, and those of the others that rows ask for.
func startMesh(ctx context.Context, dir string, list []row) (m *mesh, err error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	m = &mesh{sites: map[proxy]site{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	for i, p := range meshParts {
		asked := slices.ContainsFunc(list, func(w row) bool { return slices.Contains(p.proxies, w.proxy) })
		if i > 0 && !asked {
			continue
		}
		if err := m.start(ctx, dir, root, p); err != nil {
			return m, err
		}
	}
	return m, errors.Join(m.boundRedis(ctx), m.storeSample(ctx))
}

func (m *mesh) start(ctx context.Context, dir, root string, p part) error {
	o := stack.Options{
		Envoys: len(p.proxies), Origin: http.HandlerFunc(origin), Policy: []byte(policyFor(caching)),
		Manager: func(envoy int, manager map[string]any) { configure(p.proxies[envoy], manager, root) },
	}
	var err error
	if o.Dir, err = os.MkdirTemp(dir, "part"); err != nil {
		return err
	}
	if m.Stack != nil {
		o.RedisURL, o.OriginPort = m.Valkey.URL(), m.Origin.Port
	}
	p.options(dir, &o)
	s, err := stack.Start(ctx, o)
	if err != nil {
		return err
	}
	if m.stacks = append(m.stacks, s); m.Stack == nil {
		m.Stack = s
	}
	for i, proxy := range p.proxies {
		m.sites[proxy] = site{s.Envoys[i], s.Bridge}
		if policy := policyFor(proxy); policy != "" && policy != policyFor(caching) {
			if err := s.Envoys[i].SetPolicy(ctx, []byte(policy)); err != nil {
				return err
			}
		}
	}
	return nil
}

// processes are those of all parts.
func (m *mesh) processes() (all []*stack.Process) {
	for _, s := range m.stacks {
		all = append(all, s.Processes()...)
	}
	return all
}

// close ends the part with Valkey and the origin last.
func (m *mesh) close() error {
	errs := []error{m.stopPeers()}
	for _, s := range slices.Backward(m.stacks) {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// policyFor is the policy of a proxy that has the cache filter, or "".
func policyFor(p proxy) string {
	switch p {
	case caching, bridgeSocket, bothSockets, cachingOfFour:
		return fmt.Sprintf(cachingPolicy, "bench", "64MiB", "2MiB")
	case filling:
		return fmt.Sprintf(cachingPolicy, "fill", "64MiB", "7MiB") // no policy may allow more
	case full:
		return fmt.Sprintf(cachingPolicy, "full", "64MiB", "2MiB")
	case many:
		return fmt.Sprintf(cachingPolicy, "many", "256MiB", "2MiB")
	case cachingAsCompiled:
		return fmt.Sprintf(cachingPolicy, "compiled", "64MiB", "2MiB")
	case writing:
		return fmt.Sprintf(cachingPolicy, "writing", "64MiB", "2MiB")
	case passing1:
		return passingPolicy(1)
	case passing100:
		return passingPolicy(100)
	case passing1000:
		return passingPolicy(1000)
	}
	return ""
}

const cachingPolicy = `{
  "version": 1, "name": %q,
  "identity": [{"header": "authorization"}],
  "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
  "l1": {"max_bytes": %q, "max_staleness": "10s"},
  "host": {"allow_on_headers_stop_iteration": true}, "max_response": %q,
  "caches": {
    "l1": {"match": ["GET /l1/{kib}/{item}", "GET /varied/{kib}/{item}"], "ttl": "3600s"},
    "l2": {"match": ["GET /l2/{kib}/{item}"], "ttl": "3600s", "l1": false},
    "query": {"match": ["POST /query"], "ttl": "3600s", "body": {"max_bytes": "64KiB"}},
    "written": {"match": ["GET /written"], "ttl": "3600s"}
  },
  "invalidations": [{"name": "write", "match": ["POST /write"], "invalidate": ["written"]}]
}`

// passingPolicy has one cache and n-1 invalidations.
func passingPolicy(n int) string {
	var rules []string
	for i := range n - 1 {
		rules = append(rules, fmt.Sprintf(`{"name": "rule %d", "match": ["POST /api/v%d/things/{thing}/parts"], "invalidate": ["things"]}`, i, i))
	}
	return `{"version": 1, "name": "passing", "bridge": {"cluster": "redis-bridge"}, "caches": {"things": {"match": ["GET /api/things/{thing}"], "ttl": "60s", "shared": true}},
  "invalidations": [` + strings.Join(rules, ",\n") + `]}`
}

// configure makes a proxy's HTTP connection manager. None writes access logs, which would
// cost all of them the same.
func configure(p proxy, manager map[string]any, root string) {
	delete(manager, "access_log")
	manager["route_config"] = routes()
	filters := manager["http_filters"].([]any)
	router := filters[len(filters)-1]
	switch p {
	case plain, plainOfFour:
		manager["http_filters"] = []any{router}
	case envoysCache:
		manager["http_filters"] = []any{stack.EnvoysCache(), router}
	case idle, idleAsCompiled, cachingAsCompiled:
		plugin := filters[0].(map[string]any)["typed_config"].(map[string]any)["config"].(map[string]any)
		vm := plugin["vm_config"].(map[string]any)
		vm["code"] = map[string]any{"local": map[string]any{"filename": filepath.Join(root, "build", modules[p])}}
	}
}

// modules are the files in build/ of proxies that have another one than chatcache.wasm.
var modules = map[proxy]string{idle: "noop.wasm", idleAsCompiled: "noop.go.wasm", cachingAsCompiled: "chatcache.go.wasm"}

// elsewherePath is answered like /direct/1, and doesn't meet the filter: what `policy render --disable-elsewhere` writes.
const elsewherePath = "/elsewhere"

// routes answer below /direct themselves, hand lookups to the bridge, and everything else to the origin.
func routes() map[string]any {
	var list []any
	for _, kib := range []int{1, 16, 64} {
		var fields []any
		for name, value := range sampleFields() {
			fields = append(fields, map[string]any{"header": map[string]any{"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
		}
		direct := map[string]any{
			"match":                   map[string]any{"path": fmt.Sprintf("/direct/%d", kib)},
			"direct_response":         map[string]any{"status": 200, "body": map[string]any{"inline_string": body(kib)}},
			"response_headers_to_add": fields,
		}
		list = append(list, direct)
		if kib == 1 {
			elsewhere := maps.Clone(direct)
			elsewhere["match"] = map[string]any{"path": elsewherePath}
			elsewhere["typed_per_filter_config"] = map[string]any{"chatcache": map[string]any{
				"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true,
			}}
			list = append(list, elsewhere)
		}
	}
	list = append(list,
		map[string]any{"match": map[string]any{"path": wire.PathLookup}, "route": map[string]any{"cluster": "redis-bridge"}},
		map[string]any{"match": map[string]any{"prefix": "/"}, "route": map[string]any{"cluster": "chat"}})
	return map[string]any{"name": "bench", "max_direct_response_body_size_bytes": 1 << 20,
		"virtual_hosts": []any{map[string]any{"name": "bench", "domains": []any{"*"}, "routes": list}}}
}

// sampleFields are those of an API's answer.
func sampleFields() map[string]string {
	return map[string]string{
		"content-type": "application/json", "cache-control": "max-age=3600", "etag": `"6f1ed002ab5595859014ebf0951522d9"`,
		"x-request-id": "0b6d4ac2-5a1e-4a9c-9a4f-6d9f1d8c7b3e", "x-api-version": "2024-06-01", "x-content-type-options": "nosniff",
		"referrer-policy": "no-referrer", "strict-transport-security": "max-age=63072000", "x-frame-options": "DENY", "last-modified": "Wed, 21 Oct 2015 07:28:00 GMT",
	}
}

// body is JSON of so many KiB.
func body(kib int) string {
	const item = `{"id":"0123456789abcdef","text":"the quick brown fox jumps"},`
	text := `{"items":[` + strings.Repeat(item, kib*1024/len(item))
	return text[:len(text)-1] + "]}" + strings.Repeat(" ", max(0, kib*1024-len(text)-1))
}

var bodies = map[int]string{1: body(1), 16: body(16), 64: body(64), 1024: body(1024), 7 << 10: body(7 << 10), 10 << 10: body(10 << 10)}

// origin answers /…/<KiB>/… with so much, /varied/… with Vary, /events with a stream of events, and everything else with 1 KiB.
func origin(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/events" {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 100 {
			_, _ = w.Write([]byte("data: the quick brown fox jumps\n\n"))
			w.(http.Flusher).Flush()
		}
		return
	}
	kib := 1
	if parts := strings.Split(r.URL.Path, "/"); len(parts) == 4 {
		kib, _ = strconv.Atoi(parts[2]) // no number: the default below
	}
	text := cmp.Or(bodies[kib], bodies[1])
	for name, value := range sampleFields() {
		w.Header().Set(name, value)
	}
	if strings.HasPrefix(r.URL.Path, "/varied/") {
		w.Header().Set("Vary", "Accept-Encoding")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write([]byte(text)) // a proxy that has gone shows at the client
}

// boundRedis lets Redis evict entries, so that a long run fits into memory.
func (m *mesh) boundRedis(ctx context.Context) error {
	options, err := redis.ParseURL(m.Valkey.URL())
	if err != nil {
		return err
	}
	c := redis.NewClient(options)
	defer c.Close()
	return errors.Join(c.ConfigSet(ctx, "maxmemory", "1gb").Err(), c.ConfigSet(ctx, "maxmemory-policy", "volatile-lru").Err())
}

// The lookup that bridgeAlone forwards, and what it finds.
var (
	sampleScope  = wire.Scope{Policy: "sample", Horizon: time.Hour.Milliseconds()}
	sampleKey    = wire.EntryKey("sample", "sample", "partition", "GET", "/sample", "0123456789abcdef")
	sampleGroups = wire.ReadGroups("sample", "partition")
	sampleLookup = wire.LookupRequest{Scope: sampleScope, Key: sampleKey, Groups: sampleGroups}.Encode()
	lookupFrame  = traffic{warm: 4, next: func(b []byte) []byte {
		return append(fmt.Appendf(b, "POST %s HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n",
			wire.PathLookup, authority, stack.BridgeToken, wire.ContentType, len(sampleLookup)), sampleLookup...)
	}}
)

// storeSample stores what lookupFrame asks for.
func (m *mesh) storeSample(ctx context.Context) error {
	found, err := m.send(ctx, wire.PathLookup, sampleLookup)
	if err != nil {
		return err
	}
	answer, err := wire.DecodeLookupAnswer(found)
	if err != nil {
		return err
	}
	const ttl = 3_600_000
	entry := wire.Entry{Payload: []byte(strings.Repeat("x", 1400)), Head: wire.Head{
		Ticket: answer.Ticket, Definition: "sample", Stored: time.Now().Unix(), TTL: ttl, Groups: sampleGroups,
	}}
	_, err = m.send(ctx, wire.PathStore, wire.StoreRequest{Scope: sampleScope, Key: sampleKey, TTL: ttl, Entry: entry.Encode()}.Encode())
	return err
}

func (m *mesh) send(ctx context.Context, path string, frame []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Bridge.URL()+path, bytes.NewReader(frame))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+stack.BridgeToken)
	req.Header.Set("Content-Type", wire.ContentType)
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, answer)
	}
	return answer, err
}

// versions are those of Envoy and of the Redis server.
func (m *mesh) versions(ctx context.Context) (envoy, server string, err error) {
	return bench.Versions(ctx, m.Stack)
}
