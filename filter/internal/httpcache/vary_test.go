package httpcache_test

import (
	"slices"
	"testing"

	"chatcache/filter/internal/httpcache"
)

func TestVary(t *testing.T) {
	names, star := httpcache.Fields{{"vary", "Foo, , accept"}, {"vary", "FOO"}}.Vary()
	if star || !slices.Equal(names, []string{"accept", "foo"}) {
		t.Errorf("%q, %v", names, star)
	}
	for coding, want := range map[string][]string{"gzip": {"accept-encoding", "foo"}, "identity, br": {"accept-encoding", "foo"}, "Identity": {"foo"}, "": {"foo"}} {
		if names, _ := (httpcache.Fields{{"vary", "foo"}, {"content-encoding", coding}}).Vary(); !slices.Equal(names, want) {
			t.Errorf("coded as %q: %q", coding, names)
		}
	}
	// What is no name is meant to be several, which the answer depends on.
	for _, line := range []string{"*", "accept, *", "*, *", "accept; cookie", "accept cookie", `accept, "x, cookie`, "accept:cookie"} {
		if _, star := (httpcache.Fields{{"vary", line}}).Vary(); !star {
			t.Errorf("%q has no star", line)
		}
	}
}

func TestVariant(t *testing.T) {
	for _, test := range []struct {
		name  string
		a, b  httpcache.Fields
		equal bool
	}{
		{"the same", httpcache.Fields{{"foo", "1"}}, httpcache.Fields{{"foo", "1"}}, true},
		{"another value", httpcache.Fields{{"foo", "1"}}, httpcache.Fields{{"foo", "2"}}, false},
		{"missing in both", httpcache.Fields{}, httpcache.Fields{{"baz", "1"}}, true},
		{"missing in one", httpcache.Fields{{"foo", "1"}}, httpcache.Fields{}, false},
		{"empty in one", httpcache.Fields{{"foo", ""}}, httpcache.Fields{}, false},
		{"in two lines", httpcache.Fields{{"foo", "1"}, {"foo", "2"}}, httpcache.Fields{{"foo", "1, 2"}}, true},
		{"whitespace around commas", httpcache.Fields{{"foo", "1,2"}}, httpcache.Fields{{"foo", "1 ,  2"}}, true},
		{"another order", httpcache.Fields{{"foo", "1,2"}}, httpcache.Fields{{"foo", "2,1"}}, false},
		{"another case", httpcache.Fields{{"foo", "a"}}, httpcache.Fields{{"foo", "A"}}, false},
		{"codings in another order and case", httpcache.Fields{{"accept-encoding", "gzip, br;q=0.5"}}, httpcache.Fields{{"accept-encoding", "br; q=0.5,GZIP"}}, true},
		{"other codings", httpcache.Fields{{"accept-encoding", "gzip"}}, httpcache.Fields{{"accept-encoding", "br"}}, false},
		{"languages in another case", httpcache.Fields{{"accept-language", "de-CH, en;q=0.5"}}, httpcache.Fields{{"accept-language", "DE-ch,EN; q=0.5"}}, true},
		{"languages in another order", httpcache.Fields{{"accept-language", "de, en"}}, httpcache.Fields{{"accept-language", "en, de"}}, false},
		{"a weight of 1", httpcache.Fields{{"accept-encoding", "gzip;q=1.000, br;q=1"}}, httpcache.Fields{{"accept-encoding", "gzip, br"}}, true},
		{"a weight with zeros", httpcache.Fields{{"accept-encoding", "gzip;q=0.50"}}, httpcache.Fields{{"accept-encoding", "gzip;q=0.5"}}, true},
		{"another weight", httpcache.Fields{{"accept-encoding", "gzip;q=0.5"}}, httpcache.Fields{{"accept-encoding", "gzip;q=0.05"}}, false},
		{"the old name", httpcache.Fields{{"accept-encoding", "x-gzip"}}, httpcache.Fields{{"accept-encoding", "gzip"}}, true},
		{"refused, which many servers don't look at", httpcache.Fields{{"accept-encoding", "gzip, br;q=0"}}, httpcache.Fields{{"accept-encoding", "gzip"}}, false},
		{"nothing but refused", httpcache.Fields{{"accept-encoding", "gzip;q=0"}}, httpcache.Fields{{"accept-encoding", "identity"}}, false},
		{"no weight", httpcache.Fields{{"accept-encoding", "gzip;q="}}, httpcache.Fields{{"accept-encoding", "gzip;q=0"}}, false},
		{"an empty item", httpcache.Fields{{"foo", ",1"}}, httpcache.Fields{{"foo", "1"}}, false},
		{"an empty item at the end", httpcache.Fields{{"foo", "1,"}}, httpcache.Fields{{"foo", "1"}}, false},
		{"an empty line", httpcache.Fields{{"foo", ""}, {"foo", "1"}}, httpcache.Fields{{"foo", "1"}}, false},
		{"whitespace within a language", httpcache.Fields{{"accept-language", "e n"}}, httpcache.Fields{{"accept-language", "en"}}, false},
		{"refused beside a star", httpcache.Fields{{"accept-encoding", "*, br;q=0"}}, httpcache.Fields{{"accept-encoding", "*"}}, false},
		{"no coding at all", httpcache.Fields{{"accept-encoding", "identity"}}, httpcache.Fields{{"accept-encoding", ""}}, true},
		{"not even none", httpcache.Fields{{"accept-encoding", "gzip, identity;q=0"}}, httpcache.Fields{{"accept-encoding", "gzip"}}, false},
		{"twice", httpcache.Fields{{"accept-encoding", "gzip, x-gzip"}}, httpcache.Fields{{"accept-encoding", "gzip"}}, true},
		{"one field's value in the other", httpcache.Fields{{"bar", "1"}}, httpcache.Fields{{"foo", "1"}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			names := []string{"accept-encoding", "accept-language", "bar", "foo"}
			if got := test.a.Variant(names) == test.b.Variant(names); got != test.equal {
				t.Errorf("equal: %v", got)
			}
		})
	}
}

