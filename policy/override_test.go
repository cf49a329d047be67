package policy

import "testing"

// TestMethodsThatFieldsName: what an origin may take for a write by another method is one, by every rule that may apply.
func TestMethodsThatFieldsName(t *testing.T) {
	p, problems := rulesPolicy(t, "GET /a/{x}", "POST /a/{x}", "DELETE /a/{x}", "POST /b", "DELETE /c")
	if problems != nil {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		method  string
		methods []string
		path    string
		want    string
	}{
		{"POST", []string{"DELETE"}, "/a/1", "POST /a/{x} + DELETE /a/{x}"},
		{"POST", []string{"delete", "delete", "PUT"}, "/a/1", "POST /a/{x} + DELETE /a/{x}"},
		{"POST", []string{"GET", "DELETE"}, "/a/1", "POST /a/{x} + DELETE /a/{x}"},
		{"POST", []string{"GET"}, "/a/1", "POST /a/{x}"},
		{"POST", []string{"DELETE, x", " DELETE,y", "PUT"}, "/a/1", "POST /a/{x} + DELETE /a/{x}"}, // Express reads what is before the comma
		{"POST", []string{"PUT", ""}, "/b", "POST /b"},
		{"POST", []string{"DELETE"}, "/c", "DELETE /c"},
		{"post", []string{"DELETE"}, "/a/1", "POST /a/{x} + DELETE /a/{x}"},
		{"PATCH", []string{"DELETE"}, "/d", ""},
		// Who may read may not invalidate.
		{"GET", []string{"DELETE"}, "/a/1", "GET /a/{x}"},
		{"GET", []string{"PATCH"}, "/a/1", "GET /a/{x}"},
		{"GET", []string{"DELETE"}, "/c", ""},
		{"OPTIONS", []string{"DELETE"}, "/c", ""},
		{"get", []string{"DELETE"}, "/c", ""},
	} {
		cache, rule := p.MatchOverridden(c.method, c.methods, "", c.path)
		got := ruleName(rule)
		if cache != nil {
			got += cache.Patterns()[0]
		}
		if got != c.want {
			t.Errorf("%s with %q of %s: %q, want %q", c.method, c.methods, c.path, got, c.want)
		}
	}
	for name, want := range map[string]bool{"x-http-method": true, "x_http_method_override": true, "x-http_method": true, "x_method": false, "xhttp_method": false} {
		if Overrides(name) != want {
			t.Errorf("%s overrides: %t", name, !want)
		}
	}
	origin, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {"c": {"match": ["GET /c"], "ttl": "origin", "shared": true}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	if cache, rule := origin.MatchOverridden("POST", []string{"DELETE"}, "", "/c"); cache != nil || rule != origin.Unruled("DELETE") {
		t.Errorf("without a rule: %v, %v", cache, rule)
	}
	if cache, rule := origin.MatchOverridden("GET", []string{"DELETE"}, "", "/c"); cache == nil || rule != nil {
		t.Errorf("a read: %v, %v", cache, rule)
	}
}
