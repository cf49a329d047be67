package exchange

import (
	"fmt"
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
		"of a resource, unruled": fetched("401"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newRefusingWorld(t)
			w.lease()
			fill(t, w, "ann", "one")
			path := "/messages"
			if name == "of a resource, unruled" {
				path = "/pages/1"
			}
			s := w.stream("POST", path, "")
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

// A write that invalidates nothing, whoever it is of, is told nothing about its identity.
func TestAnonymousWriteOfNothingThatIsStored(t *testing.T) {
	w := newRefusingWorld(t)
	for _, user := range []string{"", "ann"} {
		s := w.stream("POST", "/elsewhere", user)
		if action := s.exchange.RequestHeaders(true); action != Continue {
			t.Fatalf("of %q: action %v: it waits", user, action)
		}
		s.respond("200", "")
		if got := s.cacheStatus(); got != "" {
			t.Errorf("of %q: Cache-Status %q", user, got)
		}
	}
	if len(w.warned) > 0 || w.counts["chatcache.anonymous_done"] > 0 {
		t.Errorf("logged %q, counted %v", w.warned, w.counts)
	}
	w.nothingLeft()
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
	again := w.stream("POST", "/messages", "")
	again.exchange.RequestHeaders(true)
	again.head("200")
	want := []string{`chatcache: the origin answered 201 to a write without a credential by the rule "save": "origin_refuses_anonymous" is wrong there`}
	if n := w.counts["chatcache.anonymous_done"]; n != 2 || !slices.Equal(w.warned, want) {
		t.Errorf("%d counted, logged %q", n, w.warned)
	}
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

// withClaim is a stream of somebody whom jwt_authn has verified.
func (w *world) withClaim(method, path, sub string) *fakeStream {
	s := w.stream(method, path, "")
	s.properties["metadata.filter_metadata.envoy.filters.http.jwt_authn.jwt_payload.sub"] = []byte(sub)
	return s
}

// Nobody checks what a write's credentials name but the origin: with too many of them, or with one that may be another's, it may be done, and
// is a write of all that it has. It keeps nobody else's cache from answering: one could make up credentials.
func TestWriteWhoseCredentialsMakeNoIdentity(t *testing.T) {
	for name, made := range map[string]struct {
		write func(w *world) *fakeStream
		parts int
	}{
		"too many": {func(w *world) *fakeStream {
			s := w.stream("POST", "/messages", "")
			for _, user := range []string{"", "one", "two", "ann", "three", "four", "two"} {
				s.request = append(s.request, [2]string{"authorization", user})
			}
			return s
		}, 5},
		"very many": {func(w *world) *fakeStream {
			s := w.stream("POST", "/messages", "ann")
			for i := range 1000 {
				s.request = append(s.request, [2]string{"authorization", fmt.Sprint(i)})
			}
			return s
		}, 31},
		"one that may be two users'": {func(w *world) *fakeStream { return w.withClaim("POST", "/messages", "alice_0C") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, `"name": "save"`, `"origin_refuses_anonymous": true, "name": "save"`,
				`[{"header": "authorization"}]`, `[{"header": "authorization"}, {"jwt_authn_claim": "sub"}]`)
			w.lease()
			fill(t, w, "ann", "one")
			fill(t, w, "bob", "one")
			s := made.write(w)
			if action := s.exchange.RequestHeaders(true); action != PauseAll {
				t.Fatalf("action %v: not suspended", action)
			}
			suspend := w.take(wire.PathSuspend)
			m := decoded(w, suspend, wire.DecodeSuspendRequest)
			if len(m.Groups) != 2*made.parts {
				t.Errorf("suspended %q, want those of %d credentials", m.Groups, made.parts)
			}
			if ann := partitionGroup(w, "ann"); made.parts > 1 && !slices.Contains(m.Groups, ann) {
				t.Errorf("suspended %q without ann's %s", m.Groups, ann)
			}
			if !hit(w, "bob") {
				t.Error("bob's own memory doesn't answer")
			}
			suspend.ack()
			s.respond("303", "", [2]string{"location", "/messages/1"})
			s.wants("chatcache; fwd=method")
			if closed, c := w.takeClose(); !closed.Raise || !slices.Equal(closed.Groups, m.Groups) {
				t.Errorf("at the end: %+v", closed)
			} else {
				c.ack()
			}
			if made.parts > 1 && hit(w, "ann") {
				t.Error("ann finds what was before her write")
			}
		})
	}
}

// Where anybody may write without a rule, a field that names a method with one doesn't make the write refused: what its URI names is
// invalidated as without the field, and no more.
func TestAnonymousWriteThatIsRefusedByAnotherMethod(t *testing.T) {
	w := newWorld(t, `"invalidations": [`, `"invalidations": [
    {"name": "remove", "match": ["DELETE /pages/{page}"], "invalidate": ["pages", "stats"], "origin_refuses_anonymous": true},`)
	for _, field := range [][2]string{{"x-plain", ""}, {"x-http-method-override", "DELETE"}} {
		s := w.stream("POST", "/pages/1", "", field)
		if action := s.exchange.RequestHeaders(true); action != PauseAll {
			t.Fatalf("%v: action %v: not suspended", field, action)
		}
		suspend := w.take(wire.PathSuspend)
		if m := decoded(w, suspend, wire.DecodeSuspendRequest); len(m.Groups) != 1 || !strings.HasPrefix(m.Groups[0], "u:") {
			t.Errorf("%v: suspended %q, want its URI", field, m.Groups)
		}
		suspend.ack()
		s.respond("303", "")
		if m, c := w.takeClose(); !m.Raise {
			t.Errorf("%v: at the end: %+v", field, m)
		} else {
			c.ack()
		}
	}
	s := w.stream("DELETE", "/pages/1", "")
	if action := s.exchange.RequestHeaders(true); action != Continue {
		t.Errorf("without an identity: action %v", action)
	}
}

// Of rules that join, each says for its own caches whether anybody may write them. If the origin does the write, all of them are invalidated.
func TestAnonymousWriteByTwoRules(t *testing.T) {
	w := newWorld(t, `"invalidations": [`, `"invalidations": [
    {"name": "remove", "match": ["DELETE /messages"], "invalidate": ["models", "stats"], "origin_refuses_anonymous": true},`)
	for _, status := range []string{"303", "200"} {
		s := w.stream("POST", "/messages", "", [2]string{"x-http-method", "DELETE"})
		s.exchange.RequestHeaders(true)
		suspend := w.take(wire.PathSuspend)
		if m := decoded(w, suspend, wire.DecodeSuspendRequest); !slices.Equal(m.Groups, []string{"c:stats", "c:deep"}) {
			t.Errorf("suspended %q", m.Groups)
		}
		suspend.ack()
		s.head(status)
		if status == "200" {
			raise := w.take(wire.PathClose)
			if m := decoded(w, raise, wire.DecodeCloseRequest); !m.Raise || !slices.Contains(m.Groups, "c:models") {
				t.Errorf("raised %+v", m)
			}
			raise.ack()
		}
		s.send("", true)
		s.exchange.Done()
		_, c := w.takeClose()
		c.ack()
		if status == "200" { // what was raised before, once more
			_, c = w.takeClose()
			c.ack()
		}
		w.nothingLeft()
	}
	if n := w.counts["chatcache.cache.stats.invalidations"]; n != 2 {
		t.Errorf("%d invalidations counted", n)
	}
}

// An upgraded write is done until its stream ends, whoever it is of.
func TestAnonymousWriteThatIsUpgraded(t *testing.T) {
	w := newRefusingWorld(t)
	w.lease()
	fill(t, w, "ann", "one")
	s := w.stream("POST", "/messages", "")
	s.exchange.RequestHeaders(false)
	s.head("101")
	w.take(wire.PathClose).ack()
	if hit(w, "ann") {
		t.Error("ann finds what was before the write")
	}
}
