package httpcache_test

import (
	"testing"

	"chatcache/filter/internal/httpcache"
)

func date(offset int64) string { return httpcache.FormatDate(now + offset) }

func TestLifetime(t *testing.T) {
	for _, test := range []struct {
		name     string
		fields   httpcache.Fields
		want     httpcache.Seconds
		explicit bool
	}{
		{"nothing", ok(), 0, false},
		{"max-age", ok([2]string{"cache-control", "max-age=60"}), 60, true},
		{"s-maxage over max-age", ok([2]string{"cache-control", "max-age=60, s-maxage=30"}), 30, true},
		{"max-age over Expires", ok([2]string{"cache-control", "max-age=60"}, [2]string{"expires", date(90)}), 60, true},
		{"an invalid max-age over Expires", ok([2]string{"cache-control", "max-age=x"}, [2]string{"expires", date(90)}), 0, true},
		{"Expires", ok([2]string{"expires", date(90)}, [2]string{"date", date(0)}), 90, true},
		{"Expires counts from Date", ok([2]string{"expires", date(90)}, [2]string{"date", date(-10)}), 100, true},
		{"Expires without Date", ok([2]string{"expires", date(90)}), 90, true},
		{"Expires with an invalid Date", ok([2]string{"expires", date(90)}, [2]string{"date", "today"}), 90, true},
		{"Expires in the past", ok([2]string{"expires", date(-90)}), 0, true},
		{"Expires: 0", ok([2]string{"expires", "0"}), 0, true},
		{"Expires, empty", ok([2]string{"expires", ""}), 0, true},
		{"two Expires", ok([2]string{"expires", date(90)}, [2]string{"expires", date(10)}), 90, true},
		{"a tenth of the time since Last-Modified", ok([2]string{"last-modified", date(-1000)}, [2]string{"date", date(0)}), 100, false},
		{"a day at most", ok([2]string{"last-modified", date(-100 * 86400)}), 86400, false},
		{"Last-Modified in the future", ok([2]string{"last-modified", date(10)}), 0, false},
		{"no heuristic for 302", ok([2]string{":status", "302"}, [2]string{"last-modified", date(-1000)}), 0, false},
		{"but with public", ok([2]string{":status", "302"}, [2]string{"last-modified", date(-1000)}, [2]string{"cache-control", "public"}), 100, false},
		{"a targeted field instead of Expires", ok([2]string{"expires", date(90)}, [2]string{"cdn-cache-control", "public"}), 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, explicit := test.fields.Lifetime(test.fields.Control([]string{"cdn-cache-control"}), httpcache.Received{Now: now})
			if got != test.want || explicit != test.explicit {
				t.Errorf("%d, explicit %v; want %d, %v", got, explicit, test.want, test.explicit)
			}
		})
	}
}

func TestInitialAge(t *testing.T) {
	for _, test := range []struct {
		name   string
		delay  int64
		fields httpcache.Fields
		want   httpcache.Seconds
	}{
		{"nothing", 0, ok(), 0},
		{"Age", 0, ok([2]string{"age", "20"}), 20},
		{"the delay counts", 3, ok([2]string{"age", "20"}), 23},
		{"a Date long ago", 3, ok([2]string{"age", "20"}, [2]string{"date", date(-100)}), 100},
		{"a Date in the future", 0, ok([2]string{"age", "20"}, [2]string{"date", date(100)}), 20},
		{"several ages: the first", 0, ok([2]string{"age", "20, 30"}), 20},
		{"over lines", 0, ok([2]string{"age", "20"}, [2]string{"age", "30"}), 20},
		{"not a number", 0, ok([2]string{"age", "old"}), 0},
		{"negative", 0, ok([2]string{"age", "-20"}), 0},
		{"a fraction", 0, ok([2]string{"age", "20.5"}), 0},
		{"beyond 2^31", 3, ok([2]string{"age", "99999999999"}), httpcache.MaxSeconds},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.fields.InitialAge(httpcache.Received{Now: now, Delay: test.delay}); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

// A rule's TTL is what counts, and the origin's where the rule leaves it that.
func TestWhoseLifetime(t *testing.T) {
	said := ok([2]string{"cache-control", "max-age=60"}, [2]string{"date", date(-10)})
	byRule, _ := httpcache.PlanStore(said, false, fixed(600))
	if byRule.Lifetime != 600 || byRule.InitialAge != 0 {
		t.Errorf("by the rule: %+v", byRule)
	}
	itself, _ := httpcache.PlanStore(said, false, byOrigin())
	if itself.Lifetime != 60 || itself.InitialAge != 10 || itself.Kept != 50 {
		t.Errorf("by the origin: %+v", itself)
	}
	bounded := byOrigin()
	bounded.TTL = 30
	if p, _ := httpcache.PlanStore(said, false, bounded); p.Lifetime != 30 {
		t.Errorf("by the origin, bounded: %+v", p)
	}
}
