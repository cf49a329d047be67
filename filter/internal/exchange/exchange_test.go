package exchange

import (
	"testing"
)

// An exchange is over once it has answered in the callback of the request's header section, or where no rule matches: nobody need tell it of
// the rest of its stream. As long as it has something to do with that, it isn't.
func TestOver(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	begin := func(method, path string, extra ...[2]string) *fakeStream {
		s := w.stream(method, path, "ann", extra...)
		s.exchange.RequestHeaders(true)
		return s
	}
	for name, test := range map[string]struct {
		stream *fakeStream
		over   bool
	}{
		"a hit in L1":            {begin("GET", "/stats"), true},
		"no rule":                {begin("GET", "/elsewhere"), true},
		"only-if-cached, a miss": {begin("GET", "/stats?page=1", [2]string{"cache-control", "only-if-cached"}), false}, // Redis may have it
		"a miss":                 {begin("GET", "/stats?page=2"), false},
		"a request not to cache": {begin("GET", "/stats", [2]string{"cache-control", "no-store"}), false}, // its Cache-Status says so
		"a write":                {begin("POST", "/messages"), false},
	} {
		if over := test.stream.exchange.Over(); over != test.over {
			t.Errorf("%s: over is %t", name, over)
		}
	}
}

// The callbacks that a host may spare itself change nothing where they come.
func TestCallbacksOfOneThatIsOver(t *testing.T) {
	w := newWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	s := w.stream("GET", "/stats", "ann")
	s.exchange.RequestHeaders(true)
	calls, hits := len(w.calls), w.counts["chatcache.cache.stats.tier.l1.hits"]
	if action := s.exchange.RequestBody(1, true); action != Continue {
		t.Errorf("request body: %v", action)
	}
	s.fields = s.replyField()
	if action := s.exchange.ResponseHeaders(false); action != Continue {
		t.Errorf("response headers: %v", action)
	}
	s.exchange.ResponseBody(0, true)
	s.exchange.ResponseTrailers()
	s.exchange.Done()
	s.wants("chatcache; hit; ttl=600; detail=l1")
	if len(w.calls) != calls || w.counts["chatcache.cache.stats.tier.l1.hits"] != hits || !s.exchange.Over() {
		t.Errorf("%d more calls, %d more hits, over: %t", len(w.calls)-calls, w.counts["chatcache.cache.stats.tier.l1.hits"]-hits, s.exchange.Over())
	}
}
