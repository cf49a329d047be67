package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatcache/redisbridge/wire"
)

const versioned = `{
  "version": 1, "name": "chat", "identity": [{"header": "authorization"}],
  "bridge": {"cluster": "b"},
  "caches": {
    "stats": {"match": ["GET /stats"], "ttl": "60s"},
    "user": {"match": ["GET /user"], "ttl": "60s"},
    "models": {"match": ["GET /models"], "ttl": "60s", "shared": true}
  },
  "invalidations": [
    {"name": "save", "match": ["POST /messages/{m}", "PUT /messages/{m}"], "invalidate": ["stats", "user"]},
    {"name": "rename", "match": ["POST /name"], "invalidate": ["user"]}
  ]
}`

func versionOf(t *testing.T, edits ...string) *Policy {
	t.Helper()
	text := versioned
	for i := 0; i < len(edits); i += 2 {
		if strings.Count(text, edits[i]) != 1 {
			t.Fatalf("%q isn't there once", edits[i])
		}
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	p, problems := Parse([]byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// Proxies may use a cache only while they agree on its rules: another digest where a request that
// invalidates it at one of them might not do so at the other, and the same where that can't be.
func TestRules(t *testing.T) {
	const after = `"invalidate": ["user"]}`
	rule := func(text string) []string { return []string{after, after + ", " + text} }
	tests := []rulesTest{
		{"another order", []string{`"POST /messages/{m}", "PUT /messages/{m}"`, `"PUT /messages/{m}", "POST /messages/{m}"`}, ""},
		{"another name and deadline", []string{`"name": "save"`, `"name": "store", "deadline": "20s"`}, ""},
		{"another ttl", []string{`"GET /stats"], "ttl": "60s"`, `"GET /stats"], "ttl": "61s"`}, ""},
		{"a rule more", rule(`{"name": "r", "match": ["POST /x"], "invalidate": ["stats"]}`), "stats"},
		{"of a cache without one", rule(`{"name": "r", "match": ["POST /x"], "invalidate": ["models"]}`), "models"},
		{"a pattern more", []string{`["POST /name"]`, `["POST /name", "PUT /name"]`}, "user"},
		{"a pattern less", []string{`, "PUT /messages/{m}"`, ``}, "stats user"},
		{"a cache less of a rule", []string{`"invalidate": ["stats", "user"]`, `"invalidate": ["stats"]`}, "user"},
		{"every partition", []string{`"name": "rename"`, `"name": "rename", "scope": "all"`}, "user"},
		{"once more later", []string{`"name": "rename"`, `"name": "rename", "also_after": "2s"`}, "user"},
		{"a status that says that nothing was written", []string{`"name": "rename"`, `"name": "rename", "unchanged_on": [500]`}, "user"},
		{"an origin that refuses who is nobody", []string{`"name": "rename"`, `"name": "rename", "origin_refuses_anonymous": true`}, "user"},
		{"other partitions", []string{`{"header": "authorization"}`, `{"cookie": "session"}`}, "stats user"},
		{"a rule that takes requests away", rule(`{"name": "r", "match": ["POST /messages/draft"], "invalidate": ["user"]}`), "stats user"},
		{"a cache that takes requests away",
			[]string{`"ttl": "60s", "shared": true}`, `"ttl": "60s", "shared": true}, "search": {"match": ["POST /messages/search"], "ttl": "60s", "body": {}}`}, "stats user"},
		{"a rule for other requests", rule(`{"name": "r", "match": ["POST /models"], "invalidate": ["user"]}`), "user"},
	}
	compareRules(t, versionOf(t), tests)
}

// A cache with "ttl": "origin" is invalidated by requests that no rule names, and with it in the policy responses to such
// requests name groups of every cache.
func TestRulesOfURIs(t *testing.T) {
	const models, end, rename = `"GET /models"], "ttl": "60s", "shared": true`, `"invalidate": ["user"]}`, `{"name": "rename"`
	compareRules(t, versionOf(t), []rulesTest{
		{"freshness left to the origin", []string{models, `"GET /models"], "ttl": "origin", "shared": true`}, "models stats user"},
		{"of a cache keyed by bodies", []string{models, `"POST /models"], "ttl": "origin", "shared": true, "body": {}`}, "models stats user"},
	})
	origin := []string{models, `"GET /models/{m}"], "ttl": "origin", "shared": true, "ignore_query": ["a", "b"]`, `"name": "save"`, `"name": "save", "unchanged_on": [507]`, rename, rename + `, "unchanged_on": [507]`}
	edit := func(at, with string) []string {
		edits := slices.Clone(origin)
		for i := 1; i < len(edits); i += 2 {
			if strings.Contains(edits[i], at) {
				edits[i] = strings.Replace(edits[i], at, with, 1)
				return edits
			}
		}
		return append(edits, at, with)
	}
	withoutRules := []string{models, `"GET /models"], "ttl": "origin", "shared": true`, versioned[strings.Index(versioned, `"invalidations"`):], `"collapse": true}`}
	compareRules(t, versionOf(t, withoutRules...), []rulesTest{
		{"hosts that are one", append([]string{`"GET /stats"], "ttl": "60s"`, `"GET /stats"], "ttl": "60s", "authority": "ignore"`}, withoutRules...), "stats"},
	})
	compareRules(t, versionOf(t, origin...), []rulesTest{
		{"another ttl", edit(`"GET /stats"], "ttl": "60s"`, `"GET /stats"], "ttl": "61s"`), ""},
		{"another bound", edit(`"ttl": "origin"`, `"ttl": "origin", "max_ttl": "1h"`), ""},
		{"another order", edit(`["a", "b"]`, `["b", "a"]`), ""},
		{"a status that says that nothing was written, without a rule", edit(`"version": 1`, `"version": 1, "unchanged_on": [500]`), "models"},
		{"other URIs", edit(`/models/{m}`, `/models`), "models"},
		{"other URIs that are one", edit(`["a", "b"]`, `["a"]`), "models"},
		{"hosts that are one", edit(`"ttl": "origin"`, `"ttl": "origin", "authority": "ignore"`), "models"},
		{"a cache that takes URIs away", edit(`"GET /user"]`, `"GET /user", "GET /models/mine"]`), "models"},
		{"a cache with other URIs", edit(`"GET /user"]`, `"GET /user", "GET /mine"]`), ""},
		{"a rule for its URIs", edit(end, end+`, {"name": "r", "match": ["PUT /models/{m}"], "invalidate": ["user"]}`), "models user"},
		{"a rule for other URIs", edit(end, end+`, {"name": "r", "match": ["PUT /model/{m}"], "invalidate": ["user"]}`), "user"},
	})
}

// Where responses belong to groups, any rule's writes may name them.
func TestRulesOfNamedGroups(t *testing.T) {
	const end, groups = `"invalidate": ["user"]}`, `"version": 1, "group_headers": ["Surrogate-Key"]`
	rule := end + `, {"name": "r", "match": ["PUT /other"], "invalidate": ["user"]}`
	every := []string{`"GET /models"], "ttl": "60s"`, `"GET /models"], "ttl": "60s", "authority": "ignore"`}
	compareRules(t, versionOf(t), []rulesTest{
		{"group headers", []string{`"version": 1`, groups}, "models stats user"},
		{"responses of every authority", every, "models"},
	})
	compareRules(t, versionOf(t, `"version": 1`, groups), []rulesTest{
		{"a rule", []string{`"version": 1`, groups, end, rule}, "models stats user"},
		{"once more later", []string{`"version": 1`, groups, `"name": "rename"`, `"name": "rename", "also_after": "2s"`}, "models stats user"},
		{"responses of every authority", append([]string{`"version": 1`, groups}, every...), "models"},
		{"another ttl", []string{`"version": 1`, groups, `"GET /stats"], "ttl": "60s"`, `"GET /stats"], "ttl": "61s"`}, ""},
	})
}

// Another release with the same policy has the same digests: during an upgrade no cache waits.
func TestRulesStayTheSame(t *testing.T) {
	want := []wire.CacheRules{{Cache: "stats", Digest: "d0e8e52341f09af4"}, {Cache: "user", Digest: "ec871084c7cb6d7e"}}
	if diff := cmp.Diff(want, versionOf(t).Rules()); diff != "" {
		t.Error(diff)
	}
}

type rulesTest = struct {
	name    string
	edits   []string
	changed string // caches whose digests are others
}

func compareRules(t *testing.T, plain *Policy, tests []rulesTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			other := versionOf(t, tt.edits...)
			if diff := cmp.Diff(tt.changed, strings.Join(changedRules(plain.Rules(), other.Rules()), " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// changedRules lists the caches whose digests differ, in order.
func changedRules(a, b []wire.CacheRules) (list []string) {
	digests := map[string]string{}
	for _, r := range a {
		digests[r.Cache] = r.Digest
	}
	for _, r := range b {
		if digests[r.Cache] != r.Digest {
			list = append(list, r.Cache)
		}
	}
	return list
}
