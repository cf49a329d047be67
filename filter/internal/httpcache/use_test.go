package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy/directive"
)

func TestJudge(t *testing.T) {
	plain := httpcache.Freshness{Lifetime: 60}
	strict := httpcache.Freshness{Lifetime: 60, WhileRevalidate: 30, IfError: 30, Strict: true}
	stale := httpcache.Freshness{Lifetime: 60, WhileRevalidate: 30}
	immutable := httpcache.Freshness{Lifetime: 60, Immutable: true}
	for _, test := range []struct {
		name    string
		fresh   httpcache.Freshness
		age     int64
		request string
		want    httpcache.Verdict
	}{
		{"fresh", plain, 59, "", httpcache.Usable},
		{"of its lifetime's age", plain, 60, "", httpcache.Unusable},
		{"stale", plain, 61, "", httpcache.Unusable},
		{"no-cache", plain, 0, "no-cache", httpcache.Unusable},
		{"max-age", plain, 10, "max-age=10", httpcache.Usable},
		{"older than max-age", plain, 11, "max-age=10", httpcache.Unusable},
		{"max-age=0", plain, 0, "max-age=0", httpcache.Usable},
		{"min-fresh", plain, 30, "min-fresh=30", httpcache.Usable},
		{"less fresh", plain, 31, "min-fresh=30", httpcache.Unusable},
		{"max-stale", plain, 70, "max-stale=10", httpcache.Usable},
		{"staler", plain, 71, "max-stale=10", httpcache.Unusable},
		{"however stale", plain, 1000, "max-stale", httpcache.Usable},
		{"max-stale and max-age", plain, 70, "max-stale=10, max-age=65", httpcache.Unusable},
		{"max-stale of what must be revalidated", strict, 61, "max-stale", httpcache.Unusable},
		{"while it is validated", stale, 89, "", httpcache.UsableWhile},
		{"too long ago", stale, 90, "", httpcache.Unusable},
		{"while it is validated, but strict", strict, 61, "", httpcache.Unusable},
		{"while it is validated, but the request is limited", stale, 61, "max-stale=0", httpcache.Unusable},
		{"immutable, reloaded", immutable, 59, "max-age=0", httpcache.Usable},
		{"immutable, reloaded by force", immutable, 59, "no-cache", httpcache.Unusable},
		{"immutable, stale", immutable, 60, "max-age=0", httpcache.Unusable},
		{"only-if-cached", plain, 59, "only-if-cached", httpcache.Usable},
	} {
		t.Run(test.name, func(t *testing.T) {
			var request httpcache.Fields
			if test.request != "" {
				request = httpcache.Fields{{"cache-control", test.request}}
			}
			if got := test.fresh.Judge(test.age, request.Limits()); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestOnError(t *testing.T) {
	s := httpcache.Freshness{Lifetime: 60, IfError: 30}
	if !s.OnError(89) || s.OnError(90) {
		t.Error("stale-if-error=30 isn't 30 s")
	}
	if s.Strict = true; s.OnError(61) {
		t.Error("used although it must be revalidated")
	}
}

func TestPragma(t *testing.T) {
	if !(httpcache.Fields{{"pragma", "no-cache"}}).Limits().NoCache {
		t.Error("Pragma isn't heard")
	}
	if (httpcache.Fields{{"pragma", "no-cache"}, {"cache-control", "max-age=5"}}).Limits().NoCache {
		t.Error("Pragma counts beside Cache-Control")
	}
}

// What stale-while-revalidate and stale-if-error allow, the policy may say otherwise, and must-revalidate forbids.
func TestStaleWindows(t *testing.T) {
	says := ok([2]string{"cache-control", "max-age=60, stale-while-revalidate=10, stale-if-error=20"})
	p, _ := httpcache.PlanStore(says, false, byOrigin())
	if p.WhileRevalidate != 10 || p.IfError != 20 || p.Kept != 80 {
		t.Errorf("by the response: %+v", p)
	}
	policy := byOrigin()
	policy.Stale = httpcache.Stale{WhileRevalidate: 0, IfError: 5}
	if p, _ = httpcache.PlanStore(says, false, policy); p.WhileRevalidate != 0 || p.IfError != 5 || p.Kept != 65 {
		t.Errorf("by the policy: %+v", p)
	}
	if p, _ = httpcache.PlanStore(says, false, fixed(30)); p.WhileRevalidate != 0 || p.IfError != 0 || p.Kept != 30 {
		t.Errorf("by a rule with a TTL: %+v", p)
	}
	for _, strict := range []string{"must-revalidate", "proxy-revalidate", "s-maxage=60"} {
		f := ok([2]string{"cache-control", "max-age=60, stale-while-revalidate=10, " + strict})
		policy.Stale = httpcache.Stale{WhileRevalidate: 50, IfError: 50}
		if p, _ = httpcache.PlanStore(f, false, policy); !p.Strict || p.WhileRevalidate != 0 || p.IfError != 0 {
			t.Errorf("%s: %+v", strict, p)
		}
	}
}

// TestForbidden: what the command policy explains of a request is what the filter does.
func TestForbidden(t *testing.T) {
	for _, test := range []struct {
		fields           httpcache.Fields
		noStore, noCache bool
	}{
		{fields: nil},
		{fields: httpcache.Fields{{"cache-control", "max-age=0, No-Cache"}}, noCache: true},
		{fields: httpcache.Fields{{"cache-control", "no-store; max-age=0"}}, noStore: true},
		{fields: httpcache.Fields{{"cache-control", `"no-cache"`}}, noCache: true},
		{fields: httpcache.Fields{{"cache-control", `no-cache="x"`}}, noCache: true},
		{fields: httpcache.Fields{{"cache-control", `ext="no-store, no-cache"`}}},
		{fields: httpcache.Fields{{"cache-control", "no-store=1"}}, noStore: true},
		{fields: httpcache.Fields{{"cache-control", "no-store-at-all, x-no-cache"}}},
		{fields: httpcache.Fields{{"cache-control", `a="`}, {"cache-control", "no-store"}}, noStore: true},
		{fields: httpcache.Fields{{"cache-control", ""}, {"pragma", "no-cache"}}},
		{fields: httpcache.Fields{{"pragma", "no-cache"}}, noCache: true},
		{fields: httpcache.Fields{{"pragma", "no-store"}}},
		{fields: httpcache.Fields{{"pragma", "no-cache, x"}}},
		{fields: httpcache.Fields{{"pragma", "No-Cache"}}},
		{fields: httpcache.Fields{{"pragma", "x"}, {"pragma", "no-cache"}}},
		{fields: httpcache.Fields{{"pragma", "no-cache"}, {"cache-control", "max-age=0"}}},
	} {
		noStore, noCache := test.fields.CacheControl().NoStore, test.fields.Limits().NoCache
		if noStore != test.noStore || noCache != test.noCache {
			t.Errorf("%q: no-store %v, no-cache %v, want %v and %v", test.fields, noStore, noCache, test.noStore, test.noCache)
		}
		said, saidNoCache := directive.Forbidden(test.fields.Values("cache-control"), test.fields.Values("pragma"))
		if said != noStore || saidNoCache != noCache {
			t.Errorf("%q: explained as no-store %v, no-cache %v, the filter has %v and %v", test.fields, said, saidNoCache, noStore, noCache)
		}
	}
}

func FuzzForbidden(f *testing.F) {
	f.Add(`no-store; max-age=0, x="`, "no-cache")
	f.Fuzz(func(t *testing.T, cacheControl, pragma string) {
		for _, fields := range []httpcache.Fields{{{"cache-control", cacheControl}, {"pragma", pragma}}, {{"pragma", pragma}}} {
			noStore, noCache := directive.Forbidden(fields.Values("cache-control"), fields.Values("pragma"))
			if noStore != fields.CacheControl().NoStore || noCache != fields.Limits().NoCache {
				t.Errorf("%q: no-store %v, no-cache %v", fields, noStore, noCache)
			}
		}
	})
}
