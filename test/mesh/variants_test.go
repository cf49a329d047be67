package mesh

import (
	"fmt"
	"net/http"
	"testing"
)

// What a client has had replaced by a large response, which is uploaded under one key, answers nobody any more: no proxy that doesn't know that there are
// variants, and none that does.
func TestLargeVariantIsReplaced(t *testing.T) {
	for name, replacedAt := range map[string]int{"where the variants are known": 0, "where they aren't": 1} {
		t.Run(name, func(t *testing.T) {
			versions := 0
			m := ofOrigin(t, `{"version": 1, "name": "chat-api", "bridge": {"cluster": "redis-bridge", "timeout": "1s"}, "stream_above": "8B",
				"caches": {"docs": {"match": ["GET /docs/{d}"], "ttl": "origin", "shared": true}}}`,
				func(w http.ResponseWriter, r *http.Request) {
					versions++
					w.Header().Set("cache-control", "public, max-age=3600")
					w.Header().Set("vary", "accept-language")
					whole(w, fmt.Sprint("a long document, version ", versions))
				})
			get := func(proxy int, fields ...[2]string) string {
				return m.to(proxy, "GET", "https", "chat.test", "/docs/1", fields...).Body
			}
			get(0) // stored without a variant
			get(0) // and with it
			present := get(replacedAt, [2]string{"cache-control", "no-cache"})
			for i := range 2 * Proxies {
				if got := get(i % Proxies); got < present {
					t.Errorf("proxy %d answers %q after %q", i%Proxies, got, present)
				}
			}
			if versions > 3+2*Proxies {
				t.Errorf("the origin was asked %d times", versions)
			}
			asked := versions
			for i := range 2 * Proxies {
				get(i % Proxies)
			}
			if versions != asked {
				t.Errorf("the origin was asked %d times more", versions-asked)
			}
		})
	}
}
