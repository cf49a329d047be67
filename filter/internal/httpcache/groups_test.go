package httpcache_test

import (
	"slices"
	"strconv"
	"strings"
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
	f := httpcache.Fields{{"surrogate-key", "a  b,c"}, {"surrogate-key", "a\td"}, {"cache-tag", "a b, c,,"}, {"xkey", "x"}}
	for name, want := range map[string][]string{
		"surrogate-key": {"a", "b", "c", "d"}, "cache-tag": {"a b", "c"}, "xkey": {"x"}, "other": nil,
	} {
		if got := f.Tags(name); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Of a list as long as a proxy lets a field be, which costs a worker a second where each name is compared with all others, no
// more names are given than it takes to tell that they are too many.
func TestManyNames(t *testing.T) {
	var quoted, plain []string
	for i := range 10_000 {
		plain = append(plain, strconv.Itoa(i))
		quoted = append(quoted, strconv.Quote(plain[i]))
	}
	f := httpcache.Fields{
		{"cache-groups", strings.Join(quoted, ", ")}, {"surrogate-key", strings.Join(plain, " ")}, {"vary", strings.Join(plain, ", ")},
	}
	groups, ok := f.Groups("cache-groups")
	tags := f.Tags("surrogate-key")
	names, star := f.Vary()
	for what, list := range map[string][]string{"groups": groups, "tags": tags, "names of Vary": names} {
		if len(list) <= 100 || len(list) > 200 {
			t.Errorf("%d %s", len(list), what)
		}
	}
	if !ok || !star {
		t.Errorf("groups can be read: %v; Vary matches nothing: %v", ok, star)
	}
}

func FuzzGroups(f *testing.F) {
	f.Add(`"a", "b c";x=1`)
	f.Add(`("a" "b")`)
	f.Fuzz(func(t *testing.T, list string) {
		fields := httpcache.Fields{{"cache-groups", list}, {"cache-groups", `"last"`}}
		if groups, ok := fields.Groups("cache-groups"); ok && len(groups) <= 100 && !slices.Contains(groups, "last") {
			t.Errorf("%q hides the last group: %q", list, groups)
		}
		fields.Tags("cache-groups")
	})
}
