package redisbridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

const (
	filterToken = "filters' own"
	adminToken  = "administrators' own"
	viewerToken = "viewers' own"
)

func withTokens(o *Options) {
	o.Token, o.AdminToken, o.Insecure = filterToken, adminToken, false
}

// call gives status and body of one call.
func call(h http.Handler, method, path, token string, body []byte) (int, string) {
	r := httptest.NewRequest(method, path, bytes.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestTokens(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { withTokens(o); o.ViewerToken = viewerToken })
	lookup := wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode()
	routes := []struct {
		method, path string
		body         []byte
		tokens       string // that it needs one of; empty: none
	}{
		{"POST", wire.PathLookup, lookup, filterToken},
		{"POST", wire.PathLookups, nil, filterToken},
		{"POST", wire.PathStore, nil, filterToken},
		{"POST", wire.PathStores, nil, filterToken},
		{"POST", wire.PathPiece, nil, filterToken},
		{"POST", wire.PathCommit, nil, filterToken},
		{"POST", wire.PathRelease, nil, filterToken},
		{"POST", wire.PathSuspend, nil, filterToken},
		{"POST", wire.PathClose, nil, filterToken},
		{"POST", wire.PathFeed, nil, filterToken},
		{"POST", wire.PathFollow, nil, filterToken},
		{"POST", wire.PathJoin, nil, filterToken},
		{"POST", "/v1/purge", []byte(`{"policy":"chat","all":true}`), adminToken},
		{"POST", "/v1/invalidate", []byte(`{}`), adminToken},
		{"POST", "/v1/controls", []byte(`{}`), adminToken},
		{"GET", "/v1/controls", nil, adminToken + ", " + viewerToken},
		{"POST", "/v1/inspect", []byte(`{}`), adminToken},
		{"GET", "/v1/receipts", nil, adminToken},
		{"GET", "/v1/status", nil, adminToken + ", " + viewerToken},
		{"GET", "/healthz", nil, ""},
		{"GET", "/readyz", nil, ""},
		{"GET", "/metrics", nil, ""},
		{"GET", "/", nil, ""},
		{"GET", "/page/page.js", nil, ""},
	}
	for _, r := range routes {
		for _, token := range []string{"", "wrong", filterToken, adminToken, viewerToken} {
			status, body := call(w, r.method, r.path, token, r.body)
			allowed := r.tokens == "" || token != "" && strings.Contains(r.tokens, token)
			if refused := status == http.StatusUnauthorized; refused == allowed {
				t.Errorf("%s %s with token %q: %d %s", r.method, r.path, token, status, body)
			}
		}
	}
	// A scheme other than Bearer.
	r := httptest.NewRequest("GET", "/v1/status", nil)
	r.Header.Set("Authorization", "Basic "+adminToken)
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	if got := rec.Body.String(); got != "unauthorized: want \"authorization: Bearer TOKEN\"\n" {
		t.Errorf("got %q", got)
	}
}

// Without a viewers' token only administrators see the status; whoever sees it is told what he may do.
func TestViewers(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { withTokens(o); o.ViewerToken = viewerToken })
	for token, want := range map[string]string{viewerToken: `"access": "view"`, adminToken: `"access": "administer"`} {
		if status, body := call(w, "GET", "/v1/status", token, nil); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%d %s, want %s", status, body, want)
		}
	}
	w = newMemoryWorld(t, withTokens)
	for _, token := range []string{"", viewerToken} {
		if status, body := call(w, "GET", "/v1/status", token, nil); status != 401 {
			t.Errorf("token %q: %d %s", token, status, body)
		}
	}
}

