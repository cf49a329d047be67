package policy

import "testing"

const anonymousDocument = `{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "identity": [{"header": "authorization"}], "origin_refuses_anonymous": true,
	"caches": {"c": {"match": ["GET /c/{x...}"], "ttl": "origin", "shared": true}},
	"invalidations": [
		{"name": "plain", "match": ["PUT /c/{x}"], "invalidate": ["c"]},
		{"name": "own", "match": ["PUT /c/{x}/{y}"], "invalidate": ["c"], "origin_refuses_anonymous": true},
		{"name": "guests", "match": ["POST /c/{x}"], "invalidate": ["c"], "origin_refuses_anonymous": false}]}`

// What the policy says of its origin goes for the rules that don't say otherwise, and for unsafe requests without a rule. Where two rules apply
// to a write, both have to say it.
func TestOriginRefusesAnonymous(t *testing.T) {
	p, problems := Parse([]byte(anonymousDocument))
	if problems != nil {
		t.Fatal(problems)
	}
	rule := p.Invalidation
	for _, test := range []struct {
		name string
		rule *Invalidation
		want bool
	}{
		{"of the policy", rule("plain"), true},
		{"of the rule", rule("own"), true},
		{"of a rule that says otherwise", rule("guests"), false},
		{"without a rule", p.Unruled("DELETE"), true},
		{"of two", join(rule("plain"), rule("own")), true},
		{"of one that says otherwise", join(rule("plain"), rule("guests")), false},
		{"of one that says otherwise, the other way round", join(rule("guests"), rule("plain")), false},
	} {
		if test.rule.RefusesAnonymous != test.want {
			t.Errorf("%s: %t, want %t", test.name, test.rule.RefusesAnonymous, test.want)
		}
	}
}
