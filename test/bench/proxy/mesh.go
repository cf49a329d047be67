package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
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
	proxies
)

func passing(rules int) proxy {
	return map[int]proxy{1: passing1, 100: passing100, 1000: passing1000}[rules]
}

// The processes beside the proxies.
const (
	processBridge = "bridge"
	processRedis  = "Redis"
)

// fullEntries of 1 KiB fill 64 MiB of L1 nearly: one more, and going round would find none.
const fullEntries = 36_000

// mesh is what is measured: all proxies, before one bridge and one Valkey, and other products' caches.
type mesh struct {
	*stack.Stack
	peers map[string]running
}

func startMesh(ctx context.Context, dir string) (m *mesh, err error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	s, err := stack.Start(ctx, stack.Options{
		Dir: dir, Envoys: int(proxies), Origin: http.HandlerFunc(origin), Policy: []byte(policyFor(caching)),
		Manager: func(envoy int, manager map[string]any) { configure(proxy(envoy), manager, root) },
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	for p := range proxies {
		if policy := policyFor(p); p != caching && policy != "" {
			if err := s.Envoys[p].SetPolicy(ctx, []byte(policy)); err != nil {
				return nil, err
			}
		}
	}
	m = &mesh{Stack: s}
	return m, errors.Join(m.boundRedis(ctx), m.storeSample(ctx))
}

func (m *mesh) close() error { return errors.Join(m.stopPeers(), m.Close()) }

// policyFor is the policy of a proxy that has the cache filter, or "".
func policyFor(p proxy) string {
	switch p {
	case caching, filling, full:
		return fmt.Sprintf(cachingPolicy, map[proxy]string{caching: "bench", filling: "fill", full: "full"}[p])
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
  "l1": {"max_bytes": "64MiB", "max_staleness": "10s"},
  "host": {"allow_on_headers_stop_iteration": true}, "max_response": "2MiB",
  "caches": {
    "l1": {"match": ["GET /l1/{kib}/{item}"], "ttl": "3600s"},
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
	case plain:
		manager["http_filters"] = []any{router}
	case envoysCache:
		manager["http_filters"] = []any{stack.EnvoysCache(), router}
	case idle:
		plugin := filters[0].(map[string]any)["typed_config"].(map[string]any)["config"].(map[string]any)
		vm := plugin["vm_config"].(map[string]any)
		vm["code"] = map[string]any{"local": map[string]any{"filename": filepath.Join(root, "build", "noop.wasm")}}
	}
}

// routes answer below /direct themselves, hand lookups to the bridge, and everything else to the origin.
func routes() map[string]any {
	var list []any
	for _, kib := range []int{1, 16, 64} {
		var fields []any
		for name, value := range sampleFields() {
			fields = append(fields, map[string]any{"header": map[string]any{"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"})
		}
		list = append(list, map[string]any{
			"match":                   map[string]any{"path": fmt.Sprintf("/direct/%d", kib)},
			"direct_response":         map[string]any{"status": 200, "body": map[string]any{"inline_string": body(kib)}},
			"response_headers_to_add": fields,
		})
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

var bodies = map[int]string{1: body(1), 16: body(16), 64: body(64), 1024: body(1024)}

// origin answers /…/<KiB>/… with so much, /events with a stream of events, and everything else with 1 KiB.
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