// What a browser sends for another site's page does nothing, also where no token is needed.
func TestOtherSitesPages(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for _, tt := range []struct {
		field, value string
		want         int
	}{
		{"Sec-Fetch-Site", "cross-site", 403},
		{"Sec-Fetch-Site", "same-origin", 200},
		{"Origin", "http://elsewhere.example", 403},
		{"Origin", "http://example.com", 200}, // httptest's own
		{"Accept", "*/*", 200},
	} {
		if got := administer(w, "POST", "/v1/purge", `{"policy":"chat","all":true}`, tt.field, tt.value); got != tt.want {
			t.Errorf("%s: %s gives %d, want %d", tt.field, tt.value, got, tt.want)
		}
	}
}

// A bridge that lets everybody in has to be asked for.
func TestTokensAreRequired(t *testing.T) {
	for _, change := range []func(*Options){
		func(o *Options) { o.Token = "" },
		func(o *Options) { o.AdminToken = "" },
		func(o *Options) { o.Redis.Addrs = nil },
	} {
		o := Options{Token: "t", AdminToken: "a"}
		o.Redis.Addrs = []string{"127.0.0.1:1"}
		change(&o)
		b, err := New(o)
		wantError(t, err, ErrOptions)
		if b != nil {
			b.Close()
		}
	}
}

