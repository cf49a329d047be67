package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestReadPrefixes(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		want     []string
	}{
		{[]string{"GET /a/b", "GET /a/b/{x}", "GET /c/{x}/d", "POST /e", "GET /a b/{$}", "GET /f/"}, []string{"/a b/", "/a/b", "/c/", "/f/"}},
		{[]string{"GET /a", "GET h.example/{x}"}, []string{"/"}},
		{[]string{"GET /a/{rest...}", "GET h.example/a/b"}, []string{"/a/"}},
		{[]string{"GET /a", "GET /ab", "GET /ac", "GET /b"}, []string{"/a", "/b"}},
	} {
		p, problems := rulesPolicy(t, c.patterns...)
		if problems != nil {
			t.Fatal(problems)
		}
		got := slices.DeleteFunc(p.ReadPrefixes(), func(s string) bool { return s == "/none" }) // rulesPolicy's own
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.patterns, got, c.want)
		}
	}
	without, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {"q": {"match": ["POST /q"], "ttl": "1s", "shared": true, "body": {"max_bytes": "1KiB"}}}}`))
	if got := without.ReadPrefixes(); problems != nil || got != nil {
		t.Errorf("without a rule for GET: got %q, %v", got, problems)
	}
}

// TestNoReadOfARuleIsElsewhere: no rule matches a read without a percent sign that begins with none of the prefixes.
func TestNoReadOfARuleIsElsewhere(t *testing.T) {
	elsewhere, matching := 0, 0
	for seed := range uint64(5_000) {
		r := rand.New(rand.NewPCG(seed, 0))
		var patterns []string
		for range 1 + r.IntN(3) {
			patterns = append(patterns, randomPattern(r))
		}
		p, problems := rulesPolicy(t, patterns...)
		if problems != nil {
			continue // patterns that conflict
		}
		prefixes := p.ReadPrefixes()
		for range 30 {
			path := randomPath(r, somePathSegments)
			cache, rule := p.Match([]string{"GET", "HEAD"}[r.IntN(2)], "h.example", path)
			begins := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
			switch {
			case strings.Contains(path, "%"):
			case !begins && (cache != nil || rule != nil):
				t.Errorf("patterns %q: %s matches, and begins with none of %q", patterns, path, prefixes)
			case !begins:
				elsewhere++
			case cache != nil:
				matching++
			}
		}
	}
	if elsewhere < 1000 || matching < 1000 {
		t.Errorf("%d paths begin with none, %d match: want 1000 of each", elsewhere, matching)
	}
}
