package policy

import (
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
	tests := []struct {
		name    string
		edits   []string
		changed string // caches whose digests are others
	}{
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
		{"other partitions", []string{`{"header": "authorization"}`, `{"cookie": "session"}`}, "stats user"},
		{"a rule that takes requests away", rule(`{"name": "r", "match": ["POST /messages/draft"], "invalidate": ["user"]}`), "stats user"},
		{"a cache that takes requests away",
			[]string{`"ttl": "60s", "shared": true}`, `"ttl": "60s", "shared": true}, "search": {"match": ["POST /messages/search"], "ttl": "60s", "body": {}}`}, "stats user"},
		{"a rule for other requests", rule(`{"name": "r", "match": ["POST /models"], "invalidate": ["user"]}`), "user"},
	}
	plain := versionOf(t)
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

func TestVersion(t *testing.T) {
	plain := versionOf(t).Version()
	for _, tt := range []struct {
		name  string
		edits []string
		same  bool
	}{
		{"another order", []string{`"POST /messages/{m}", "PUT /messages/{m}"`, `"PUT /messages/{m}", "POST /messages/{m}"`}, true},
		{"how the bridge is reached", []string{`"cluster": "b"`, `"cluster": "c", "timeout": "20ms"`}, true},
		{"a secret", []string{`"name": "chat"`, `"name": "chat", "partition_secret": "0123456789abcdef"`}, true},
		{"another ttl", []string{`"GET /stats"], "ttl": "60s"`, `"GET /stats"], "ttl": "61s"`}, false},
		{"a pattern of a cache", []string{`"GET /user"`, `"GET /me"`}, false},
		{"what a key is made of", []string{`"GET /stats"]`, `"GET /stats"], "ignore_query": ["_ts"]`}, false},
		{"a rule", []string{`"POST /name"`, `"POST /names"`}, false},
	} {
		if got := versionOf(t, tt.edits...).Version(); got == plain != tt.same {
			t.Errorf("%s: version %s, it was %s", tt.name, got, plain)
		}
	}
}
