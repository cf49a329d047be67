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

// To one who doesn't heed the field that names another method, or who reads the path another way, a request has no rule: what the policy
// doesn't say of those counts for it, too.
func TestOriginsWordBesideRequestsWithoutARule(t *testing.T) {
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "identity": [{"header": "authorization"}],
	"caches": {"c": {"match": ["GET /c/{x...}"], "ttl": "origin", "shared": true}, "o": {"match": ["GET /o"], "ttl": "1s", "shared": true}},
	"invalidations": [
		{"name": "remove", "match": ["DELETE /c/{x}"], "invalidate": ["c"], "origin_refuses_anonymous": true, "unchanged_on": [500, 501]},
		{"name": "save", "match": ["PUT /c/{x}"], "invalidate": ["c"], "origin_refuses_anonymous": true, "unchanged_on": [500]},
		{"name": "me", "match": ["PUT /c/me/{$}"], "invalidate": ["c"], "origin_refuses_anonymous": true}]}`))
	if problems != nil {
		t.Fatal(problems)
	}
	for _, test := range []struct {
		method, override, path, name string
		want                         bool
	}{
		{"DELETE", "", "/c/1", "remove", true},
		{"DELETE", "PUT", "/c/1", "remove + save", true},
		{"PUT", "GET", "/c/1", "save", true},
		{"POST", "DELETE", "/c/1", "remove", false},           // POST has no rule
		{"DELETE", "PATCH", "/c/1", "remove + unsafe", false}, // nor has PATCH
		{"PUT", "", "/c/1/", "save", false},
		{"PUT", "", "/c/x/..;/1", "save", false}, // to ServeMux it is another path
		{"PUT", "", "/c/1;v=1", "save", true},
		{"PUT", "", "/c/ME/", "save + me", false},
	} {
		var methods []string
		if test.override != "" {
			methods = append(methods, test.override)
		}
		_, rule := p.MatchOverridden(test.method, methods, "", test.path)
		if rule == nil || rule.Name != test.name || rule.RefusesAnonymous != test.want || len(rule.UnchangedOn) > 0 != test.want {
			t.Errorf("%s (%s) %s: %+v, want %q, %t", test.method, test.override, test.path, rule, test.name, test.want)
		}
	}
}