// Every refused request says what was found and what was wanted.
func TestRefusals(t *testing.T) {
	w := newMemoryWorld(t, nil)
	policy := func(name string) wire.Scope { return wire.Scope{Policy: name, Horizon: 1000} }
	entry := wire.Entry{Head: wire.Head{Ticket: wire.Ticket{Epoch: 1}, Groups: []string{"*"}}}
	big := entry
	big.Payload = make([]byte, wire.MaxEntry-len(entry.Encode()))
	whole := entry
	whole.TTL = 1000
	tests := []struct {
		name, path string
		body       []byte
		want       string
	}{
		{"no such call", "/v2/lookup", nil, "404 not found: no call POST /v2/lookup in this version of redisbridge"},
		{"wrong method", "/v1/status", nil, "404 not found: no call POST /v1/status in this version of redisbridge"},
		{"no frame", wire.PathLookup, nil, "400 wire: not a valid frame: cut short"},
		{"another frame", wire.PathLookup, wire.Ack{}.Encode(), "400 wire: not a valid frame: found kind 6, want 1"},
		{"no policy", wire.PathLookup, wire.LookupRequest{Key: w.key}.Encode(), "400 bad request: policy name of 0 bytes, want 1 to 64"},
		{"policy that leaves its tag", wire.PathLookup, wire.LookupRequest{Scope: policy("a}b"), Key: w.key}.Encode(),
			`400 bad request: policy name "a}b" has byte '}' at 1, want letters, digits and -_. only`},
		{"foreign key", wire.PathLookup, wire.LookupRequest{Scope: w.scope, Key: "session:1"}.Encode(),
			`400 bad request: key is not one of policy "chat", as wire.EntryKey builds them`},
		{"foreign key stored", wire.PathStore, wire.StoreRequest{Scope: w.scope, Key: "session:1", TTL: 1, Entry: entry.Encode()}.Encode(),
			`400 bad request: key is not one of policy "chat", as wire.EntryKey builds them`},
		{"cache that isn't text", wire.PathLookup, wire.LookupRequest{Scope: w.scope, Key: "\xff:chat:{a}:GET /:d"}.Encode(),
			`400 bad request: cache "\xff" has byte 'ÿ' at 0, want letters, digits and -_. only`},
		{"group of a cache that isn't text", wire.PathSuspend, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"c:\xff"}, Deadline: 1}.Encode(),
			`400 bad request: cache "\xff" has byte 'ÿ' at 0, want letters, digits and -_. only`},
		{"partition of a cache that isn't text", wire.PathClose, wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: []string{"p:\xff:a"}}.Encode(),
			`400 bad request: cache "\xff" has byte 'ÿ' at 0, want letters, digits and -_. only`},
		{"no TTL", wire.PathStore, wire.StoreRequest{Scope: w.scope, Key: w.key, Entry: entry.Encode()}.Encode(),
			"400 bad request: store with a TTL of 0 ms, want 1 to 2592000000"},
		{"no entry", wire.PathStore, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1, Entry: []byte("x")}.Encode(),
			"400 wire: not a valid entry: no head"},
		{"no ticket", wire.PathStore, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 1,
			Entry: wire.Entry{Head: wire.Head{Groups: []string{"*"}}}.Encode()}.Encode(),
			"400 bad request: entry without a ticket: only what a lookup gave a ticket for may be stored"},
		{"entry too large with its TTL", wire.PathStore, wire.StoreRequest{Scope: w.scope, Key: w.key, TTL: 600_000, Entry: big.Encode()}.Encode(),
			"413 too large: entry of 8388613 bytes, at most 8388608"},
		{"piece of nobody's", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Bytes: whole.Encode()}.Encode(), "400 bad request: upload without an id"},
		{"id that leaves its tag", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "a}b", Bytes: whole.Encode()}.Encode(),
			`400 bad request: upload id "a}b" has byte '}' at 1, want letters, digits and -_. only`},
		{"piece of a foreign key", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: "session:1", Upload: "u", Bytes: whole.Encode()}.Encode(),
			`400 bad request: key is not one of policy "chat", as wire.EntryKey builds them`},
		{"empty piece", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u"}.Encode(), "400 bad request: piece without bytes"},
		{"first piece without a head", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u", Bytes: []byte("x")}.Encode(),
			"400 wire: not a valid entry: no head"},
		{"first piece without a TTL", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u", Bytes: entry.Encode()}.Encode(),
			"400 bad request: store with a TTL of 0 ms, want 1 to 2592000000"},
		{"first piece without a ticket", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u",
			Bytes: wire.Entry{Head: wire.Head{TTL: 1, Groups: []string{"*"}}}.Encode()}.Encode(),
			"400 bad request: entry without a ticket: only what a lookup gave a ticket for may be stored"},
		{"piece beyond the limit", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u", Offset: wire.MaxEntry, Bytes: []byte("x")}.Encode(),
			"413 too large: entry of 8388609 bytes or more, at most 8388608"},
		{"piece after nothing", wire.PathPiece, wire.PieceRequest{Scope: w.scope, Key: w.key, Upload: "u", Offset: 10, Bytes: []byte("x")}.Encode(),
			"409 upload isn't whole: a piece that begins at byte 10"},
		{"commit of nothing", wire.PathCommit, wire.CommitRequest{Scope: w.scope, Key: w.key, Upload: "u", TTL: 1}.Encode(), "400 bad request: commit of an upload of 0 bytes"},
		{"commit without a TTL", wire.PathCommit, wire.CommitRequest{Scope: w.scope, Key: w.key, Upload: "u", Size: 1}.Encode(),
			"400 bad request: store with a TTL of 0 ms, want 1 to 2592000000"},
		{"commit of what isn't there", wire.PathCommit, wire.CommitRequest{Scope: w.scope, Key: w.key, Upload: "u", Size: 7, TTL: 1}.Encode(),
			"409 upload isn't whole: a commit of 7 bytes"},
		{"commit under a strange lease", wire.PathCommit, wire.CommitRequest{Scope: w.scope, Key: w.key, Upload: "u", Size: 7, TTL: 1, Fetch: "a b"}.Encode(),
			`400 bad request: fetch id "a b" has byte ' ' at 1, want letters, digits and -_. only`},
		{"frame too large", wire.PathStore, make([]byte, wire.MaxFrame+1), "413 too large: body of 9437185 bytes, at most 9437184"},
		{"no groups", wire.PathSuspend, wire.SuspendRequest{Scope: w.scope, ID: "w1", Deadline: 1}.Encode(), "400 bad request: no groups, want at least one"},
		{"empty group", wire.PathClose, wire.CloseRequest{Scope: w.scope, ID: "w1", Groups: []string{"*", ""}}.Encode(), "400 bad request: group 1 is empty"},
		{"empty group looked up", wire.PathLookup, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: []string{""}}.Encode(), "400 bad request: group 0 is empty"},
		{"the quarantine's id", wire.PathClose, wire.CloseRequest{Scope: w.scope, ID: "quarantine", Groups: []string{"*"}}.Encode(),
			`400 bad request: suspension id "quarantine", want a random word`},
		{"id with a space", wire.PathSuspend, wire.SuspendRequest{Scope: w.scope, ID: "a b", Groups: []string{"*"}, Deadline: 1}.Encode(),
			`400 bad request: suspension id "a b" has byte ' ' at 1, want letters, digits and -_. only`},
		{"no deadline", wire.PathSuspend, wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"*"}}.Encode(),
			"400 bad request: suspension with a deadline of 0 ms, want at least 1"},
		{"no VM", wire.PathFeed, wire.FeedRequest{Scope: w.scope, Lease: 1}.Encode(),
			`400 bad request: poll of VM "" with a lease of 1 ms, want a name and at least 1`},
		{"no JSON", "/v1/purge", []byte("all"), "400 bad request: body is not the JSON of this call, whose members are policy, all, cache, partition, wait, newPolicy: invalid character 'a' looking for beginning of value"},
		{"unknown member", "/v1/purge", []byte(`{"everything":true}`), `400 bad request: body is not the JSON of this call, whose members are policy, all, cache, partition, wait, newPolicy: json: unknown field "everything"`},
		{"two values", "/v1/purge", []byte(`{"all":true}{}`), "400 bad request: the body goes on behind its JSON value"},
		{"half a value more", "/v1/purge", []byte(`{"all":true}}`), "400 bad request: the body goes on behind its JSON value"},
		{"a list's end", "/v1/controls", []byte(`{"all":true,"set":{"off":true}}]`), "400 bad request: the body goes on behind its JSON value"},
		{"a setting that is false", "/v1/controls", []byte(`{"policy":"chat","all":true,"set":{"off":false,"verify":1}}`),
			`400 bad request: body is not the JSON of this call, whose members are policy, all, cache, set, unset, wait, newPolicy: "set" has "off": false, which sets nothing: leave it out, or to forget what was set, "unset": ["off"]`},
		{"nobody is to be served", "/v1/controls", []byte(`{"policy":"chat","cache":"stats","set":{"percent":0,"verify":1}}`),
			`400 bad request: body is not the JSON of this call, whose members are policy, all, cache, set, unset, wait, newPolicy: "set" has "percent": 0, which sets nothing: leave it out, or to forget what was set, "unset": ["percent"]`},
		{"an empty setting", "/v1/controls", []byte(`{"policy":"chat","cache":"stats","Set":{"ttl":"","verify":1}}`),
			`400 bad request: body is not the JSON of this call, whose members are policy, all, cache, set, unset, wait, newPolicy: "set" has "ttl": "", which sets nothing: leave it out, or to forget what was set, "unset": ["ttl"]`},
		{"unknown setting", "/v1/controls", []byte(`{"policy":"chat","all":true,"set":{"of":true}}`),
			`400 bad request: body is not the JSON of this call, whose members are policy, all, cache, set, unset, wait, newPolicy: json: unknown field "of"`},
		{"purge of nothing", "/v1/purge", []byte(`{"policy":"chat"}`), `400 bad request: want either "all": true or a "cache"`},
		{"purge of both", "/v1/purge", []byte(`{"policy":"chat","all":true,"cache":"stats"}`), `400 bad request: want either "all": true or a "cache"`},
		{"partition of all", "/v1/purge", []byte(`{"policy":"chat","all":true,"partition":"4f"}`), `400 bad request: a "partition" is one of a "cache", found "all"`},
		{"invalidate without a document", "/v1/invalidate", []byte(`{"policy":"chat","rule":"r"}`),
			`404 not found: the bridge has no document of policy "chat": start it with --policy FILE`},
		{"JSON too large", "/v1/purge", make([]byte, maxAdminBody+1), "413 too large: body of 65537 bytes, at most 65536"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := call(w, "POST", tt.path, "", tt.body)
			if got := fmt.Sprintf("%d %s", status, strings.TrimSuffix(body, "\n")); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	if keys := w.memory.Keys(); len(keys) > 0 {
		t.Errorf("refused calls left %q in Redis", keys)
	}
	if status, body := call(w, "GET", "/metrics", "", nil); status != 200 {
		t.Errorf("the metrics afterwards: %d %s", status, body)
	}
}