func FuzzVariant(f *testing.F) {
	f.Add("a", "b", "a, b")
	f.Fuzz(func(t *testing.T, a, b, other string) {
		names := []string{"x"}
		lines := httpcache.Fields{{"x", a}, {"x", b}}
		again := append(httpcache.Fields{{"y", other}}, lines...)
		if lines.Variant(names) != again.Variant(names) {
			t.Error("a field that isn't named matters")
		}
	})
}

// What stands for a request's variant until it is digested must tell apart all that the digest does.
func TestAppendVariant(t *testing.T) {
	values := []string{"", "a", "b", "a,b", "a, b", "\x01a", "1"}
	sections := []httpcache.Fields{nil}
	for range 3 {
		for _, f := range slices.Clone(sections) {
			for _, name := range []string{"x", "y", "accept-encoding", ":authority"} {
				for _, value := range values {
					if len(f) < 2 || name == "x" && value < "b" {
						sections = append(sections, append(slices.Clip(f), [2]string{name, value}))
					}
				}
			}
		}
		sections = sections[:min(len(sections), 4000)]
	}
	variants := map[string][16]byte{}
	for _, f := range sections {
		for _, names := range [][]string{nil, {"x"}, {"y"}, {"x", "y"}, {"accept-encoding"}, {"host", "x"}} {
			stands := string(f.AppendVariant(nil, names))
			digest := f.Variant(names)
			if before, ok := variants[stands]; ok && before != digest {
				t.Fatalf("two variants of %q stand as %q", names, stands)
			}
			variants[stands] = digest
		}
	}
	if len(variants) < 1000 {
		t.Errorf("%d variants only", len(variants))
	}
}
