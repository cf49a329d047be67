package redisbridge

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

const secret = "sixteen bytes or more"

const document = `{
  "version": 1, "name": "chat",
  "identity": [{"jwt_authn_claim": "sub"}, {"header": "authorization"}, {"cookie": "session"}, {"property": ["connection", "uri_san_peer_certificate"]}],
  "bridge": {"cluster": "redis-bridge", "timeout": "50ms"},
  "caches": {
    "stats":  {"match": ["GET /api/chat/stats"], "ttl": "600s"},
    "models": {"match": ["GET /api/models"], "ttl": "3600s", "shared": true}
  },
  "invalidations": [
    {"name": "save message", "match": ["POST /api/chat/messages"], "invalidate": ["stats", "models"]},
    {"name": "reset", "match": ["POST /api/reset"], "invalidate": ["stats"], "scope": "all"}
  ]
}`

func parsePolicy(t *testing.T, doc string) *policy.Policy {
	t.Helper()
	p, problems := policy.Parse([]byte(doc))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

func withPolicy(t *testing.T) func(*Options) {
	return func(o *Options) {
		o.Policies, o.PartitionSecret = []*policy.Policy{parsePolicy(t, document)}, secret
	}
}

// The bridge derives the very groups that a filter does for a request of the
// same identity.
func TestInvalidate(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	sources := w.options.Policies[0].Identity
	identifier := must(policy.NewIdentifier(sources, []byte(secret)))
	partition := func(i Identity) string {
		p, ok := identifier.Identify(identityRequest{i, sources})
		if !ok {
			t.Fatalf("no partition of %+v", i)
		}
		return "p:stats:" + p.ID
	}
	header := partition(Identity{Header: map[string]string{"authorization": "Bearer alice"}})
	cookie := partition(Identity{Cookie: map[string]string{"session": "s1"}})
	claim := partition(Identity{Claim: map[string]string{"sub": "alice", "iss": "https://issuer"}})
	bare := partition(Identity{Claim: map[string]string{"sub": "alice"}})
	property := partition(Identity{Property: map[string]string{"connection.uri_san_peer_certificate": "spiffe://a"}})
	tests := []struct{ name, body, want string }{
		{"header", `{"policy":"chat","rule":"save message","identity":{"header":{"Authorization":"Bearer alice"}}}`, "200 " + header + " c:models"},
		{"without the scheme", `{"rule":"save message","identity":{"header":{"authorization":"alice"}}}`, "200 " + header + " c:models"},
		{"cookie", `{"rule":"save message","identity":{"cookie":{"session":"s1","other":"x"}}}`, "200 " + cookie + " c:models"},
		{"claim", `{"rule":"save message","identity":{"jwt_authn_claim":{"sub":"alice","iss":"https://issuer"}}}`, "200 " + claim + " c:models"},
		{"property", `{"rule":"save message","identity":{"property":{"connection.uri_san_peer_certificate":"spiffe://a"}}}`, "200 " + property + " c:models"},
		{"a bare value", `{"rule":"save message","identity":{"value":"alice"}}`, "400 bad request: the policy has 4 identity sources, and a bare value doesn't say which: " +
			"want jwt_authn_claim:sub=VALUE, header:authorization=VALUE, cookie:session=VALUE, property:connection.uri_san_peer_certificate=VALUE"},
		{"several", `{"rule":"save message","identity":{"cookie":{"session":"s1"},"header":{"authorization":"alice"}}}`, "200 " + header + " " + cookie + " c:models"},
		{"a verified claim beside others", `{"rule":"save message","identity":{"jwt_authn_claim":{"sub":"alice"},"header":{"authorization":"alice"}}}`, "200 " + bare + " " + header + " c:models"},
		{"no identity", `{"rule":"save message"}`, "200 c:stats c:models"},
		{"scope all", `{"rule":"reset","identity":{"jwt_authn_claim":{"sub":"alice"}}}`, "200 c:stats"},
		{"nothing to identify", `{"rule":"save message","identity":{"header":{"x-other":"1"}}}`,
			`400 bad request: the identity has nothing that policy "chat" looks for: jwt_authn_claim sub (payload `},
		{"unknown rule", `{"rule":"save"}`, `404 not found: policy "chat" has no invalidation "save", it has "save message", "reset"`},
		{"unknown policy", `{"policy":"other","rule":"reset"}`, `404 not found: no document, proxy or key of Redis names policy "other": this bridge knows ["chat"].`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, body := call(w, "POST", "/v1/invalidate", "", []byte(tt.body))
			got := fmt.Sprint(status, " ", body)
			if status == 200 {
				groups := regexp.MustCompile(`"([*cnp]:?[^"]*)"`).FindAllStringSubmatch(body[strings.Index(body, "groups"):], -1)
				got = "200"
				for _, g := range groups {
					got += " " + g[1]
				}
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// partitionOf is what the bridge takes an identity for.
func partitionOf(w *world, who *Identity) string {
	w.t.Helper()
	p, _, err := w.identify(w.options.Policies[0], who)
	w.check(err)
	return p.ID
}

// The answer says as what the identity was taken, and what it may lack: the same claim with another issuer, or
// none, is somebody else.
func TestInvalidateTellsTheSource(t *testing.T) {
	w := newMemoryWorld(t, withPolicy(t))
	for _, tt := range []struct {
		who  Identity
		want Identified
	}{
		{Identity{Header: map[string]string{"authorization": "Bearer ada"}}, Identified{Sources: []string{"header authorization"}}},
		{Identity{Claim: map[string]string{"sub": "ada"}}, Identified{Sources: []string{"jwt_authn_claim sub"}, Note: withoutIssuer}},
		{Identity{Claim: map[string]string{"sub": "ada", "iss": "https://idp.example"}}, Identified{Sources: []string{"jwt_authn_claim sub"}}},
		{Identity{Header: map[string]string{"authorization": "Bearer ada"}, Cookie: map[string]string{"session": "s1"}},
			Identified{Sources: []string{"header authorization", "cookie session"}}},
	} {
		a := must(w.Invalidate(w.ctx, InvalidateRequest{Rule: "save message", Identity: &tt.who}))
		if diff := cmp.Diff(&tt.want, a.Identity); diff != "" {
			t.Error(diff)
		}
	}
}

// A policy's only source may be given by its value alone.
func TestInvalidateByABareValue(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) {
		withPolicy(t)(o)
		o.Policies[0] = parsePolicy(t, strings.Replace(document, `, {"header": "authorization"}, {"cookie": "session"}, {"property": ["connection", "uri_san_peer_certificate"]}`, "", 1))
	})
	for value, claim := range map[*Identity]map[string]string{
		{Value: "alice"}: {"sub": "alice"},
		{Value: "alice", Claim: map[string]string{"iss": "https://i"}}: {"sub": "alice", "iss": "https://i"},
	} {
		if got, want := partitionOf(w, value), partitionOf(w, &Identity{Claim: claim}); got != want {
			t.Errorf("%+v is %s, want %s of %v", value, got, want, claim)
		}
	}
}

func TestInvalidateInvalidates(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		alice, bob := &Identity{Claim: map[string]string{"sub": "alice"}}, &Identity{Claim: map[string]string{"sub": "bob"}}
		partition := partitionOf(w, alice)
		w.groups = wire.ReadGroups("stats", partition)
		w.fill(w.look().Ticket)
		_, err := w.Invalidate(w.ctx, InvalidateRequest{Rule: "save message", Identity: bob})
		w.check(err)
		w.want(wire.LookupHit, "somebody else's write")
		a, err := w.Invalidate(w.ctx, InvalidateRequest{Rule: "save message", Identity: alice})
		w.check(err)
		ticket := w.want(wire.LookupMiss, "alice's write").Ticket
		if a.Sequence != ticket.Sequence || a.Epoch != epochText(ticket.Epoch) || a.Policy != "chat" {
			t.Errorf("answer %+v, position %v", a, ticket)
		}
	})
}

// Where the proxies have another policy than the bridge, what a rule of theirs invalidates isn't known here: caches whose rules
// differ are invalidated whole, whoever's write it is.
func TestInvalidateByAnotherPolicyThanTheProxies(t *testing.T) {
	const rule = `"invalidate": ["stats", "models"]`
	for _, tt := range []struct{ name, old, new, secret, want string }{
		{"the same", "", "", secret, "p:stats:ID c:models"},
		{"another TTL", `"600s"`, `"60s"`, secret, "p:stats:ID c:models"},
		{"one cache more", `"invalidate": ["stats"], "scope": "all"`, `"invalidate": ["stats", "models"]`, secret, "p:stats:ID c:models c:stats"},
		{"one cache less, which is shared", rule, `"invalidate": ["stats"]`, secret, "p:stats:ID c:models"},
		{"another identity", `{"cookie": "session"}, `, "", secret, "p:stats:ID c:models c:stats"},
		{"another secret", "", "", secret + "!", "p:stats:ID c:models c:stats"},
		{"a cache that the bridge doesn't know", rule + "}", `"invalidate": ["stats", "models", "more"]}`, secret, "p:stats:ID c:models c:more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
				text := strings.Replace(document, tt.old, tt.new, 1)
				if strings.Contains(tt.new, "more") {
					text = strings.Replace(text, `"caches": {`, `"caches": {"more": {"match": ["GET /api/more"], "ttl": "1s", "shared": true},`, 1)
				}
				p := parsePolicy(t, text)
				knows, identifier := wire.Knows{Version: p.Version()}, must(policy.NewIdentifier(p.Identity, []byte(tt.secret)))
				for _, r := range p.Rules() {
					knows.Rules = append(knows.Rules, wire.CacheRules{Cache: r.Cache, Digest: identifier.RulesDigest(r.Digest)})
				}
				w.follow("vm-1", wire.Ticket{}, knows)
				who := &Identity{Claim: map[string]string{"sub": "alice"}}
				a, err := w.Invalidate(w.ctx, InvalidateRequest{Rule: "save message", Identity: who})
				w.check(err)
				if got := strings.ReplaceAll(strings.Join(a.Groups, " "), partitionOf(w, who), "ID"); got != tt.want {
					t.Errorf("raises %s, want %s", got, tt.want)
				}
			})
		})
	}
}

