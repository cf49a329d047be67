package istio

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/jwt"
)

// The sample policies' "payload" is where RequestAuthentication leaves a token's claims: the identity is the verified subject, whatever
// token carries it, and a token that Istio refuses gets nothing from the cache.
func TestTheIdentityIsAVerifiedClaim(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		proxy proxyOptions
	}{
		"gateway": {files: gatewayFiles, proxy: ingress},
		"sidecar": {files: sidecarFiles, proxy: sidecar},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.files...)
			w.Istio.Apply(readManifests(t, strings.NewReplacer("ISSUER", jwt.Issuer, "KEYS", jwt.Keys()), filepath.Join("testdata", "jwt.yaml")).Istio...)
			p := startProxy(t, w, tt.proxy)
			token := func(subject, id string) string {
				return jwt.Sign(map[string]any{"iss": jwt.Issuer, "sub": subject, "jti": id})
			}
			ada := token("ada", "1")
			chat(t, p, ada, token("bob", "2"))

			stored := untilHit(t, p, ada, "/api/chat/sessions")
			if r := p.Get(token("ada", "3"), "/api/chat/sessions"); !r.Hit() || r.Body != stored.Body {
				t.Errorf("ada's other token: %v, want a hit: %v", r, stored)
			}
			forged := ada[:strings.LastIndex(ada, ".")] + token("bob", "2")[strings.LastIndex(token("bob", "2"), "."):]
			if r := p.Get(forged, "/api/chat/sessions"); r.Status != http.StatusUnauthorized || r.CacheStatus != "" {
				t.Errorf("a token with another's signature: %v, want 401 from Istio", r)
			}
		})
	}
}
