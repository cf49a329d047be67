package policy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/txtar"
)

func TestFreshness(t *testing.T) {
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "targeted_cache_control": ["Mine", "CDN-Cache-Control"],
		"caches": {
			"a": {"match": ["GET /a"], "shared": true, "ttl": "origin"},
			"b": {"match": ["GET /b"], "shared": true, "ttl": "origin", "max_ttl": "1h", "keep_stale": "0s", "stale_if_error": "2h",
				"status_ttl": {"404": "5s", "500": "0s"}},
			"c": {"match": ["GET /c"], "shared": true, "ttl": "60s", "ttl_jitter": "10%", "status_ttl": {"404": "5s"}, "keep_stale": "30s", "stale_while_revalidate": "0s"}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	type freshness struct {
		ttl, longest time.Duration
		origin       bool
		jitter       int
		stale        Stale
	}
	for i, want := range []freshness{
		{24 * time.Hour, 48 * time.Hour, true, 0, Stale{10 * time.Minute, -1, -1}},
		{time.Hour, 3 * time.Hour, true, 0, Stale{0, -1, 2 * time.Hour}},
		{time.Minute, 90 * time.Second, false, 10, Stale{30 * time.Second, 0, -1}},
	} {
		c := p.Caches[i]
		if got := (freshness{c.TTL, c.longest(), c.Origin, c.Jitter, c.Stale}); got != want {
			t.Errorf("%s: %+v, want %+v", c.Name, got, want)
		}
	}
	for _, test := range []struct {
		cache  int
		status uint32
		ttl    time.Duration
		ruled  bool
	}{{0, 200, 24 * time.Hour, false}, {0, 404, 24 * time.Hour, false}, {1, 404, 5 * time.Second, true}, {1, 500, 0, true},
		{2, 200, time.Minute, true}, {2, 404, 5 * time.Second, true}, {2, 500, 0, true}} {
		if ttl, ruled, _ := p.Caches[test.cache].TTLOf(test.status); ttl != test.ttl || ruled != test.ruled {
			t.Errorf("cache %d, status %d: %v, %v", test.cache, test.status, ttl, ruled)
		}
	}
	if diff := cmp.Diff([]string{"mine", "cdn-cache-control"}, p.Targets); diff != "" {
		t.Error(diff)
	}
	if p.Caches[0].Definition == mustParse(t, `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {"a": {"match": ["GET /a"], "shared": true, "ttl": "60s"}}}`).Caches[0].Definition {
		t.Error("what a rule's TTL was stored for may be used as the origin's")
	}
}

func TestDefaults(t *testing.T) {
	p, problems := Parse([]byte(`{"version": 1.0, "name": "p", "bridge": {"cluster": "b"}, "identity": [{"header": "X-Token"}],
		"caches": {"c": {"match": ["GET /c"], "ttl": "1h30m"}, "b": {"match": ["POST /b"], "ttl": "0s", "body": {}}},
		"invalidations": [{"name": "w", "match": ["PUT /c"], "invalidate": ["c", "b"]}]}`))
	if problems != nil {
		t.Fatal(problems)
	}
	none := Stale{WhileRevalidate: -1, IfError: -1}
	b := &Cache{Name: "b", Stale: none, L1: true, Collapse: true, Body: &Body{MaxBytes: 64 << 10}, MaxResponse: 1 << 20}
	c := &Cache{Name: "c", Stale: none, Index: 1, TTL: 90 * time.Minute, L1: true, Collapse: true, MaxResponse: 1 << 20}
	want := &Policy{
		Name: "p", Targets: []string{"cdn-cache-control"}, Identity: []Source{{Kind: SourceHeader, Name: "x-token"}},
		Bridge: Bridge{Cluster: "b", Authority: "b", Timeout: 50 * time.Millisecond,
			Breaker: Breaker{Failures: 5, Open: time.Second}},
		L1:       L1{Enabled: true, MaxBytes: 32 << 20, MaxStaleness: 3 * time.Second},
		Collapse: Collapse{Enabled: true, MaxWait: 2 * time.Second},
		Caches:   []*Cache{b, c}, MaxResponse: 1 << 20, StreamAbove: 1 << 20,
		Invalidations: []*Invalidation{{Name: "w", Caches: []*Cache{c, b}, Deadline: 15 * time.Second, Settle: 10 * time.Second}},
	}
	if diff := cmp.Diff(want, p, cmpopts.IgnoreUnexported(Policy{}, Cache{}, Invalidation{}, Body{}, Verify{}, Prefetch{}), cmpopts.IgnoreFields(Cache{}, "Definition")); diff != "" {
		t.Error(diff)
	}
	if p.MaxTTL() != 90*time.Minute || p.MaxDeadline() != 15*time.Second {
		t.Errorf("longest TTL %v, longest deadline %v", p.MaxTTL(), p.MaxDeadline())
	}
	if w := p.Warnings(); len(w) != 1 || w[0].ID != NoBodies {
		t.Errorf("warnings %v", w)
	}
	if (&Policy{}).MaxDeadline() != 15*time.Second {
		t.Error("a policy without rules has another longest deadline")
	}
}

func TestEverything(t *testing.T) {
	p, problems := Parse([]byte(everything))
	if problems != nil {
		t.Fatal(problems)
	}
	if !p.Bodies || !p.UpstreamHTTP2 || p.PartitionSecret == "" || p.Bridge.Token == "" || p.L1.MaxBytes != 4096 || p.Collapse.MaxWait != 30*time.Second || p.MaxResponse != 7<<20 || p.StreamAbove != 2<<20 {
		t.Errorf("%+v", p)
	}
	c := p.Cache("c")
	if c.L1 || c.Collapse || !c.IgnoreAuthority || c.MaxResponse != 10 || len(c.IgnoreQuery) != 1 || c.Headers[0] != "accept" || len(c.Verify.Ignore) != 2 || p.Loopback != "self" {
		t.Errorf("%+v", c)
	}
	if f := c.Prefetch; f.Parameter != "page" || f.First != 0 || f.Step != 10000 || f.Next != "/next" || f.More != "/more" {
		t.Errorf("%+v", f)
	}
	i := p.Invalidation("w")
	if !i.All || !i.Refuse || !i.RaiseOn4xx || i.Deadline != time.Minute || i.Settle != time.Second || i.AlsoAfter != 100*time.Millisecond {
		t.Errorf("%+v", i)
	}
	var names []string
	for _, s := range p.Identity {
		names = append(names, s.String())
	}
	want := []string{"jwt_authn_claim sub (payload p)", "header x-user", "cookie sid", "jwt_claim sub (header x-token, unverified)", "property connection.uri_san_peer_certificate"}
	if !reflect.DeepEqual(names, want) {
		t.Errorf("sources %q", names)
	}
}

// everything uses every field of the language.
const everything = `{"version": 1, "name": "p", "partition_secret": "0123456789abcdef", "max_response": "7MiB", "stream_above": "2MiB",
	"bridge": {"cluster": "b", "authority": "a", "timeout": "5s", "token": "t",
		"breaker": {"failures": 1000, "open": "60s"}}, "l1": {"max_bytes": "4KiB", "max_staleness": "300ms"},
	"collapse": {"max_wait": "30s"},
	"host": {"allow_on_headers_stop_iteration": true, "upstream_http2": true, "loopback_cluster": "self"},
	"identity": [{"jwt_authn_claim": "sub", "payload": "p"}, {"header": "X-User"}, {"cookie": "sid"},
		{"jwt_claim": "sub", "header": "X-Token", "unverified": true}, {"property": ["connection", "uri_san_peer_certificate"]}],
	"caches": {"c": {"match": ["GET h/c/{$}", "GET /c/{x}/{y...}"], "ttl": "720h", "shared": true, "l1": false, "collapse": false, "authority": "ignore",
			"ignore_query": ["_ts"], "headers": ["Accept"], "max_response": "10", "verify": {"ignore": ["/meta/ts", "/items/*/a~1b"]},
			"prefetch": {"parameter": "page", "first": 0, "step": 10000, "next": "/next", "more": "/more"}},
		"b": {"match": ["POST /b"], "ttl": "1s", "body": {"ignore": ["a.b", "c"], "max_bytes": "1MiB"}}},
	"invalidations": [{"name": "w", "match": ["PATCH /w", "PURGE /w/"], "invalidate": ["c", "b"], "scope": "all", "deadline": "60s",
		"settle": "1s", "also_after": "100ms", "unreachable": "refuse", "raise_on_4xx": true, "unchanged_on": []}]}`

// Istio's names for clusters can't be sent as an authority.
func TestAuthorityOfACluster(t *testing.T) {
	for cluster, want := range map[string]string{
		"redis-bridge":                       "redis-bridge",
		"outbound|8470||bridge.chat.svc":     "bridge.chat.svc",
		"outbound|8470|v1|bridge.chat.svc":   "bridge.chat.svc",
		`x", "authority": "bridge.example`:   "bridge.example",
		`a|b", "authority": "bridge.example`: "bridge.example",
	} {
		p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "` + cluster + `"},
			"caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true}}}`))
		if problems != nil || p.Bridge.Authority != want {
			t.Errorf("%s: authority %v, want %q (%v)", cluster, p, want, problems)
		}
	}
}