func TestInvalidateNeedsTheSecret(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { withPolicy(t)(o); o.PartitionSecret = "" })
	_, err := w.Invalidate(w.ctx, InvalidateRequest{Rule: "reset", Identity: &Identity{Value: "alice"}})
	wantError(t, err, ErrRequest)
	if !strings.Contains(fmt.Sprint(err), "CHATCACHE_PARTITION_SECRET") {
		t.Errorf("error %q doesn't say what to do", err)
	}
}

func TestPurge(t *testing.T) {
	onEachRedis(t, withPolicy(t), func(t *testing.T, w *world) {
		tests := []struct {
			r    PurgeRequest
			want wire.LookupState
		}{
			{PurgeRequest{All: true}, wire.LookupMiss},
			{PurgeRequest{Cache: "stats"}, wire.LookupMiss},
			{PurgeRequest{Cache: "stats", Partition: "alice"}, wire.LookupMiss},
			{PurgeRequest{Cache: "stats", Partition: "bob"}, wire.LookupHit},
			{PurgeRequest{Cache: "models"}, wire.LookupHit},
		}
		for _, tt := range tests {
			w.fill(w.look().Ticket)
			_, err := w.Purge(w.ctx, tt.r)
			w.check(err)
			w.want(tt.want, fmt.Sprintf("%+v", tt.r))
		}
		_, err := w.Purge(w.ctx, PurgeRequest{Cache: "stat"})
		wantError(t, err, ErrNotFound)
	})
}

