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

// Where only unsafe requests without a rule differ, policies differ, too.
func TestUnchangedOnIsPartOfTheVersion(t *testing.T) {
	document := func(field string) string {
		return versionFrom(t, `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, `+field+`
			"caches": {"c": {"match": ["GET /c"], "ttl": "origin", "shared": true}}}`)
	}
	none, one, two := document(""), document(`"unchanged_on": [500],`), document(`"unchanged_on": [501, 500],`)
	if none == one || one == two || none == two {
		t.Errorf("versions %s, %s and %s", none, one, two)
	}
	if two != document(`"unchanged_on": [500, 501],`) || none != document(`"unchanged_on": [],`) {
		t.Error("the order of statuses, or an empty list, changes the version")
	}
}

func versionFrom(t *testing.T, document string) string {
	t.Helper()
	p, problems := Parse([]byte(document))
	if problems != nil {
		t.Fatal(problems)
	}
	return p.Version()
}
