package istio

import (
	"net/http"
	"strings"
	"testing"
)

var ingress = gatewayOptions{
	Name: "ingress", IP: gatewayIP, Namespace: "istio-ingress", Workers: 2,
	Labels: map[string]string{"istio": "ingressgateway"},
}

// The scenario of the README's first page, through Istio.
func TestChatThroughAGateway(t *testing.T) {
	w := newWorld(t)
	g := startGateway(t, w, ingress)

	first := g.Get("ada", "/api/chat/sessions")
	if first.Status != http.StatusOK || first.CacheStatus != "chatcache; fwd=uri-miss; stored" {
		t.Fatalf("first read: %v", first)
	}
	if again := untilHit(t, g, "ada", "/api/chat/sessions"); again.Body != first.Body {
		t.Errorf("hit: %v, want what was stored: %v", again, first)
	}

	if r := g.Do(request{http.MethodPost, "/api/chat/sessions", "ada", `{"title":"told by ada"}`}); r.Status != http.StatusCreated || r.CacheStatus != "chatcache; fwd=method" {
		t.Fatalf("write: %v", r)
	}
	until(t, "every worker shows the write", func() bool {
		for range 8 {
			if !strings.Contains(g.Get("ada", "/api/chat/sessions").Body, "told by ada") {
				return false
			}
		}
		return true
	})
	untilHit(t, g, "ada", "/api/chat/sessions")

	bob := g.Get("bob", "/api/chat/sessions")
	if bob.Status != http.StatusOK || bob.Hit() || strings.Contains(bob.Body, "ada") {
		t.Errorf("bob's first read: %v, want his own from the origin", bob)
	}
	if bob := untilHit(t, g, "bob", "/api/chat/sessions"); strings.Contains(bob.Body, "ada") {
		t.Errorf("bob's hit: %v, want his own", bob)
	}
}