// Where the bridge knows several policies, or none, an administrator says which.
func TestPolicyHasToBeNamed(t *testing.T) {
	w := newMemoryWorld(t, nil)
	_, err := w.Purge(w.ctx, PurgeRequest{All: true})
	if got := fmt.Sprint(err); got != `bad request: name a policy (--policy NAME, "policy"): this bridge has no document of one, and was asked about none` {
		t.Errorf("error %q", got)
	}
	for _, p := range []string{"chat", "files"} {
		w.of(p)
		w.look()
	}
	_, err = w.Purge(w.ctx, PurgeRequest{All: true})
	if got := fmt.Sprint(err); got != `bad request: name one of this bridge's policies (--policy NAME, "policy"): "chat", "files"` {
		t.Errorf("error %q", got)
	}
}

// What is set for a policy ahead of its first proxy leaves the one that proxies have at work the only one.
func TestPolicyAheadOfItsProxies(t *testing.T) {
	w := newMemoryWorld(t, nil)
	ahead := ControlsRequest{Policy: "next", NewPolicy: true, All: true, Set: ControlSettings{Off: true}}
	_, err := w.SetControls(w.ctx, ahead)
	w.check(err)
	if answer, err := w.Controls(w.ctx, ""); err != nil || answer.Policy != "next" {
		t.Errorf("while there is no other: %q, %v", answer.Policy, err)
	}
	w.look()
	if answer, err := w.Purge(w.ctx, PurgeRequest{All: true}); err != nil || answer.Policy != "chat" {
		t.Errorf("beside one that proxies ask about: %q, %v", answer.Policy, err)
	}
	if _, err := w.Controls(w.ctx, "next"); err != nil {
		t.Error("by its name:", err)
	}
	w.of("next")
	w.look()
	_, err = w.Purge(w.ctx, PurgeRequest{All: true})
	wantError(t, err, ErrRequest)
}

