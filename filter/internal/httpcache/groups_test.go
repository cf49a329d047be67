package httpcache_test

import (
	"slices"
	"testing"

	"chatcache/filter/internal/httpcache"
)

func TestGroups(t *testing.T) {
	for _, test := range []struct {
		lines []string
		want  []string
		ok    bool
	}{
		{nil, nil, true},
		{[]string{`"a"`}, []string{"a"}, true},
		{[]string{`"a", "b c";x=1`, `"a"`}, []string{"a", "b c"}, true},
		{[]string{``}, nil, true},
		{[]string{`a`}, nil, false},
		{[]string{`"a", 1`}, nil, false},
		{[]string{`("a" "b")`}, nil, false},
		{[]string{`"a`}, nil, false},
	} {
		var f httpcache.Fields
		for _, line := range test.lines {
			f = append(f, [2]string{"cache-groups", line})
		}
		if got, ok := f.Groups("cache-groups"); !slices.Equal(got, test.want) || ok != test.ok {
			t.Errorf("%q: %q, %v", test.lines, got, ok)
		}
	}
}

func TestTags(t *testing.T) {
	f := httpcache.Fields{{"surrogate-key", "a  b,c"}, {"surrogate-key", "a d"}, {"cache-tag", "a b, c,,"}, {"xkey", "x"}}
	for name, want := range map[string][]string{
		"surrogate-key": {"a", "b", "c", "d"}, "cache-tag": {"a b", "c"}, "xkey": {"x"}, "other": nil,
	} {
		if got := f.Tags(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func FuzzGroups(f *testing.F) {
	f.Add(`"a", "b c";x=1`)
	f.Add(`("a" "b")`)
	f.Fuzz(func(t *testing.T, list string) {
		fields := httpcache.Fields{{"cache-groups", list}, {"cache-groups", `"last"`}}
		if groups, ok := fields.Groups("cache-groups"); ok && !slices.Contains(groups, "last") {
			t.Errorf("%q hides the last group: %q", list, groups)
		}
		fields.Tags("cache-groups")
	})
}
