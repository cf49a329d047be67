package policy

import (
	"slices"
	"strings"
	"testing"

	"chatcache/policy/internal/strictjson"
)

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
		{"another order of caches named", []string{`"stats", "user"`, `"user", "stats"`}, true},
		{"a number as Envoy writes it", []string{`"version": 1`, `"version": 1.0`}, true},
		{"white space", []string{`"name": "chat"`, `"name":"chat"`}, true},
		{"another order of members", []string{`"version": 1, "name": "chat"`, `"name": "chat", "version": 1`}, true},
	} {
		if got := versionOf(t, tt.edits...).Version(); got == plain != tt.same {
			t.Errorf("%s: version %s, it was %s", tt.name, got, plain)
		}
	}
}

// Whatever is said in a policy is part of its version, also what the language has only since yesterday; but
// what the documentation of Version leaves out.
func TestVersionHasEveryField(t *testing.T) {
	documents := map[string]string{ // of each kind of object
		"policy": `{FIELD}`, "l1": `{"l1": {FIELD}}`, "collapse": `{"collapse": {FIELD}}`, "host": `{"host": {FIELD}}`,
		"bridge": `{"bridge": {FIELD}}`, "breaker": `{"bridge": {"breaker": {FIELD}}}`,
		"identity": `{"identity": [{FIELD}]}`, "cache": `{"caches": {"c": {FIELD}}}`, "body": `{"caches": {"c": {"body": {FIELD}}}}`,
		"verify": `{"caches": {"c": {"verify": {FIELD}}}}`, "prefetch": `{"caches": {"c": {"prefetch": {FIELD}}}}`,
		"invalidation": `{"invalidations": [{FIELD}]}`,
	}
	without := []string{"policy/bridge", "policy/partition_secret", "l1/max_bytes"}
	for kind, fields := range language {
		for _, field := range fields {
			versions := map[string]bool{}
			for _, text := range []string{"", `"FIELD": "1"`, `"FIELD": "2"`, `"FIELD": 1`, `"FIELD": true`, `"FIELD": []`, `"FIELD": ["1"]`, `"FIELD": ["2"]`, `"FIELD": ["1", "2"]`, `"FIELD": {"1": "1"}`} {
				document, err := strictjson.Parse([]byte(strings.ReplaceAll(strings.Replace(documents[kind], "FIELD", text, 1), "FIELD", field)))
				if err != nil {
					t.Fatalf("%s: %v: does the test have a document with such an object?", kind, err)
				}
				versions[version(&document)] = true
			}
			want := 10
			if slices.Contains(without, kind+"/"+field) || kind == "bridge" || kind == "breaker" {
				want = 1
			}
			if len(versions) != want {
				t.Errorf("%s of %s: %d versions of 10 values, want %d", field, kind, len(versions), want)
			}
		}
	}
}

// Two lists that aren't the same don't look so because their elements run together, and order counts where it means something.
func TestVersionTellsListsApart(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{
		`{"identity": [{"header": "a"}, {"cookie": "b"}]}`, `{"identity": [{"cookie": "b"}, {"header": "a"}]}`, `{"identity": [{"header": "a", "cookie": "b"}]}`,
		`{"targeted_cache_control": ["a", "b"]}`, `{"targeted_cache_control": ["b", "a"]}`, `{"targeted_cache_control": ["ab"]}`, `{"targeted_cache_control": [["a"], "b"]}`,
		`{"invalidations": [{"match": ["a", "b"]}, {"match": ["c"]}]}`, `{"invalidations": [{"match": ["a"]}, {"match": ["b", "c"]}]}`,
	} {
		document, err := strictjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		v := version(&document)
		if other, ok := seen[v]; ok {
			t.Errorf("%s and %s have one version", text, other)
		}
		seen[v] = text
	}
}