// A name that nothing else names is a typing error, unless it is said to be new: it isn't changed, and
// isn't known afterwards.
func TestMistypedPolicy(t *testing.T) {
	off := func(w *world, b *Bridge, policy string, isNew bool) error {
		_, err := b.SetControls(w.ctx, ControlsRequest{Policy: policy, NewPolicy: isNew, All: true, Set: ControlSettings{Off: true}})
		return err
	}
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		// Before any proxy there is nothing to compare a name with.
		if _, err := w.Controls(w.ctx, "chat-ap"); err != nil || len(w.policyNames()) > 0 {
			t.Errorf("asked for: %v, knows %q", err, w.policyNames())
		}
		_, err := w.Receipts(w.ctx, RaiseAnswer{Policy: "chat-ap", Epoch: "a", RaisedAt: 1}, "")
		wantError(t, err, ErrNotFound)
		w.check(off(w, w.Bridge, "chat-api", false))

		before := must(w.raw.Keys(w.ctx, "*").Result())
		for what, call := range map[string]func() error{
			"controls set": func() error { return off(w, w.Bridge, "chat-ap", false) },
			"purge":        func() error { _, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat-ap", All: true}); return err },
			"controls":     func() error { _, err := w.Controls(w.ctx, "chat-ap"); return err },
			"inspect":      func() error { _, err := w.Inspect(w.ctx, InspectRequest{Policy: "chat-ap", Key: "k"}); return err },
			"receipts": func() error {
				_, err := w.Receipts(w.ctx, RaiseAnswer{Policy: "chat-ap", Epoch: "a", RaisedAt: 1}, "")
				return err
			},
		} {
			err := call()
			if wantError(t, err, ErrNotFound); !strings.Contains(fmt.Sprint(err), `did you mean "chat-api"?`) {
				t.Errorf("%s: error %v", what, err)
			}
		}
		if names := w.policyNames(); len(names) != 1 || len(must(w.raw.Keys(w.ctx, "*").Result())) != len(before) {
			t.Errorf("the bridge knows %q, Redis %q", names, w.raw.Keys(w.ctx, "*").Val())
		}
		w.check(off(w, w.Bridge, "files", true))

		// Another bridge, which serves neither, finds both in Redis.
		other := newBridge(t, w.options)
		w.check(off(w, other, "files", false))
		w.check(off(w, other, "chat-api", false))
		wantError(t, off(w, other, "chat-ap", false), ErrNotFound)
	})
}

