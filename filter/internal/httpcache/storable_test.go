package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"

	"github.com/google/go-cmp/cmp"
)

// now is the present, in seconds since 1970.
const now = 1_800_000_000

// ok is a section that may be stored; cases add to it or replace its fields.
func ok(with ...[2]string) httpcache.Fields {
	f := httpcache.Fields{{":status", "200"}, {"content-type", "application/json"}, {"content-length", "10"}}
	for _, field := range with {
		replaced := false
		for i := range f {
			if f[i][0] == field[0] && (field[0] == ":status") {
				f[i], replaced = field, true
			}
		}
		if !replaced {
			f = append(f, field)
		}
	}
	return f
}

func without(f httpcache.Fields, name string) httpcache.Fields {
	var rest httpcache.Fields
	for _, field := range f {
		if field[0] != name {
			rest = append(rest, field)
		}
	}
	return rest
}

func TestPlanStore(t *testing.T) {
	private := fixed(60)
	private.KeyHeaders = []string{"authorization", "accept"}
	shared, ranged := private, private
	post := httpcache.StoreRules{MaxBody: 1 << 20, TTL: 600, UntilExpiry: -1, Private: true, Origin: true, Explicit: true, Received: httpcache.Received{Now: now}}
	shared.Private, ranged.Ranged = false, true
	for _, test := range []struct {
		name   string
		fields httpcache.Fields
		rules  httpcache.StoreRules
		want   httpcache.Reason
	}{
		{"plain", ok(), private, httpcache.Storable},
		{"206", ok([2]string{":status", "206"}), private, httpcache.ReasonStatus},
		{"set-cookie", ok([2]string{"set-cookie", ""}), private, httpcache.ReasonSetCookie},
		{"no-store", ok([2]string{"cache-control", "max-age=60, No-Store"}), private, httpcache.ReasonNoStore},
		{"no-store on a second line", ok([2]string{"cache-control", "max-age=60"}, [2]string{"cache-control", "no-store"}), private, httpcache.ReasonNoStore},
		{"no-store inside a quoted string", ok([2]string{"cache-control", `ext="a, no-store, b"`}), private, httpcache.Storable},
		{"no-cache", ok([2]string{"cache-control", "no-cache"}), private, httpcache.ReasonNoCache},
		{"without what it varies by", ok([2]string{"cache-control", `max-age=60, no-cache="vary"`}), private, httpcache.ReasonNoCache},
		{"without what its body is", ok([2]string{"cache-control", `max-age=60, private="Content-Encoding"`}), shared, httpcache.ReasonNoCache},
		{"in a partition, whole", ok([2]string{"cache-control", `max-age=60, private="Content-Encoding"`}), private, httpcache.Storable},
		{"private in a partition", ok([2]string{"cache-control", "private"}), private, httpcache.Storable},
		{"POST: modified long ago", ok([2]string{"last-modified", date(-100_000)}), post, httpcache.ReasonUnstated},
		{"POST: that, and public", ok([2]string{"last-modified", date(-100_000)}, [2]string{"cache-control", "public"}), post, httpcache.ReasonStale},
		{"POST: for a minute", ok([2]string{"cache-control", "max-age=60"}), post, httpcache.Storable},
		{"private in a shared cache", ok([2]string{"cache-control", `private=""`}), shared, httpcache.ReasonPrivate},
		{"content-range", ok([2]string{"content-range", "bytes 0-9/20"}), private, httpcache.Storable},
		{"content-range of a part that was asked for", ok([2]string{"content-range", "bytes 0-9/20"}), ranged, httpcache.ReasonRange},
		{"trailer", ok([2]string{"trailer", "x-sum"}), private, httpcache.ReasonTrailers},
		{"vary in the key", ok([2]string{"vary", "Accept,authorization"}), private, httpcache.Storable},
		{"vary outside", ok([2]string{"vary", "accept"}, [2]string{"vary", "cookie"}), private, httpcache.ReasonVary},
		{"vary star", ok([2]string{"vary", "*"}), private, httpcache.ReasonVary},
		{"close-delimited", without(ok(), "content-length"), private, httpcache.ReasonFraming},
		{"chunked", append(without(ok(), "content-length"), [2]string{"transfer-encoding", "chunked"}), private, httpcache.Storable},
		{"gzip, chunked", append(without(ok(), "content-length"), [2]string{"transfer-encoding", "gzip, chunked"}), private, httpcache.ReasonFraming},
		{"both framings", ok([2]string{"transfer-encoding", "chunked"}), private, httpcache.ReasonLength},
		{"two lengths", ok([2]string{"content-length", "10"}), private, httpcache.ReasonLength},
		{"signed length", append(without(ok(), "content-length"), [2]string{"content-length", "+10"}), private, httpcache.ReasonLength},
		{"too large", append(without(ok(), "content-length"), [2]string{"content-length", "101"}), private, httpcache.ReasonTooLarge},
		{"old on arrival", ok([2]string{"age", "60"}), private, httpcache.ReasonStale},
		{"unreadable age", ok([2]string{"age", "new"}), private, httpcache.Storable},
		{"two ages", ok([2]string{"age", "1"}, [2]string{"age", "60"}), private, httpcache.Storable},
		{"credential expires now", ok(), until(private, 0), httpcache.ReasonNoFreshTTL},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, got := httpcache.PlanStore(test.fields, false, test.rules); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

// fixed are the rules of a private cache with a TTL of its own, in seconds.
func fixed(ttl int64) httpcache.StoreRules {
	return httpcache.StoreRules{
		Private: true, MaxBody: 100, TTL: ttl, UntilExpiry: -1,
		Stale:    httpcache.Stale{WhileRevalidate: httpcache.Absent, IfError: httpcache.Absent},
		Received: httpcache.Received{Now: now},
	}
}

// byOrigin are the rules of a shared cache that leaves freshness to the origin.
func byOrigin() httpcache.StoreRules {
	rules := fixed(86400)
	rules.Private, rules.Origin = false, true
	return rules
}

func until(rules httpcache.StoreRules, seconds int64) httpcache.StoreRules {
	rules.UntilExpiry = seconds
	return rules
}

func TestPlanKept(t *testing.T) {
	for _, test := range []struct {
		age   string
		until int64
		want  int64
	}{{"0", -1, 60}, {"20", -1, 40}, {"20", 30, 30}, {"50", 30, 10}} {
		plan, reason := httpcache.PlanStore(ok([2]string{"age", test.age}), false, until(fixed(60), test.until))
		if reason != httpcache.Storable || plan.Kept != test.want {
			t.Errorf("age %s, credential for %d s: kept for %d (%q), want %d", test.age, test.until, plan.Kept, reason, test.want)
		}
	}
}

// With "ttl": "origin" the response itself says whether it may be stored (RFC 9111 §3).
func TestStorableByOrigin(t *testing.T) {
	authorized := byOrigin()
	authorized.Authorized = true
	partitioned := authorized
	partitioned.Private = true
	keeps := byOrigin()
	keeps.Stale.Keep = 60
	status := func(code string, with ...[2]string) httpcache.Fields {
		return ok(append([][2]string{{":status", code}}, with...)...)
	}
	maxAge := [2]string{"cache-control", "max-age=60"}
	for _, test := range []struct {
		name   string
		fields httpcache.Fields
		rules  httpcache.StoreRules
		want   httpcache.Reason
	}{
		{"max-age", ok(maxAge), byOrigin(), httpcache.Storable},
		{"s-maxage", ok([2]string{"cache-control", "s-maxage=60"}), byOrigin(), httpcache.Storable},
		{"Expires", status("418", [2]string{"expires", httpcache.FormatDate(now + 60)}), byOrigin(), httpcache.Storable},
		{"an unknown status with max-age", status("599", maxAge), byOrigin(), httpcache.Storable},
		{"an unknown status without anything", status("599"), byOrigin(), httpcache.ReasonUnstated},
		{"404 with max-age", status("404", maxAge), byOrigin(), httpcache.Storable},
		{"302 with public only is never fresh", status("302", [2]string{"cache-control", "public"}), byOrigin(), httpcache.ReasonStale},
		{"302", status("302"), byOrigin(), httpcache.ReasonUnstated},
		{"206", status("206", maxAge), byOrigin(), httpcache.ReasonStatus},
		{"416 to some range", status("416", maxAge), byOrigin(), httpcache.ReasonStatus},
		{"304", status("304", maxAge), byOrigin(), httpcache.ReasonStatus},
		{"103", status("103", maxAge), byOrigin(), httpcache.ReasonStatus},
		{"four digits", status("2000", maxAge), byOrigin(), httpcache.ReasonStatus},
		{"no-store", ok([2]string{"cache-control", "no-store, max-age=60"}), byOrigin(), httpcache.ReasonNoStore},
		{"must-understand of a known status outdoes no-store", ok([2]string{"cache-control", "no-store, must-understand, max-age=60"}), byOrigin(), httpcache.Storable},
		{"must-understand of an unknown status", status("599", [2]string{"cache-control", "must-understand, max-age=60"}), byOrigin(), httpcache.ReasonStatus},
		{"private", ok([2]string{"cache-control", "private, max-age=60"}), byOrigin(), httpcache.ReasonPrivate},
		{"private in its partition", ok([2]string{"cache-control", "private, max-age=60"}), partitioned, httpcache.Storable},
		{"private fields", ok([2]string{"cache-control", `private="x-user", max-age=60`}), byOrigin(), httpcache.Storable},
		{"Authorization", ok(maxAge), authorized, httpcache.ReasonAuthorization},
		{"Authorization and public", ok([2]string{"cache-control", "public, max-age=60"}), authorized, httpcache.Storable},
		{"Authorization and must-revalidate", ok([2]string{"cache-control", "must-revalidate, max-age=60"}), authorized, httpcache.Storable},
		{"Authorization and s-maxage", ok([2]string{"cache-control", "s-maxage=60"}), authorized, httpcache.Storable},
		{"Authorization in its partition", ok(maxAge), partitioned, httpcache.Storable},
		{"no-cache without a validator", ok([2]string{"cache-control", "no-cache"}), keeps, httpcache.ReasonNoCache},
		{"no-cache with one", ok([2]string{"cache-control", "no-cache"}, [2]string{"etag", `"a"`}), keeps, httpcache.Storable},
		{"expired without a validator", ok([2]string{"cache-control", "max-age=0"}), keeps, httpcache.ReasonStale},
		{"expired with one", ok([2]string{"cache-control", "max-age=0"}, [2]string{"etag", `"a"`}), keeps, httpcache.Storable},
		{"no-cache for set-cookie only", ok([2]string{"cache-control", `no-cache="set-cookie", max-age=60`}, [2]string{"set-cookie", "a=b"}), byOrigin(), httpcache.Storable},
		{"a targeted field forbids", ok(maxAge, [2]string{"cdn-cache-control", "no-store"}), byOrigin(), httpcache.ReasonNoStore},
		{"a targeted field allows", ok([2]string{"cache-control", "no-store"}, [2]string{"cdn-cache-control", "max-age=60"}), byOrigin(), httpcache.Storable},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.rules.Targets = []string{"cdn-cache-control"}
			if _, got := httpcache.PlanStore(test.fields, false, test.rules); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

// A rule with a TTL leaves other statuses out, unless it has a TTL for them too.
func TestStatusesOfFixedTTLs(t *testing.T) {
	if _, got := httpcache.PlanStore(ok([2]string{":status", "404"}), false, fixed(0)); got != httpcache.ReasonStatus {
		t.Errorf("404 without a TTL: %q", got)
	}
	plan, reason := httpcache.PlanStore(ok([2]string{":status", "404"}), false, fixed(5))
	if reason != httpcache.Storable || plan.Status != 404 || plan.Lifetime != 5 {
		t.Errorf("404 with a TTL: %+v, %q", plan, reason)
	}
	if _, got := httpcache.PlanStore(httpcache.Fields{{":status", "204"}}, true, fixed(5)); got != httpcache.Storable {
		t.Errorf("204 without body and length: %q", got)
	}
}

// Fields that no-cache and private name are left out; the rest is stored (RFC 9111 §5.2.2.4, §5.2.2.7).
func TestQualifiedFieldsAreNotStored(t *testing.T) {
	fields := ok([2]string{"cache-control", `max-age=60, no-cache="x-a, X-B", private=x-c`})
	shared, _ := httpcache.PlanStore(fields, false, byOrigin())
	private := byOrigin()
	private.Private = true
	partitioned, _ := httpcache.PlanStore(fields, false, private)
	if diff := cmp.Diff([][]string{{"x-a", "x-b", "x-c"}, {"x-a", "x-b"}}, [][]string{shared.Without, partitioned.Without}); diff != "" {
		t.Error(diff)
	}
}

func TestComplete(t *testing.T) {
	for _, test := range []struct {
		name    string
		length  int
		bytes   int
		end     bool
		details string
		want    httpcache.Reason
	}{
		{"whole", 10, 10, true, "via_upstream", httpcache.Storable},
		{"whole, chunked", -1, 10, true, "via_upstream", httpcache.Storable},
		{"short", 10, 9, true, "via_upstream", httpcache.ReasonTruncated},
		{"no end", 10, 10, false, "via_upstream", httpcache.ReasonTruncated},
		{"reset", -1, 10, false, "upstream_reset_after_response_started{remote_reset}", httpcache.ReasonTruncated},
		{"local reply", 10, 10, true, "direct_response", httpcache.ReasonNotOrigin},
		{"property missing", 10, 10, true, "", httpcache.ReasonNotOrigin},
	} {
		if got := (httpcache.Plan{Length: test.length}).Complete(test.bytes, test.end, test.details); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A credential's end bounds for how long a response is kept; jitter shortens its lifetime, and not that.
func TestJitterBesideTheEndOfACredential(t *testing.T) {
	f := httpcache.Fields{{":status", "200"}, {"content-length", "3"}}
	for moment := range int64(1000) {
		p, reason := httpcache.PlanStore(f, false, httpcache.StoreRules{Private: true, TTL: 600, MaxBody: 100, UntilExpiry: 60})
		if reason != httpcache.Storable {
			t.Fatal(reason)
		}
		if p = p.Jittered(50, "key", moment*1e9+7); p.Kept != 60 || p.Lifetime < 300 {
			t.Fatalf("kept for %d s with a lifetime of %d s, want 60 and at least 300", p.Kept, p.Lifetime)
		}
	}
}
