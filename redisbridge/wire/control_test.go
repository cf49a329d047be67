package wire

import (
	"fmt"
	"testing"
	"time"
)

// A policy has controls, and so does each of its caches: the stricter counts.
func TestMerge(t *testing.T) {
	tests := []struct {
		name             string
		all, cache, want Control
	}{
		{"nothing set", Control{}, Control{}, Control{}},
		{"off for all", Control{Off: true}, Control{}, Control{Off: true}},
		{"off for one", Control{}, Control{Off: true}, Control{Off: true}},
		{"observe for all", Control{Observe: true}, Control{}, Control{Observe: true}},
		{"rollout of one", Control{}, Control{Rollout: true}, Control{Rollout: true}},
		{"smaller share of all", Control{Percent: 10}, Control{Percent: 20}, Control{Percent: 10}},
		{"smaller share of one", Control{Percent: 20}, Control{Percent: 10}, Control{Percent: 10}},
		{"share of all alone", Control{Percent: 20}, Control{}, Control{Percent: 20}},
		{"greater sample", Control{Verify: 1}, Control{Verify: 5}, Control{Verify: 5}},
		{"each by itself", Control{Off: true, Verify: 5}, Control{Observe: true, Percent: 10}, Control{Off: true, Observe: true, Percent: 10, Verify: 5}},
	}
	for _, tt := range tests {
		c := Controls{All: tt.all, Caches: []CacheControl{{"stats", tt.cache}}}
		if got := c.Of("stats"); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if got := c.Of("user"); got != tt.all {
			t.Errorf("%s: another cache has %+v, want %+v", tt.name, got, tt.all)
		}
	}
}

func TestLifetime(t *testing.T) {
	const policy = 10 * time.Minute
	tests := []struct {
		name       string
		all, cache int64 // ms
		policy     time.Duration
		want       time.Duration
	}{
		{"nothing set", 0, 0, policy, policy},
		{"shorter for the cache", 0, 60_000, policy, time.Minute},
		{"longer for the cache", 0, 3_600_000, policy, time.Hour},
		{"shorter for all", 60_000, 0, policy, time.Minute},
		{"longer for all lengthens nothing", 3_600_000, 0, policy, policy},
		{"both", 60_000, 3_600_000, policy, time.Minute},
		{"off by the policy", 60_000, 60_000, 0, 0},
	}
	for _, tt := range tests {
		c := Control{TTL: tt.all}.Merge(Control{TTL: tt.cache})
		if got := c.Lifetime(tt.policy); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Who is in at some percentage is in at every greater one, the share is about what was asked
// for, and no version of the filter may choose others.
func TestWithin(t *testing.T) {
	const partitions = 20_000
	in := func(percent, i int) bool {
		return Control{Percent: percent}.Within(fmt.Appendf(nil, "4f2a%028x", i))
	}
	for _, percent := range []int{1, 100, 1000, 5000, 9999, Whole} {
		count := 0
		for i := range partitions {
			if in(percent, i) {
				count++
				if !in(min(percent+500, Whole), i) {
					t.Fatalf("partition %d is in at %d and out at %d", i, percent, percent+500)
				}
			}
		}
		want := partitions * percent / Whole
		if count < want-want/10-10 || count > want+want/10+10 {
			t.Errorf("%d of %d partitions at %d basis points, want about %d", count, partitions, percent, want)
		}
	}
	if !in(0, 1) {
		t.Error("a share that wasn't set leaves somebody out")
	}
	if got := place([]byte("0123456789abcdef0123456789abcdef")); got != 4578 {
		t.Errorf("a partition's place is %d: users would change sides with the filter's version", got)
	}
}