// A purge on a bridge that knows nothing of the policy begins its epoch with the
// longest quarantine there may be.
func TestPurgeFirst(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { o.Bootstrap = false })
	_, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})
	w.check(err)
	w.pass(wire.MaxQuarantine - 10)
	w.want(wire.LookupSuspended, "before the longest deadline, and what may come also after it")
	w.pass(20)
	w.want(wire.LookupMiss, "after it")
}

// someWork makes every counter count.
func someWork(w *world) {
	w.fill(w.look().Ticket)
	w.look()
	w.look()
	w.suspend("w1", 30_000, "c:stats", "p:search:alice")
	w.look()
	w.suspend("w2", 30_000, "p:stats:bob")
	w.close("w1", true, "c:stats", "p:search:alice")
	w.close("w2", false, "p:stats:bob")
	w.suspend("w3", 30_000, "c:models")
	must(w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true}))
	w.poll(wire.Ticket{}, 0)
	w.check(w.reports("vm-1", 1, "flags", 30))
	w.check(w.raw.Set(w.ctx, "{chatcache:files}:state", "not a hash", 0).Err())
	w.of("files")
	_, err := w.Lookup(w.ctx, wire.LookupRequest{Scope: w.scope, Key: w.key})
	wantError(w.t, err, ErrRedis)
	w.check(w.raw.Del(w.ctx, "{chatcache:files}:state").Err())
}

func TestStatusGolden(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { o.Clock = newStepClock() })
	someWork(w)
	status, body := call(w, "GET", "/v1/status", "", nil)
	body = regexp.MustCompile(`"epoch": "[0-9a-f]+"`).ReplaceAllString(body, `"epoch": "EPOCH"`)
	golden(t, "status.json", fmt.Sprint(status, "\n", body))
}

// While Redis is silent a status has empty lists, which whoever reads the JSON can go through: never null.
func TestStatusOfASilentRedis(t *testing.T) {
	w := newMemoryWorld(t, nil)
	someWork(w)
	w.silence()
	w.impatient()
	status, body := call(w, "GET", "/v1/status", "", nil)
	if status != 200 || !strings.Contains(body, `"ok": false`) || !strings.Contains(body, `"name": "chat"`) {
		t.Fatalf("%d\n%s", status, body)
	}
	if strings.Contains(body, "null") {
		t.Errorf("a null in\n%s", body)
	}
}

// A deadline that passes is an invalidation, too.
func TestRaisesAreCounted(t *testing.T) {
	onEachRedis(t, nil, func(t *testing.T, w *world) {
		w.suspend("w1", 60_000, "c:stats", "c:user")
		w.close("w1", true, "c:stats", "c:user")
		w.suspend("w2", 5, "c:stats")
		w.pass(10)
		w.look()
		if p := w.Status(w.ctx).Policies[0]; p.Raises != 2 || p.Sequence != 4 {
			t.Errorf("%d raises in %d events, want 2 in 4", p.Raises, p.Sequence)
		}
		// What somebody else made of the count can't stop invalidations.
		w.check(w.raw.HSet(w.ctx, "{chatcache:chat}:state", "raises", "many").Err())
		w.fill(w.look().Ticket)
		must(w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true}))
		w.want(wire.LookupMiss, "after a purge")
	})
}

