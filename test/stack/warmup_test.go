package stack

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// WarmUp writes, and then reads until so many answers in a row come from the cache that each worker has very probably
// given one.
func TestWarmUp(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method)
		status := "chatcache; hit; ttl=60; detail=l2"
		if n := len(asked); n <= 5 || n == 10 { // a second worker is asked for the first time
			status = "chatcache; fwd=bypass; detail=bridge-timeout"
		}
		w.Header().Set("Cache-Status", status)
	}))
	defer proxy.Close()
	WarmUp(t.Context(), proxy.URL)
	if len(asked) != 10+warmUpHits || asked[0] != http.MethodPost || asked[1] != http.MethodGet {
		t.Errorf("%d requests, %v, want a write, and reads until %d hits in a row", len(asked), asked, warmUpHits)
	}
}
