package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"
)

func TestTargetedFields(t *testing.T) {
	targets := []string{"mine", "cdn-cache-control"}
	cc := [2]string{"cache-control", "max-age=1"}
	for _, test := range []struct {
		name     string
		fields   httpcache.Fields
		targeted bool
		maxAge   httpcache.Seconds
	}{
		{"none", httpcache.Fields{cc}, false, 1},
		{"one", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2"}}, true, 2},
		{"the first of two", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2"}, {"mine", "max-age=3"}}, true, 3},
		{"in two lines", httpcache.Fields{cc, {"cdn-cache-control", "public"}, {"cdn-cache-control", "max-age=2"}}, true, 2},
		{"the last of two members", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2, max-age=4"}}, true, 4},
		{"parameters", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2;a=b"}}, true, 2},
		{"beyond 2^31", httpcache.Fields{cc, {"cdn-cache-control", "max-age=999999999999999"}}, true, httpcache.MaxSeconds},
		{"negative", httpcache.Fields{cc, {"cdn-cache-control", "max-age=-2"}}, true, 0},
		{"an unknown member of any type", httpcache.Fields{cc, {"cdn-cache-control", `max-age=2, a=(1 2), b="x"`}}, true, 2},
		{"false is not there", httpcache.Fields{cc, {"cdn-cache-control", "no-store=?0, max-age=2"}}, true, 2},
		{"empty", httpcache.Fields{cc, {"cdn-cache-control", ""}}, false, 1},
		{"malformed", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2,,"}}, false, 1},
		{"upper case is malformed", httpcache.Fields{cc, {"cdn-cache-control", "Max-Age=2"}}, false, 1},
		{"a number of the wrong type", httpcache.Fields{cc, {"cdn-cache-control", `max-age="2"`}}, false, 1},
		{"a fraction", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2.0"}}, false, 1},
		{"a flag of the wrong type", httpcache.Fields{cc, {"cdn-cache-control", "max-age=2, no-store=1"}}, false, 1},
		{"a number without a value", httpcache.Fields{cc, {"cdn-cache-control", "max-age"}}, false, 1},
		{"a list", httpcache.Fields{cc, {"cdn-cache-control", "max-age=(1 2)"}}, false, 1},
		{"the malformed one is passed over", httpcache.Fields{cc, {"mine", "=x"}, {"cdn-cache-control", "max-age=2"}}, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.fields.Control(targets); got.Targeted != test.targeted || got.MaxAge != test.maxAge || got.NoStore {
				t.Errorf("targeted %v, %+v", got.Targeted, got.Directives)
			}
		})
	}
	if d := (httpcache.Fields{{"mine", `no-cache="x-a", private`}}).Control(targets); d.NoCache || !d.Private || len(d.NoCacheFields) != 1 {
		t.Errorf("%+v", d)
	}
}

func FuzzTargeted(f *testing.F) {
	f.Add("max-age=2, no-store")
	f.Fuzz(func(t *testing.T, value string) {
		c := httpcache.Fields{{"mine", value}, {"cache-control", "no-store"}}.Control([]string{"mine"})
		if !c.Targeted && !c.NoStore {
			t.Errorf("neither %q nor Cache-Control counts", value)
		}
	})
}
