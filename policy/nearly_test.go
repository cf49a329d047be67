package policy

import (
	"strings"
	"testing"
)

// What is nearly right gets a message that says what to write.
func TestNearlyRight(t *testing.T) {
	const start = `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, `
	for doc, want := range map[string]string{
		start + `"caches": {"c": {"match": ["GET https://api.example.com/stats"], "ttl": "1s", "shared": true}}}`: "leave https:// out",
		start + `"caches": {}}`:             "a policy has at least one cache",
		"{\"version\": 1, \"name\": \"p,\n": "the string isn't closed on this line",
		start + `"caches": {}, "invalidations": [{"name": "w", "match": ["POST /x"], "invalidate": ["c"]}]}`: "there is no such cache",
	} {
		_, problems := Parse([]byte(doc))
		if text := problems.Error(); !strings.Contains(text, want) || strings.Contains(text, "the caches are") {
			t.Errorf("%s:\n%s", doc, text)
		}
	}
	p, problems := Parse([]byte(strings.Replace(start, `"b"`, `"http://127.0.0.1:8470"`, 1) +
		`"caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true}}}`))
	if len(problems) > 0 || len(p.Warnings()) != 1 || p.Warnings()[0].ID != NoCluster {
		t.Errorf("%v", problems)
	}
}
