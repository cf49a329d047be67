package exchange

import (
	"regexp"
	"strings"
	"testing"

	"chatcache/redisbridge/wire"
)

var keyMember = regexp.MustCompile(`; key="([0-9a-f]{32})"$`)

// Where the policy wants it, Cache-Status tells which requests share a stored response, and nothing else of the key.
func TestStatusKey(t *testing.T) {
	w := newWorld(t)
	w.plugin = w.configure(strings.Replace(testPolicy, `"version": 1,`, `"version": 1, "cache_status_key": true,`, 1))
	w.lease()
	keys := map[string]string{}
	for _, user := range []string{"ann", "ben"} {
		s := w.missed(user)
		s.respond("200", "x")
		again := w.stream("GET", "/stats", user)
		again.exchange.RequestHeaders(true)
		miss, hit := keyMember.FindStringSubmatch(s.cacheStatus()), keyMember.FindStringSubmatch(again.cacheStatus())
		if miss == nil || hit == nil || miss[1] != hit[1] || keys[miss[1]] != "" {
			t.Fatalf("%s: %q, then %q", user, s.cacheStatus(), again.cacheStatus())
		}
		keys[miss[1]] = user
		if store, _ := wire.DecodeStoreRequest(w.takeStore().frame); strings.Contains(store.Key, miss[1]) {
			t.Errorf("it is part of the key in Redis, %s", store.Key)
		}
	}
	s := w.stream("GET", "/stats", "")
	s.exchange.RequestHeaders(true)
	s.respond("200", "x")
	if got := s.cacheStatus(); strings.Contains(got, "key=") {
		t.Errorf("there is no key: %q", got)
	}
}

func (w *world) takeStore() *call {
	w.run()
	return w.take(wire.PathStore)
}

// The key of a request that the cache isn't asked for all the same is told with its response, whatever
// other requests came meanwhile.
func TestStatusKeyOfABypass(t *testing.T) {
	told := func(between bool) string {
		w := newWorld(t)
		w.plugin = w.configure(strings.Replace(testPolicy, `"version": 1,`, `"version": 1, "cache_status_key": true,`, 1))
		w.lease()
		w.control(wire.Control{Percent: 1})
		s := w.stream("GET", "/stats", "ann")
		s.exchange.RequestHeaders(true)
		if between {
			w.stream("GET", "/deep", "somebody-else").exchange.RequestHeaders(true)
		}
		s.respond("200", "x")
		if got := s.cacheStatus(); !strings.Contains(got, "detail=percent") {
			t.Fatal(got)
		}
		return s.cacheStatus()
	}
	if alone, between := told(false), told(true); alone != between {
		t.Errorf("one request, two keys:\n%s\n%s", alone, between)
	}
}
