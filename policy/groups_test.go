package policy

import (
	"fmt"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

const groupsDocument = `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "identity": [{"header": "authorization"}],
	"caches": {"mine": {"match": ["GET /mine"], "ttl": "1s"}, "other": {"match": ["GET /other"], "ttl": "1s"}, "ours": {"match": ["GET /ours"], "ttl": "1s", "shared": true}},
	"invalidations": [
		{"name": "own", "match": ["DELETE /x/{id}"], "invalidate": ["mine", "ours"]},
		{"name": "all", "match": ["DELETE /x/{id}/{y}"], "invalidate": ["other", "mine"], "scope": "all", "unreachable": "refuse",
			"raise_on_4xx": true, "deadline": "20s", "settle": "30s", "also_after": "2s"}]}`

// TestGroups: a write invalidates the writer's partition of a private cache, and no more unless it must.
func TestGroups(t *testing.T) {
	p, problems := Parse([]byte(groupsDocument))
	if problems != nil {
		t.Fatal(problems)
	}
	many := make([]string, wire.MaxGroups/2)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for _, test := range []struct {
		rule  string
		parts []string
		want  string
	}{
		{"own", []string{"4f"}, "[p:mine:4f c:ours]"},
		{"own", []string{"4f", "a0"}, "[p:mine:4f p:mine:a0 c:ours]"},
		{"own", nil, "[c:mine c:ours]"},
		{"own", many, "[c:mine c:ours]"},
		{"all", []string{"4f", "a0"}, "[c:other c:mine]"},
	} {
		if got := fmt.Sprint(p.Invalidation(test.rule).Groups(test.parts...)); got != test.want {
			t.Errorf("%s in partitions %q: %s, want %s", test.rule, test.parts, got, test.want)
		}
	}
	if d := p.MaxDeadline(); d != 32*time.Second {
		t.Errorf("longest deadline %v, want 32s: a settle counts too, and what comes also after it", d)
	}
}

// TestJoinedRules: a write that two readings find two rules for does what both do, in either order.
func TestJoinedRules(t *testing.T) {
	p, problems := Parse([]byte(groupsDocument))
	if problems != nil {
		t.Fatal(problems)
	}
	own, all := p.Invalidation("own"), p.Invalidation("all")
	for _, i := range []*Invalidation{join(own, all), join(all, own)} {
		if !i.All || !i.Refuse || !i.RaiseOn4xx || i.Deadline != 30*time.Second || i.Settle != 30*time.Second || i.AlsoAfter != 2*time.Second || len(i.Caches) != 3 || len(i.Patterns()) != 2 {
			t.Errorf("%+v", i)
		}
	}
	if _, i := p.Match("DELETE", "", "/x/a%2Fb"); i == nil || i.Name != "own + all" {
		t.Errorf("joined rule %+v", i)
	}
	if own.All || len(own.Caches) != 2 {
		t.Error("joining changed a rule of the policy")
	}
}
