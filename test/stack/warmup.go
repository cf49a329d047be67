package stack

import (
	"context"
	"net/http"
	"strings"
	"time"
)

const (
	warmUpHits  = 12               // in a row: of two workers each was very probably asked
	warmUpLimit = 20 * time.Second // a mesh that gives no hits until then is shown as it is
)

// WarmUp writes and reads as a user of its own, over a connection for each request, until the proxy's
// workers answer from the cache. The first request of a worker compiles and connects, and on a busy
// machine that takes longer than the policy's bridge.timeout: it would be a bypass.
func WarmUp(ctx context.Context, proxy string) {
	ctx, cancel := context.WithTimeout(ctx, warmUpLimit)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	status := func(method, path, body string) string {
		r, err := http.NewRequestWithContext(ctx, method, proxy+path, strings.NewReader(body))
		if err != nil {
			return ""
		}
		r.Header.Set("Authorization", "Bearer warm-up")
		resp, err := client.Do(r)
		if err != nil {
			return ""
		}
		resp.Body.Close()
		return resp.Header.Get("Cache-Status")
	}
	status("POST", "/api/chat/sessions", `{"title":"warm-up"}`)
	for hits := 0; hits < warmUpHits && ctx.Err() == nil; hits++ {
		if !strings.HasPrefix(status("GET", "/api/user/me", ""), "chatcache; hit") {
			hits = -1
		}
	}
}