func TestTooManyPolicies(t *testing.T) {
	w := newMemoryWorld(t, nil)
	for i := range maxPolicies {
		w.of(fmt.Sprint("p", i))
		w.look()
	}
	w.of("p")
	status, body := call(w, "POST", wire.PathLookup, "", wire.LookupRequest{Scope: w.scope, Key: w.key}.Encode())
	if status != http.StatusServiceUnavailable || body != "too many policies: this bridge serves 256 already\n" {
		t.Errorf("got %d %s", status, body)
	}
}

func TestReadiness(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		if status, body := call(w, "GET", "/readyz", "", nil); status != 200 || body != "ready\n" {
			t.Errorf("got %d %s", status, body)
		}
		w.Drain()
		if status, body := call(w, "GET", "/readyz", "", nil); status != 503 || body != "not ready: draining\n" {
			t.Errorf("draining: got %d %s", status, body)
		}
		if status, _ := call(w, "GET", "/healthz", "", nil); status != 200 {
			t.Errorf("draining: healthz %d", status)
		}
	})
	t.Run("eviction", func(t *testing.T) {
		w := newRealWorld(t, nil)
		for policy, want := range map[string]int{"noeviction": 200, "volatile-lru": 200, "volatile-ttl": 200, "allkeys-lru": 503} {
			w.check(w.raw.ConfigSet(w.ctx, "maxmemory-policy", policy).Err())
			status, body := call(w, "GET", "/readyz", "", nil)
			if status != want {
				t.Errorf("%s: %d %s, want %d", policy, status, body, want)
			}
			if status == 503 && !strings.Contains(body, "set noeviction or one of volatile-*") {
				t.Errorf("%s: %q doesn't say what to do", policy, body)
			}
		}
	})
}

