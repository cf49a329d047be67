package policy

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestMeetings: what is found are the patterns that comparing each with each finds.
func TestMeetings(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	met := 0
	for range 300 {
		index, patterns := meetings{}, somePatterns(t, r)
		for place, p := range patterns {
			index.add(p, place)
		}
		for _, p := range patterns {
			checkMeetings(t, patterns, p, "of its host", index.ofHost(p), func(other *pattern) bool { return other.method == p.method && other.host == p.host })
			sameHost := func(other *pattern) bool { return other.host == p.host || other.host == "" || p.host == "" }
			checkMeetings(t, patterns, p, "of its requests", index.ofRequests(p), func(other *pattern) bool { return other.method == p.method && sameHost(other) })
			ofURIs := index.ofURIs(p)
			met += len(ofURIs) - 1
			slices.Sort(ofURIs)
			checkMeetings(t, patterns, p, "of its URIs", ofURIs, sameHost)
		}
	}
	if met < 1000 {
		t.Errorf("%d meetings, want at least 1000", met)
	}
}

func somePatterns(t *testing.T, r *rand.Rand) (patterns []*pattern) {
	for range 1 + r.IntN(30) {
		p, err := parsePattern(randomPattern(r))
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	return patterns
}

func checkMeetings(t *testing.T, patterns []*pattern, p *pattern, what string, got []int, counts func(other *pattern) bool) {
	t.Helper()
	var want []int
	for place, other := range patterns {
		if counts(other) && comparePaths(p, other) != disjoint {
			want = append(want, place)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q meets %d %s, want %d", p.text, got, what, want)
	}
}

// TestTheFirstConflictIsNamed: of several patterns that a new one conflicts with a problem names the one that stands first.
func TestTheFirstConflictIsNamed(t *testing.T) {
	for _, patterns := range [][]string{
		{"POST /{x}/b/c", "POST /a/d/{y}", "POST /a/{z}/c"},
		{"POST /a/d/{y}", "POST /{x}/b/c", "POST /a/{z}/c"},
	} {
		_, problems := rulesPolicy(t, patterns...)
		want := "it and " + quote(patterns[0]) + " of the invalidation " + patterns[0] + " match the same requests, and neither is more specific"
		if len(problems) != 1 || problems[0].ID != Conflict || problems[0].Wanted != want {
			t.Errorf("%q: %v, want: %s", patterns, problems, want)
		}
	}
}
