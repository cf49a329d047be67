package policy

import (
	"os"
	"testing"
)

// chatPolicy is the policy of the sample chat API that operators deploy.
func chatPolicy(tb testing.TB) *Policy {
	tb.Helper()
	doc, err := os.ReadFile("../envoy/chat.policy.json")
	if err != nil {
		tb.Fatal(err)
	}
	p, problems := Parse(doc)
	if problems != nil {
		tb.Fatal(problems)
	}
	if w := p.Warnings(); w != nil {
		tb.Fatal(w)
	}
	return p
}

func TestChatPolicyMatches(t *testing.T) {
	p := chatPolicy(t)
	for _, test := range []struct{ method, path, cache, rule string }{
		{"GET", "/api/chat/stats", "stats", ""},
		{"GET", "/api/chat/search?q=go", "search", ""},
		{"GET", "/api/user/me", "user", ""},
		{"GET", "/api/chat/sessions?page=2", "sessions", ""},
		{"GET", "/api/chat/sessions/s1", "sessions", ""},
		{"GET", "/api/models", "models", ""},
		{"GET", "/api/activity", "activity", ""},
		{"GET", "/api/rankings", "rankings", ""},
		{"POST", "/v1/initialize", "flags", ""},
		{"POST", "/api/chat/sessions", "", "create session"},
		{"PUT", "/api/chat/sessions/s1", "", "update session"},
		{"PATCH", "/api/chat/sessions/s1", "", "update session"},
		{"DELETE", "/api/chat/sessions/s1", "", "delete session"},
		{"POST", "/api/chat/sessions/s1/messages", "", "save message"},
		{"DELETE", "/api/chat/sessions/s1/messages/m1", "", "delete message"},
		{"GET", "/api/chat/sessions/s1/messages", "", ""},
		{"POST", "/api/chat/stats", "", ""},
		{"GET", "/v1/initialize", "", ""},
	} {
		cache, rule := p.Match(test.method, "chat.example", test.path)
		if cacheName(cache) != test.cache || ruleName(rule) != test.rule {
			t.Errorf("%s %s: cache %q, rule %q; want %q, %q", test.method, test.path, cacheName(cache), ruleName(rule), test.cache, test.rule)
		}
	}
}

func cacheName(c *Cache) string {
	if c == nil {
		return ""
	}
	return c.Name
}

func ruleName(i *Invalidation) string {
	if i == nil {
		return ""
	}
	return i.Name
}