// A server of a replicated set says what is wrong with it.
func TestReadinessOfReplicas(t *testing.T) {
	w := newRealWorld(t, func(o *Options) { o.Replicas = 1 })
	ready := func(when, want string) {
		t.Helper()
		_, body := call(w, "GET", "/readyz", "", nil)
		if body != want+"\n" {
			t.Errorf("%s: %q, want %q", when, body, want)
		}
		problem := strings.TrimPrefix(want, "ready, but ")
		if want == "ready" {
			problem = ""
		}
		if s := w.Status(w.ctx).Redis; s.Problem != problem {
			t.Errorf("%s: status says %q", when, s.Problem)
		}
	}
	ready("alone", "not ready: 0 replicas follow Redis' primary, --replicas wants 1: until then everything goes to the origin")
	if _, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}); !errors.Is(err, errUnconfirmed) {
		t.Errorf("a lookup got %v, want that no replica confirms it", err)
	}
	port := must(loopback.FreePort())
	w.check(w.raw.ConfigSet(w.ctx, "bind", "127.0.0.1").Err())
	w.check(w.raw.ConfigSet(w.ctx, "port", fmt.Sprint(port)).Err())
	w.check(w.raw.ConfigSet(w.ctx, "repl-diskless-sync-delay", "0").Err())
	stack.ScratchValkeyT(t, "--replicaof", "127.0.0.1", fmt.Sprint(port))
	eventually(t, "the replica follows", func() bool { return w.Status(w.ctx).Redis.Replicas == 1 })
	ready("with a replica", "ready, but min-replicas-to-write is 0: a primary that was cut off is believed for up to 2s")
	w.check(w.raw.ConfigSet(w.ctx, "min-replicas-to-write", "1").Err())
	ready("guarded", "ready")
	eventually(t, "lookups are confirmed", func() bool {
		_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups})
		return err == nil
	})
	if c := w.Status(w.ctx).Policies[0].Confirmation; c == nil || c.AgeMS < 0 || c.Error != "" {
		t.Errorf("confirmation %+v", c)
	}
	w.check(w.raw.Do(w.ctx, "REPLICAOF", "127.0.0.1", "1").Err())
	ready("demoted", "not ready: Redis is a replica, want its primary: name the Sentinels or the Cluster")
}