// TestProblems holds the whole text of every diagnostic. Each file of testdata/problems.txtar is a policy
// followed by a line "---" and what is wrong with it, as Envoy's log shows it. UPDATE=1 writes them anew.
func TestProblems(t *testing.T) {
	const name = "testdata/problems.txtar"
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range archive.Files {
		doc, want, _ := strings.Cut(string(f.Data), "\n---\n")
		p, problems := Parse([]byte(doc))
		got := ""
		if problems != nil {
			got = problems.Error() + "\n"
		}
		if (p == nil) != (problems != nil) {
			t.Errorf("%s: policy %v, problems %v", f.Name, p, problems)
		}
		if got != want {
			t.Errorf("%s: found\n%s\nwant\n%s", f.Name, got, want)
		}
		archive.Files[i].Data = []byte(doc + "\n---\n" + got)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(filepath.FromSlash(name), txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLimits: documents and lists beyond their limits are refused without being worked through.
func TestLimits(t *testing.T) {
	if _, problems := Parse(make([]byte, maxDocument+1)); len(problems) != 1 || problems[0].ID != TooLarge {
		t.Errorf("document: %v", problems)
	}
	var patterns []string
	for i := range maxPatterns + 2 {
		patterns = append(patterns, "POST /a"+strings.Repeat("a", i%40)+strings.Repeat("/b", i/40))
	}
	_, problems := rulesPolicy(t, patterns...)
	if len(problems) != 1 || problems[0].ID != TooLarge {
		t.Errorf("rules: %.300v", problems)
	}
	if _, problems := rulesPolicy(t, "POST "+strings.Repeat("/a", maxSegments), "POST "+strings.Repeat("/b", maxSegments-1)+"/"); problems != nil {
		t.Errorf("patterns of %d segments: %v", maxSegments, problems)
	}
	_, problems = rulesPolicy(t, "POST "+strings.Repeat("/a", maxSegments+1), "POST "+strings.Repeat("/b", maxSegments)+"/")
	if len(problems) != 2 || problems[0].ID != TooLarge || problems[1].ID != TooLarge || problems[0].Wanted != "a pattern has at most 64 segments" {
		t.Errorf("patterns of %d segments: %v", maxSegments+1, problems)
	}
}

// TestDefinition: it changes with what keys and owners mean, and with nothing else.
func TestDefinition(t *testing.T) {
	parse := func(replace ...string) *Policy {
		t.Helper()
		p, problems := Parse([]byte(strings.NewReplacer(replace...).Replace(everything)))
		if problems != nil {
			t.Fatal(problems)
		}
		return p
	}
	c, b := parse().Cache("c").Definition, parse().Cache("b").Definition
	if len(c) != 16 || c == b {
		t.Errorf("definitions %q and %q", c, b)
	}
	for _, test := range []struct {
		from, to                string
		sharedChanged, bChanged bool
	}{
		{`"720h"`, `"1h"`, false, false},
		{`"ttl": "1s"`, `"ttl": "2s"`, false, false},
		{`"GET h/c/{$}", `, ``, false, false},
		{`"max_response": "10"`, `"max_response": "11"`, false, false},
		{`"/meta/ts", `, ``, false, false},
		{`"step": 10000`, `"step": 1`, false, false},
		{`"max_bytes": "1MiB"`, `"max_bytes": "1KiB"`, false, false},
		{`"a.b", "c"`, `"c", "a.b"`, false, false},
		{`"a.b", "c"`, `"a.b", "d"`, false, true},
		{`["_ts"]`, `["_t"]`, true, false},
		{`["Accept"]`, `["Accept-Language"]`, true, false},
		{`"authority": "ignore"`, `"authority": "key"`, true, false},
		{`"shared": true`, `"shared": false`, true, false},
		{`{"cookie": "sid"},`, ``, false, true},
		{`"payload": "p"`, `"payload": "q"`, false, true},
		{`0123456789abcdef`, `fedcba9876543210`, false, false},
		{`"version"`, `"group_headers": [], "version"`, false, false},
		{`"version"`, `"group_headers": ["Surrogate-Key"], "version"`, true, true},
	} {
		p := parse(test.from, test.to)
		if changed := p.Cache("c").Definition != c; changed != test.sharedChanged {
			t.Errorf("%s → %s: the shared cache's definition changed: %v", test.from, test.to, changed)
		}
		if changed := p.Cache("b").Definition != b; changed != test.bChanged {
			t.Errorf("%s → %s: the private cache's definition changed: %v", test.from, test.to, changed)
		}
	}
}

// FuzzParse: nothing panics, problems are complete, and what parses has only values within the bounds.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	if doc, err := os.ReadFile("../envoy/chat.policy.json"); err == nil {
		f.Add(doc)
	}
	if archive, err := txtar.ParseFile("testdata/problems.txtar"); err == nil {
		for _, file := range archive.Files {
			doc, _, _ := strings.Cut(string(file.Data), "\n---\n")
			f.Add([]byte(doc))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, problems := Parse(doc)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("policy %v, problems %v", p, problems)
		}
		last := 0
		for _, problem := range problems {
			if problem.ID == "" || problem.Wanted == "" || problem.Offset < last || problem.Offset > len(doc) {
				t.Fatalf("problem %+v", problem)
			}
			last = problem.Offset
		}
		if p == nil {
			return
		}
		again, _ := Parse(doc)
		if !reflect.DeepEqual(p, again) {
			t.Fatal("a second reading differs")
		}
		if p.MaxTTL() > maxTTL || p.MaxDeadline() > maxDeadline+maxAlsoAfter || p.Bridge.Timeout > maxTimeout || p.Collapse.MaxWait > maxWait || p.MaxResponse > maxResponse {
			t.Fatalf("beyond the bounds: %+v", p)
		}
	})
}

// TestDeadlineIsAtLeastSettle: a suspension that was asked for before the call that sets settle, and is
// executed after it, must not end sooner.
func TestDeadlineIsAtLeastSettle(t *testing.T) {
	for _, test := range []struct {
		terms string
		want  time.Duration
	}{
		{`"deadline": "2s", "settle": "5s"`, 5 * time.Second},
		{`"deadline": "5s", "settle": "2s"`, 5 * time.Second},
		{`"deadline": "2s"`, 10 * time.Second},
	} {
		p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"},
			"caches": {"c": {"match": ["GET /"], "ttl": "1s", "shared": true}},
			"invalidations": [{"name": "w", "match": ["POST /"], "invalidate": ["c"], ` + test.terms + `}]}`))
		if problems != nil {
			t.Fatal(problems)
		}
		if got := p.Invalidations[0].Deadline; got != test.want {
			t.Errorf("%s: a deadline of %v, want %v", test.terms, got, test.want)
		}
	}
}

func mustParse(t *testing.T, document string) *Policy {
	t.Helper()
	p, problems := Parse([]byte(document))
	if problems != nil {
		t.Fatal(problems)
	}
	return p
}
