package policy

import (
	"fmt"
	"strings"
	"testing"
)

const unchangedDocument = `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "unchanged_on": [501.0, 500],
	"caches": {"c": {"match": ["GET /c/{x...}"], "ttl": "origin", "shared": true}},
	"invalidations": [
		{"name": "plain", "match": ["PUT /c/{x}"], "invalidate": ["c"]},
		{"name": "own", "match": ["PUT /c/{x}/{y}"], "invalidate": ["c"], "unchanged_on": [500, 507]},
		{"name": "none", "match": ["PUT /c/{x}/{y}/{z}"], "invalidate": ["c"], "unchanged_on": []},
		{"name": "retried", "match": ["POST /c/{x}"], "invalidate": ["c"], "raise_on_4xx": true}]}`

// The policy's statuses are those of the rules that don't say otherwise, and of unsafe requests without a rule. Where two rules
// apply to a write, both have to say that nothing was written.
func TestUnchangedOn(t *testing.T) {
	p, problems := Parse([]byte(unchangedDocument))
	if problems != nil {
		t.Fatal(problems)
	}
	rule := p.Invalidation
	for _, test := range []struct {
		name string
		rule *Invalidation
		want string
	}{
		{"of the policy", rule("plain"), "[500 501]"},
		{"of the rule", rule("own"), "[500 507]"},
		{"of a rule with none", rule("none"), "[]"},
		{"of a rule that raises on a 4xx", rule("retried"), "[]"},
		{"without a rule", p.Unruled("DELETE"), "[500 501]"},
		{"of two", join(rule("plain"), rule("own")), "[500]"},
		{"of two, the other way round", join(rule("own"), rule("plain")), "[500]"},
		{"of one with none", join(rule("plain"), rule("none")), "[]"},
		{"of one that raises on a 4xx", join(rule("retried"), rule("own")), "[]"},
	} {
		if got := fmt.Sprint(test.rule.UnchangedOn); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if got := fmt.Sprint(rule("plain").UnchangedOn); got != "[500 501]" {
		t.Errorf("joining changed a rule of the policy: %s", got)
	}
	without, problems := Parse([]byte(strings.Replace(unchangedDocument, `"unchanged_on": [501.0, 500],`, "", 1)))
	if problems != nil || without.Unruled("DELETE").UnchangedOn != nil || without.Invalidation("plain").UnchangedOn != nil {
		t.Errorf("statuses that nobody named (%v)", problems)
	}
}