// A Cluster is ready where a node without replicas has entries only: nobody waits for those to confirm its word.
func TestReadinessOfACluster(t *testing.T) {
	node := func(decides bool, replicas int) primary {
		return primary{server{Mode: "cluster", Replicas: replicas, Guarded: decides, Keys: 1}, decides}
	}
	for what, c := range map[string]struct {
		primaries []primary
		ready     bool
	}{
		"entries without a replica":          {[]primary{node(false, 0), node(true, 1), node(false, 1)}, true},
		"validity without a replica":         {[]primary{node(false, 1), node(true, 0), node(false, 1)}, false},
		"of several policies, one without":   {[]primary{node(true, 1), node(true, 0)}, false},
		"where validity is doesn't answer":   {[]primary{node(false, 1), node(false, 1)}, true},
		"no policy is known, a node without": {[]primary{node(false, 1), node(false, 0)}, false},
	} {
		s := clusterOf(c.primaries)
		b := &Bridge{options: Options{Replicas: 1}}
		if err := b.checkServer(s); (err == nil) != c.ready || s.Replicas > 1 || s.Keys != int64(len(c.primaries)) {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
	}
}

// Under Sentinels a minority with the old primary must be too small to vouch for it.
func TestAdviceOnReplicas(t *testing.T) {
	for _, c := range []struct {
		mode              string
		replicas, askedOf int
		want              string
	}{
		{"standalone", 0, 0, ""},
		{"standalone", 1, 0, "Redis has replicas: where one may be elected primary, set --replicas"},
		{"standalone", 2, 1, ""},
		{"standalone", 3, 1, ""},
		{"standalone", 4, 1, "4 replicas follow Redis' primary: cut off together with 1 of them it goes on being believed; set --replicas and min-replicas-to-write to 2"},
		{"standalone", 4, 2, ""},
		{"standalone", 5, 2, ""},
		{"standalone", 6, 2, "6 replicas follow Redis' primary: cut off together with 2 of them it goes on being believed; set --replicas and min-replicas-to-write to 3"},
		{"cluster", 4, 1, ""},
	} {
		b := &Bridge{options: Options{Replicas: c.askedOf}}
		if got := b.advice(server{Mode: c.mode, Replicas: c.replicas, Guarded: true}); got != c.want {
			t.Errorf("%s, %d replicas, --replicas %d: %q, want %q", c.mode, c.replicas, c.askedOf, got, c.want)
		}
	}
}

// Without Redis every call fails at once, and the bridge stays alive.
func TestRedisUnreachable(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { o.Timeout, o.StoreTimeout = 0, 0 })
	w.memory.Close()
	for path, body := range map[string][]byte{
		wire.PathLookup:  wire.LookupRequest{Scope: w.scope, Key: w.key}.Encode(),
		wire.PathLookups: wire.LookupsRequest{Scope: w.scope, Lookups: []wire.LookupRequest{{Key: w.key}}}.Encode(),
		wire.PathSuspend: wire.SuspendRequest{Scope: w.scope, ID: "w1", Groups: []string{"*"}, Deadline: 1}.Encode(),
		wire.PathFeed:    w.pollRequest(wire.Ticket{}, 30_000).Encode(),
		"/v1/purge":      []byte(`{"policy":"chat","all":true}`),
	} {
		if status, body := call(w, "POST", path, "", body); status != 503 || !strings.HasPrefix(body, "redis") {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
	if status, body := call(w, "GET", "/readyz", "", nil); status != 503 || !strings.HasPrefix(body, "not ready: redis") {
		t.Errorf("readyz: got %d %s", status, body)
	}
	if s := w.Status(w.ctx); s.Redis.OK || s.Redis.Error == "" {
		t.Errorf("status: %+v", s.Redis)
	}
	w.check(w.memory.Restart())
	eventually(t, "calls work again", func() bool {
		_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key})
		return err == nil
	})
}