// Whoever scrapes, Redis is asked once a second at most; when it doesn't answer that is told, too.
func TestMetricsOfASilentRedis(t *testing.T) {
	clock := &handClock{now: time.Unix(1_790_000_000, 0)}
	w := newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	w.look()
	up := func(want string) {
		t.Helper()
		if _, body := call(w, "GET", "/metrics", "", nil); !strings.Contains(body, "\nchatcache_bridge_redis_up "+want+"\n") {
			t.Errorf("want chatcache_bridge_redis_up %s:\n%s", want, body)
		}
	}
	up("1")
	w.silence()
	w.impatient()
	up("1")
	clock.now = clock.now.Add(standingAge)
	up("0")
}

func init() { version = "v1.4.0" } // as the linker does

func TestMetricsGolden(t *testing.T) {
	w := newMemoryWorld(t, func(o *Options) { o.Clock = newStepClock() })
	someWork(w)
	_, body := call(w, "GET", "/metrics", "", nil)
	golden(t, "metrics.txt", body)
}

func TestRealStatus(t *testing.T) {
	w := newRealWorld(t, nil)
	w.look()
	s := w.Status(w.ctx)
	if !s.Redis.OK || s.Redis.Mode != "standalone" || !regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(s.Redis.Version) || s.Redis.PingMS <= 0 {
		t.Errorf("redis: %+v", s.Redis)
	}
	// What it says of its keys is what it holds, others' too.
	w.check(w.raw.MSet(w.ctx, "a", 1, "b", 2, "c", 3).Err())
	if s, want := w.Status(w.ctx).Redis, w.raw.DBSize(w.ctx).Val(); s.Keys != want || want < 4 || s.MemoryBytes < 100_000 {
		t.Errorf("%d keys in %d bytes, want %d keys", s.Keys, s.MemoryBytes, want)
	}
}

// However many caches a filter names, the counters stay bounded.
func TestCountersAreBounded(t *testing.T) {
	var c counters
	for i := range 10 * maxCaches {
		c.cache(fmt.Sprint("c", i)).countStore(nil)
	}
	names := c.names()
	if len(names) != maxCaches+1 {
		t.Errorf("%d names", len(names))
	}
	if got := c.cache("other").stores.Load(); got != 9*maxCaches {
		t.Errorf("%d counted as other, want %d", got, 9*maxCaches)
	}
}

// The log of the bridge says that a filter was refused, where it is and what it lacks; its token isn't told.
func TestRefusedFiltersAreLogged(t *testing.T) {
	var out bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) {
		o.Insecure, o.Token, o.AdminToken, o.Log = false, "f1", "a1", logTo(&out, slog.LevelInfo)
	})
	for range 3 {
		if status, text := call(w, "POST", wire.PathLookup, "not-it", nil); status != 401 {
			t.Errorf("status %d, %s", status, text)
		}
	}
	want := `level=WARN msg="call failed" path=/v1/lookup error="unauthorized: wrong token, from 192.0.2.1: want the bridge's CHATCACHE_BRIDGE_TOKEN, or a token of its --token-file" omitted=0` + "\n"
	if out.String() != want {
		t.Errorf("log\n%s", out.String())
	}
}

// Logs tell of failures once a second, and hold neither keys nor tokens.
func TestFailureLog(t *testing.T) {
	var out bytes.Buffer
	log := logTo(&out, slog.LevelInfo)
	var f failureLog
	now := time.Unix(1_790_000_000, 0)
	for _, after := range []time.Duration{0, 10, 999, 1000, 1001, 2500} {
		f.log(log, now.Add(after*time.Millisecond), "/v1/lookup", "", ErrRedis)
	}
	want := "level=WARN msg=\"call failed\" path=/v1/lookup error=redis omitted=0\n" +
		"level=WARN msg=\"call failed\" path=/v1/lookup error=redis omitted=2\n" +
		"level=WARN msg=\"call failed\" path=/v1/lookup error=redis omitted=1\n"
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
