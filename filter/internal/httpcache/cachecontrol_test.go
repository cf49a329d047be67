package httpcache_test

import (
	"reflect"
	"slices"
	"testing"

	"chatcache/filter/internal/httpcache"
)

func maxAgeOf(lines ...string) httpcache.Seconds {
	var f httpcache.Fields
	for _, line := range lines {
		f = append(f, [2]string{"cache-control", line})
	}
	return f.CacheControl().MaxAge
}

func TestMaxAge(t *testing.T) {
	for _, test := range []struct {
		line string
		want httpcache.Seconds
	}{
		{"max-age=60", 60},
		{"MaX-AgE=60", 60},
		{`max-age="60"`, 60},
		{"public, max-age=60", 60},
		{"public,max-age=60,", 60},
		{"max-age=0060", 60},
		{"max-age=2147483647", 1<<31 - 1},
		{"max-age=2147483648", 1 << 31},
		{"max-age=99999999999999999999999999", 1 << 31},
		{"public", httpcache.Absent},
		{`ext="max-age=60"`, httpcache.Absent},
		// What is no number of seconds is stale.
		{"max-age", 0},
		{"max-age=", 0},
		{"max-age=-60", 0},
		{"max-age=+60", 0},
		{"max-age=60.0", 0},
		{"max-age=60s", 0},
		{"max-age=a60", 0},
		{"max-age='60'", 0},
		{`max-age="60`, 0},
		{`max-age=60"`, 0},
		{"max-age =60", 0},
		{"max-age= 60", 0},
		{"max-age=6 0", 0},
		// The first of several counts.
		{"max-age=60, max-age=30", 60},
		{"max-age=0, max-age=30", 0},
	} {
		if got := maxAgeOf(test.line); got != test.want {
			t.Errorf("%q: %d, want %d", test.line, got, test.want)
		}
	}
	if got := maxAgeOf("public", "max-age=60", "max-age=30"); got != 60 {
		t.Errorf("over several lines: %d", got)
	}
}

func TestDirectives(t *testing.T) {
	d := httpcache.Fields{{"cache-control", "Public, MUST-REVALIDATE, proxy-revalidate, must-understand, immutable, " +
		"only-if-cached, s-maxage=1, min-fresh=2, max-stale=3, stale-while-revalidate=4, stale-if-error=5"}}.CacheControl()
	if !d.Public || !d.MustRevalidate || !d.ProxyRevalidate || !d.MustUnderstand || !d.Immutable || !d.OnlyIfCached {
		t.Errorf("flags: %+v", d)
	}
	if got := []httpcache.Seconds{d.SMaxAge, d.MinFresh, d.MaxStale, d.StaleWhileRevalidate, d.StaleIfError}; !slices.Equal(got, []httpcache.Seconds{1, 2, 3, 4, 5}) {
		t.Errorf("numbers: %v", got)
	}
	if d := (httpcache.Fields{{"cache-control", "max-stale"}}).CacheControl(); d.MaxStale != httpcache.MaxSeconds {
		t.Errorf("max-stale without a number: %d", d.MaxStale)
	}
	for _, line := range []string{"max-stale=3, max-stale=30", "max-stale=3, max-stale"} {
		if d := (httpcache.Fields{{"cache-control", line}}).CacheControl(); d.MaxStale != 3 {
			t.Errorf("%s: %d, want the first", line, d.MaxStale)
		}
	}
}

// What a quotation mark that is never closed would hide still forbids.
func TestUnclosedQuotes(t *testing.T) {
	for _, line := range []string{`max-age=60, ext="x, no-store`, `no-cache="x, no-store`, `a="b", c="d, no-store, e`} {
		if d := (httpcache.Fields{{"cache-control", line}}).CacheControl(); !d.NoStore {
			t.Errorf("%s: no-store isn't seen", line)
		}
	}
	if d := (httpcache.Fields{{"cache-control", `a="b, no-store, c", d="\", no-store"`}}).CacheControl(); d.NoStore {
		t.Error("no-store is seen within quotation marks")
	}
}

// Where something else than a comma stands between directives, those that forbid are heeded, and no other.
func TestOtherSeparators(t *testing.T) {
	for line, want := range map[string]httpcache.Directives{
		"no-store; max-age=60":                     {NoStore: true},
		`"no-store, private"`:                      {NoStore: true, Private: true}, // all of it in quotation marks
		"max-age=60; Private":                      {Private: true},
		"max-age=60;private":                       {Private: true},
		"max-age=0;no-store, public":               {NoStore: true, Public: true},
		"private=x;no-store":                       {NoStore: true, Private: true}, // and not a field's name
		`no-cache="a\b";no-store;x="c"`:            {NoCache: true, NoStore: true},
		`no-cache="x";no-store`:                    {NoCache: true, NoStore: true},
		"max-age=60 no-cache":                      {NoCache: true},
		"private;no-store;public":                  {NoStore: true, Private: true},
		"public, no-cache; no-store":               {NoStore: true, NoCache: true, Public: true},
		`ext="a; private"`:                         {},
		`no-cache="x"; private, ext="no-store; b"`: {Private: true, NoCache: true},
	} {
		d := httpcache.Fields{{"cache-control", line}}.CacheControl()
		got := httpcache.Directives{NoStore: d.NoStore, NoCache: d.NoCache, Private: d.Private, Public: d.Public}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
}

func TestFieldNamesOfDirectives(t *testing.T) {
	for _, test := range []struct {
		line  string
		whole bool
		names []string
	}{
		{"no-cache", true, nil},
		{`no-cache="Set-Cookie, x-a"`, false, []string{"set-cookie", "x-a"}},
		{"no-cache=x-a", false, []string{"x-a"}},
		{`no-cache=""`, true, nil},
		{"no-cache=", true, nil},
		{`no-cache="x-a`, true, []string{`"x-a`}},
		{`no-cache="x-a", no-cache`, true, []string{"x-a"}},
	} {
		d := httpcache.Fields{{"cache-control", test.line}}.CacheControl()
		if d.NoCache != test.whole || test.line != `no-cache="x-a` && !slices.Equal(d.NoCacheFields, test.names) {
			t.Errorf("%s: whole %v, names %q", test.line, d.NoCache, d.NoCacheFields)
		}
	}
}

func FuzzMaxAge(f *testing.F) {
	f.Add(`public, max-age="60"`)
	f.Add(`max-age=`)
	f.Fuzz(func(t *testing.T, value string) {
		if got := maxAgeOf(value); got < httpcache.Absent || got > httpcache.MaxSeconds {
			t.Errorf("%q: %d", value, got)
		}
		if got := maxAgeOf("max-age=7", value); got != 7 {
			t.Errorf("the first isn't what counts before %q: %d", value, got)
		}
	})
}
