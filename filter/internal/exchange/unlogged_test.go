package exchange

import (
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// newUnloggedWorld is a proxy with clients of HTTP/3, which doesn't tell in time that a stream has ended.
func newUnloggedWorld(t *testing.T) *world {
	w := newWorld(t)
	w.protocol = "HTTP/3"
	w.lease()
	return w
}

// vanish ends the stream without a word: its context is gone.
func (s *fakeStream) vanish() {
	s.gone = true
	s.w.now += lookAfterUnlogged
	s.w.run()
}

// nothingUnlogged wants nothing left of streams that have ended.
func (w *world) nothingUnlogged() {
	w.t.Helper()
	w.now += lookAfterUnlogged
	w.run()
	if n := len(w.plugin.state.unlogged.streams); n != 0 {
		w.t.Errorf("%d streams are looked after", n)
	}
	if n := len(w.plugin.state.writes.open); n != 0 {
		w.t.Errorf("%d writes are renewed", n)
	}
	w.nothingLeft()
}

// A response is stored once its last part has passed, and others needn't wait for it in vain.
func TestReadOverHTTP3(t *testing.T) {
	for name, rest := range map[string]func(s *fakeStream){
		"in one part": func(s *fakeStream) { s.head("200", [2]string{"content-length", "3"}); s.send("one", true) },
		"its end extra": func(s *fakeStream) {
			s.head("200", [2]string{"content-length", "3"})
			s.send("one", false)
			s.send("", true)
		},
		"told all the same": func(s *fakeStream) { s.respond("200", "one") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newUnloggedWorld(t)
			leader, waiting := w.herd("/stats", 1)
			rest(leader)
			w.settle()
			w.answered("chatcache; fwd=uri-miss; collapsed; ttl=600; detail=l1", "one", waiting...)
			w.take(wire.PathStore).ack()
			w.nothingUnlogged()
		})
	}
}

// A write's suspension ends with its response, and is renewed no more.
func TestWriteOverHTTP3(t *testing.T) {
	w := newUnloggedWorld(t)
	s, suspension, c := w.write("POST")
	c.ack()
	s.head("201", [2]string{"content-length", "2"})
	w.run()
	w.none(wire.PathClose)
	s.send("{}", true)
	end, last := w.takeClose()
	if end.ID != suspension.ID || !end.Raise {
		t.Errorf("close %+v", end)
	}
	last.ack()
	w.now += time.Hour
	w.run()
	w.none(wire.PathSuspend)
	w.nothingUnlogged()
}

// Likewise where the response has no content, and its header section waits for what it names.
func TestWriteThatNamesGroupsOverHTTP3(t *testing.T) {
	w := newUnloggedWorld(t)
	s, _, c := w.write("POST")
	c.ack()
	s.fields = [][2]string{{":status", "204"}, {"cache-group-invalidation", `"a"`}}
	if action := s.exchange.ResponseHeaders(true); action != PauseAll {
		t.Fatalf("action %v", action)
	}
	w.take(wire.PathClose).ack()
	if s.released != 1 {
		t.Fatalf("let on %d times", s.released)
	}
	_, last := w.takeClose()
	last.ack()
	w.nothingUnlogged()
}

// A stream whose response was cut has no end. That it is gone is noticed: nothing of it is stored, and a write's outcome is unknown.
func TestStreamsThatAreCutOverHTTP3(t *testing.T) {
	w := newUnloggedWorld(t)
	leader, waiting := w.herd("/stats", 1)
	leader.head("200", [2]string{"content-length", "3"})
	leader.send("on", false)
	w.now += lookAfterUnlogged / 2
	w.run()
	w.held(waiting...)
	leader.vanish()
	w.settle()
	w.none(wire.PathStore)
	w.take(wire.PathLookup).granted()
	w.settle()
	w.forwarded("chatcache; fwd=uri-miss; collapsed=?0; stored", waiting...)
	w.run()
	w.take(wire.PathStore).ack()

	s, suspension, c := w.write("POST")
	c.ack()
	s.head("200")
	s.vanish()
	w.settle()
	settle := w.take(wire.PathSuspend)
	if m, err := wire.DecodeSuspendRequest(settle.frame); err != nil || m.ID != suspension.ID || m.Deadline != 10_000 {
		t.Errorf("suspended %q for %d ms (%v), want %q for its settle", m.ID, m.Deadline, err, suspension.ID)
	}
	settle.ack()
	w.nothingUnlogged()
}

// What ends by itself isn't looked after: whoever is answered from memory asks the proxy nothing for that.
func TestWhatIsNotLookedAfter(t *testing.T) {
	w := newUnloggedWorld(t)
	w.missed("ann").respond("200", "one")
	w.run()
	w.take(wire.PathStore).ack()
	w.nothingUnlogged()
	w.stream("GET", "/stats", "ann").exchange.RequestHeaders(true)
	w.stream("GET", "/elsewhere", "ann").exchange.RequestHeaders(true)
	w.protocol = "HTTP/2"
	w.missed("bob")
	if n := len(w.plugin.state.unlogged.streams); n != 0 {
		t.Errorf("%d streams are looked after", n)
	}
}
