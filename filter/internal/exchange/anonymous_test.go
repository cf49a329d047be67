package exchange

import (
	"slices"
	"strings"
	"testing"

	"chatcache/redisbridge/wire"
)

// newRefusingWorld is one whose origin refuses writes without an identity, the policy says.
func newRefusingWorld(t *testing.T) *world {
	return newWorld(t, `"name": "save"`, `"origin_refuses_anonymous": true, "name": "save"`, `"max_response"`, `"origin_refuses_anonymous": true, "max_response"`)
}

// Somebody whom nobody knows keeps no cache from answering, however long the write takes and however it ends: it costs the bridge nothing.
func TestAnonymousWriteThatTheOriginRefuses(t *testing.T) {
	fetched := func(status string, fields ...[2]string) func(s *fakeStream) {
		return func(s *fakeStream) { s.respond(status, "who are you?", fields...) }
	}
	for name, end := range map[string]func(s *fakeStream){
		"refused":                fetched("401"),
		"led to the sign-in":     fetched("302", [2]string{"location", "/pages/1"}),
		"failed":                 fetched("500"),
		"a gateway's timeout":    fetched("504"),
		"broken off":             func(s *fakeStream) { s.exchange.Done() },
		"broken off half-way":    func(s *fakeStream) { s.head("401"); s.send("wh", false); s.exchange.Done() },
		"too many credentials":   fetched("401"),
		"of a resource, unruled": fetched("401"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newRefusingWorld(t)
			w.lease()
			fill(t, w, "ann", "one")
			var fields [][2]string
			if name == "too many credentials" {
				for _, user := range strings.Fields("a b c d e") {
					fields = append(fields, [2]string{"authorization", user})
				}
			}
			path := "/messages"
			if name == "of a resource, unruled" {
				path = "/pages/1"
			}
			s := w.stream("POST", path, "", fields...)
			if action := s.exchange.RequestHeaders(false); action != Continue {
				t.Fatalf("action %v: it waits", action)
			}
			if !hit(w, "ann") {
				t.Error("its beginning keeps ann's own memory from answering")
			}
			end(s)
			if got := s.cacheStatus(); s.fields != nil && got != "chatcache; fwd=method; detail=no-identity" {
				t.Errorf("Cache-Status %q", got)
			}
			w.run()
			w.none(wire.PathSuspend)
			w.none(wire.PathClose)
			if !hit(w, "ann") {
				t.Error("its end keeps ann's own memory from answering")
			}
			w.nothingLeft()
		})
	}
}

// Where the origin does such a write all the same, whoever sees that finds nothing older.
func TestAnonymousWriteThatTheOriginDoes(t *testing.T) {
	w := newRefusingWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	s := w.stream("POST", "/messages", "")
	s.exchange.RequestHeaders(true)
	s.head("201")
	raise := w.take(wire.PathClose)
	if m := decoded(w, raise, wire.DecodeCloseRequest); !m.Raise || !slices.Equal(m.Groups, []string{"c:stats", "c:deep"}) {
		t.Errorf("raised %+v, want the whole of both caches", m)
	}
	if s.released != 0 || hit(w, "ann") {
		t.Errorf("the response has gone on %d times before its raise; in L1: %t", s.released, hit(w, "ann"))
	}
	raise.ack()
	s.wants("chatcache; fwd=method")
	if s.released != 1 || hit(w, "ann") {
		t.Errorf("the response has gone on %d times; in L1: %t", s.released, hit(w, "ann"))
	}
	s.send("done", true) // what the origin does until its last byte counts, too
	s.exchange.Done()
	if m, c := w.takeClose(); !m.Raise || !slices.Equal(m.Groups, []string{"c:stats", "c:deep"}) {
		t.Errorf("at the end: %+v", m)
	} else {
		c.ack()
	}
	if n := w.counts["chatcache.cache.stats.invalidations"]; n != 1 {
		t.Errorf("%d invalidations counted", n)
	}
	w.run()
	w.none(wire.PathSuspend)
}

// With an identity, and by a rule that says otherwise, a write is one like any.
func TestWriteBesideAnOriginThatRefusesAnonymous(t *testing.T) {
	w := newRefusingWorld(t)
	_, m, _ := w.write("POST")
	if m.Groups[0] != partitionGroup(w, "ann") {
		t.Errorf("suspended %q", m.Groups)
	}
	w = newWorld(t, `"max_response"`, `"origin_refuses_anonymous": true, "max_response"`, `"name": "save"`, `"origin_refuses_anonymous": false, "name": "save"`)
	s := w.stream("POST", "/messages", "")
	if action := s.exchange.RequestHeaders(true); action != PauseAll {
		t.Fatalf("action %v: not suspended", action)
	}
	if m := decoded(w, w.take(wire.PathSuspend), wire.DecodeSuspendRequest); m.Groups[0] != "c:stats" {
		t.Errorf("suspended %q", m.Groups)
	}
}
