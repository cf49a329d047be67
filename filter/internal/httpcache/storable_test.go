package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"
)

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
	private := httpcache.StoreRules{Private: true, KeyHeaders: []string{"authorization", "accept"}, MaxBody: 100, TTL: 60, UntilExpiry: -1}
	shared := private
	shared.Private = false
	for _, test := range []struct {
		name   string
		fields httpcache.Fields
		rules  httpcache.StoreRules
		want   httpcache.Reason
	}{
		{"plain", ok(), private, httpcache.Storable},
		{"404", ok([2]string{":status", "404"}), private, httpcache.ReasonStatus},
		{"206", ok([2]string{":status", "206"}), private, httpcache.ReasonStatus},
		{"set-cookie", ok([2]string{"set-cookie", ""}), private, httpcache.ReasonSetCookie},
		{"no-store", ok([2]string{"cache-control", "max-age=60, No-Store"}), private, httpcache.ReasonNoStore},
		{"no-store on a second line", ok([2]string{"cache-control", "max-age=60"}, [2]string{"cache-control", "no-store"}), private, httpcache.ReasonNoStore},
		{"no-store inside a quoted string", ok([2]string{"cache-control", `ext="a, no-store, b"`}), private, httpcache.Storable},
		{"no-cache", ok([2]string{"cache-control", "no-cache"}), private, httpcache.ReasonNoCache},
		{"private in a partition", ok([2]string{"cache-control", "private"}), private, httpcache.Storable},
		{"private in a shared cache", ok([2]string{"cache-control", `private="x"`}), shared, httpcache.ReasonPrivate},
		{"content-range", ok([2]string{"content-range", "bytes 0-9/20"}), private, httpcache.ReasonRange},
		{"trailer", ok([2]string{"trailer", "x-sum"}), private, httpcache.ReasonTrailers},
		{"vary in the key", ok([2]string{"vary", "Accept,authorization"}), private, httpcache.Storable},
		{"vary outside", ok([2]string{"vary", "accept"}, [2]string{"vary", "origin"}), private, httpcache.ReasonVary},
		{"vary star", ok([2]string{"vary", "*"}), private, httpcache.ReasonVary},
		{"close-delimited", without(ok(), "content-length"), private, httpcache.ReasonFraming},
		{"chunked", append(without(ok(), "content-length"), [2]string{"transfer-encoding", "chunked"}), private, httpcache.Storable},
		{"gzip, chunked", append(without(ok(), "content-length"), [2]string{"transfer-encoding", "gzip, chunked"}), private, httpcache.ReasonFraming},
		{"both framings", ok([2]string{"transfer-encoding", "chunked"}), private, httpcache.ReasonLength},
		{"two lengths", ok([2]string{"content-length", "10"}), private, httpcache.ReasonLength},
		{"signed length", append(without(ok(), "content-length"), [2]string{"content-length", "+10"}), private, httpcache.ReasonLength},
		{"too large", append(without(ok(), "content-length"), [2]string{"content-length", "101"}), private, httpcache.ReasonTooLarge},
		{"old on arrival", ok([2]string{"age", "60"}), private, httpcache.ReasonStale},
		{"unreadable age", ok([2]string{"age", "new"}), private, httpcache.ReasonStale},
		{"two ages", ok([2]string{"age", "1"}, [2]string{"age", "1"}), private, httpcache.ReasonStale},
		{"credential expires now", ok(), httpcache.StoreRules{Private: true, MaxBody: 100, TTL: 60}, httpcache.ReasonNoFreshTTL},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, got := httpcache.PlanStore(test.fields, test.rules); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

func TestPlanLifetime(t *testing.T) {
	rules := httpcache.StoreRules{Private: true, MaxBody: 100, TTL: 60, UntilExpiry: -1}
	for _, test := range []struct {
		age   string
		until int64
		want  int64
	}{{"0", -1, 60}, {"20", -1, 40}, {"20", 30, 30}, {"50", 30, 10}} {
		rules.UntilExpiry = test.until
		plan, reason := httpcache.PlanStore(ok([2]string{"age", test.age}), rules)
		if reason != httpcache.Storable || plan.Lifetime != test.want {
			t.Errorf("age %s, credential for %d s: lifetime %d (%q), want %d", test.age, test.until, plan.Lifetime, reason, test.want)
		}
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
