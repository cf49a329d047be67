package mesh

import (
	"strings"
	"testing"
	"time"
)

// ownSecrets is the chat policy with a partition secret and a bridge token of its own.
func ownSecrets(secret, token string) func(document map[string]any) {
	return func(document map[string]any) {
		if secret != "" {
			document["partition_secret"] = secret
		}
		if token != "" {
			document["bridge"].(map[string]any)["token"] = token
		}
	}
}

// A policy's own partition secret and bridge token stand for those of the environment, and the log warns of each: the bridge, which has
// the same policy, finds by its secret what the filter has stored, and refuses who shows another token than its own.
func TestSecretsOfThePolicyComeFirst(t *testing.T) {
	m := ofOrigin(t, ChatPolicy(t, ownSecrets("a partition secret of the policy's own", "")), nil)
	stats := Request{Method: "GET", Path: "/api/chat/stats", User: "ann"}
	m.Do(0, stats)
	m.clock.Settle()
	if got := m.Do(0, stats); !got.Hit() {
		t.Fatalf("%v", got)
	}
	m.Invalidate("create session", "ann")
	if got := m.Do(0, stats); got.Hit() {
		t.Errorf("invalidated by the policy's secret, and still answered: %v", got)
	}
	if !strings.Contains(m.Logs(), "[warn] chatcache: policy: /partition_secret") {
		t.Errorf("nothing warns of the secret:\n%s", m.Logs())
	}
	m = ofOrigin(t, ChatPolicy(t, ownSecrets("", "a token that the bridge doesn't know")), nil)
	m.Do(0, stats)
	m.clock.Settle()
	if got := m.Do(0, stats); got.Hit() || !strings.Contains(got.CacheStatus(), "bridge-error") {
		t.Errorf("with a token of the policy's that the bridge doesn't know: %v", got)
	}
}

// However often the root context is woken, nothing of that stays in the proxy. And the counter of panics is there before there is one: an alert
// says of a proxy without it that it runs without the filter.
func TestWhatTheFilterLeavesInTheProxy(t *testing.T) {
	m := ofOrigin(t, ChatPolicy(t), nil)
	for _, proxy := range m.proxies {
		if n, defined := proxy.Counters()["chatcache.panics"]; n != 0 || !defined {
			t.Errorf("panics: %d, defined: %t", n, defined)
		}
	}
	for i := range 20 {
		m.Do(i%Proxies, Request{Method: "GET", Path: "/api/chat/stats", User: "ann"})
		m.Do(i%Proxies, Request{Method: "POST", Path: "/api/chat/sessions", User: "ann", Body: `{"title":"x"}`})
		m.clock.Advance(time.Second)
	}
	m.Settle()
	for i, proxy := range m.proxies {
		if n := proxy.Queued(); n != 0 {
			t.Errorf("proxy %d: %d items are left in its shared queues", i, n)
		}
	}
}