// serving starts Serve and gives its end.
func serving(t *testing.T, b *Bridge, address string) (l net.Listener, stop func() error) {
	t.Helper()
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, l) }()
	return l, func() error { cancel(); return <-done }
}

func httpClient(l net.Listener, h2 bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!h2)
	p.SetUnencryptedHTTP2(h2)
	return &http.Client{Transport: &http.Transport{
		Protocols: p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, l.Addr().Network(), l.Addr().String())
		},
	}}
}

// Who sends or reads slowly keeps a connection for a while only; a poll that is held as long as any is still answered.
func TestSlowClientsAreBounded(t *testing.T) {
	s := newServer(nil)
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("a slow sender isn't bounded: headers %v, %d bytes, all %v, idle %v", s.ReadHeaderTimeout, s.MaxHeaderBytes, s.ReadTimeout, s.IdleTimeout)
	}
	if hold := wire.MaxHold * time.Millisecond; s.WriteTimeout <= hold || s.WriteTimeout > 2*hold {
		t.Errorf("an answer may take %v, want a little more than a hold of %v", s.WriteTimeout, hold)
	}
}

// Both protocols over both kinds of listener; at the end a held poll is answered.
func TestServe(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		for _, kind := range []string{"tcp", "unix"} {
			t.Run(fmt.Sprintf("h2=%t %s", h2, kind), func(t *testing.T) { testServe(t, kind, h2) })
		}
	}
}

func testServe(t *testing.T, kind string, h2 bool) {
	clock := newStepClock()
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	address := "127.0.0.1:0"
	if kind == "unix" {
		address = "unix:" + filepath.Join(shortDir(t), "s")
	}
	l, stop := serving(t, w.Bridge, address)
	client := httpClient(l, h2)
	cursor := w.look().Ticket

	answer := make(chan string, 1)
	go func() {
		r, err := client.Post("http://bridge"+wire.PathFeed, wire.ContentType, bytes.NewReader(w.pollRequest(cursor, 30_000).Encode()))
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		a, decodeErr := wire.DecodeFeedAnswer(b)
		answer <- fmt.Sprint(r.ProtoMajor, r.StatusCode, r.Header.Get("Content-Type"), a.Last, err, decodeErr)
	}()
	select {
	case held := <-clock.waiting:
		if held != 30*time.Second {
			t.Errorf("held for %v, want 30 s", held)
		}
	case got := <-answer:
		t.Fatalf("the poll was answered at once: %s", got)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	major := map[bool]int{false: 1, true: 2}[h2]
	if got, want := <-answer, fmt.Sprint(major, 200, wire.ContentType, cursor, error(nil), error(nil)); got != want {
		t.Errorf("the held poll got %s, want %s", got, want)
	}
	if _, err := net.Dial(l.Addr().Network(), l.Addr().String()); err == nil {
		t.Error("still listening after the end")
	}
}

func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "rb") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A socket file is taken over from a process that died, not from a live one, and
// nothing else is deleted.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	first, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a live one's: %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := Listen("unix:" + path)
	if err != nil {
		t.Fatalf("a dead one's: %v", err)
	}
	second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen("unix:" + path); err == nil {
		t.Error("took an ordinary file for a socket")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("deleted an ordinary file")
	}
}
