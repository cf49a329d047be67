package istio

import (
	"net/http"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// The proxies that the shipped files put the filter into.
var (
	ingress = proxyOptions{
		Name: "ingress", IP: gatewayIP, Namespace: "istio-ingress", Workers: 2,
		Labels: map[string]string{"istio": "ingressgateway"},
	}
	sidecar = proxyOptions{
		Name: "chat-api", IP: sidecarIP, Namespace: "chat", Workers: 2,
		Labels: map[string]string{"app": "chat-api"}, Beside: 3000,
	}
)

// The scenario of the README's first page, through Istio.
func TestChat(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		proxy proxyOptions
	}{
		"gateway":                     {gatewayFiles, ingress},
		"sidecar":                     {sidecarFiles, sidecar},
		"gateway, the bridge outside": {outsideFiles, ingress},
	} {
		t.Run(name, func(t *testing.T) { chat(t, startProxy(t, newWorld(t, tt.files...), tt.proxy), "ada", "bob") })
	}
}

// chat has two users, by their tokens, read and write.
func chat(t *testing.T, p *proxy, ada, bob string) {
	first := p.Get(ada, "/api/chat/sessions")
	if first.Status != http.StatusOK || first.CacheStatus != "chatcache; fwd=uri-miss; stored" {
		t.Fatalf("first read: %v", first)
	}
	if again := untilHit(t, p, ada, "/api/chat/sessions"); again.Body != first.Body {
		t.Errorf("hit: %v, want what was stored: %v", again, first)
	}

	if r := p.Do(request{http.MethodPost, "/api/chat/sessions", ada, `{"title":"told by ada"}`}); r.Status != http.StatusCreated || r.CacheStatus != "chatcache; fwd=method" {
		t.Fatalf("write: %v", r)
	}
	stack.UntilT(t, "every worker shows the write", func() bool {
		for range 8 {
			if !strings.Contains(p.Get(ada, "/api/chat/sessions").Body, "told by ada") {
				return false
			}
		}
		return true
	})
	untilHit(t, p, ada, "/api/chat/sessions")

	other := p.Get(bob, "/api/chat/sessions")
	if other.Status != http.StatusOK || other.Hit() || strings.Contains(other.Body, "told by ada") {
		t.Errorf("bob's first read: %v, want his own from the origin", other)
	}
	if other := untilHit(t, p, bob, "/api/chat/sessions"); strings.Contains(other.Body, "told by ada") {
		t.Errorf("bob's hit: %v, want his own", other)
	}
}

// An EnvoyFilter sets what a WasmPlugin can't: responses are kept apart by the requests' bodies, and all else is as it was.
func TestCachesKeyedByABody(t *testing.T) {
	p := startProxy(t, newWorld(t, bodiesFiles...), sidecar)
	chat(t, p, "ada", "bob")

	ask := func(user, body string) response {
		return p.Do(request{http.MethodPost, "/v1/initialize", user, body})
	}
	stored := map[string]response{}
	for _, body := range []string{`{"client":"web"}`, `{"client":"app"}`} {
		stored[body] = ask("ada", body)
		if r := stored[body]; r.Status != http.StatusOK || r.CacheStatus != "chatcache; fwd=uri-miss; stored" {
			t.Fatalf("%s: %v, want it from the origin", body, r)
		}
	}
	for body, want := range stored {
		stack.UntilT(t, "a hit on "+body, func() bool {
			r := ask("ada", body)
			if r.Body != want.Body {
				t.Fatalf("%s: %v, want what was stored: %v", body, r, want)
			}
			return r.Hit()
		})
	}
	if r := ask("bob", `{"client":"web"}`); r.Hit() || r.Body == stored[`{"client":"web"}`].Body {
		t.Errorf("bob's first: %v, want his own from the origin", r)
	}
}
