package exchange

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"chatcache/redisbridge/wire"
)

// What a VM remembers of Vary are names, and not the responses that they stood in: those of thousands of keys would fill it.
func TestVariantsPinNoResponse(t *testing.T) {
	w := newWorld(t)
	first := w.language("en")
	w.take(wire.PathLookup).miss(1)
	first.respond("200", "in en", maxAge("max-age=60"), [2]string{"vary", "accept-language"})
	entry := w.stored().Entry

	other := newWorld(t)
	other.lease() // its lookups are no joins any more
	answer := func() weak.Pointer[byte] {
		s := other.language("de")
		frame := wire.LookupAnswer{State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: entry, Remaining: 60_000}.Encode()
		other.take(wire.PathLookup).ok(frame)
		s.respond("200", "in de", maxAge("no-store"))
		return weak.Make(&frame[0])
	}()
	if len(other.plugin.state.variants.names) != 1 {
		t.Fatal("the VM hasn't learned that there are variants")
	}
	runtime.GC()
	if answer.Value() != nil {
		t.Error("the bridge's answer is still in memory")
	}
	runtime.KeepAlive(other)
}

// A comparison keeps a copy, in the budget, of what L1 has, not the whole segment that it stands in. Once it waits for the
// bridge it has given its room back, and so must not keep that either.
func TestComparisonPinsNoSegment(t *testing.T) {
	w := shadowed(t)
	s := w.withheld()
	read := s.exchange.flow.(*read)
	segment := func() weak.Pointer[byte] {
		item, ok := w.plugin.state.l1.Get(read.key, int64(w.now))
		if !ok {
			t.Fatal("nothing is stored")
		}
		return weak.Make(&item.Block[0])
	}()
	body := weak.Make(&read.shadow.body[0])
	w.plugin.state.l1.Clear()
	runtime.GC()
	if segment.Value() != nil {
		t.Error("the segment of L1 is still in memory")
	}
	if body.Value() == nil {
		t.Fatal("what is to be compared is gone")
	}
	s.respond("200", `{"n":2,"ts":1}`)
	w.run()
	runtime.GC()
	if body.Value() != nil {
		t.Error("the stored response is still in memory")
	}
	w.take(wire.PathLookup).ok(w.found(stored))
	w.wantVerified(1, 0, 1, 0)
}

// What waits for the origin to confirm it is in the budget with its own bytes, so it keeps no more than these: the bridge's answer
// may have many times as much, of other lookups.
func TestValidationPinsNoAnswer(t *testing.T) {
	w := newWorld(t)
	m := w.cached("whole", maxAge("max-age=1"), tagged)
	s := w.page()
	answer := func() weak.Pointer[byte] {
		frame := wire.LookupAnswer{
			State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Entry: m.Entry, Age: 2000, Remaining: m.TTL - 2000, Granted: true,
		}.Encode()
		w.take(wire.PathLookup).ok(frame)
		return weak.Make(&frame[0])
	}()
	runtime.GC()
	if answer.Value() != nil {
		t.Error("the bridge's answer is still in memory")
	}
	s.respond("304", "")
	if s.wants("chatcache; fwd=stale; fwd-status=304; stored"); string(s.reply) != "whole" {
		t.Errorf("the answer is %q", s.reply)
	}
}

// However many stale responses are being validated at a time, what is kept of them has a bound in bytes.
func TestStaleResponsesThatAreFetchedAreBounded(t *testing.T) {
	w := newWorld(t, `"max_response": "4KiB"`, `"max_response": "7MiB", "stream_above": "7MiB"`)
	m := w.cached(strings.Repeat("x", 4<<20), maxAge("max-age=1"), tagged)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var streams []*fakeStream
	for i := range 40 {
		s := w.stream("GET", fmt.Sprint("/pages/", 2+i), "")
		s.exchange.RequestHeaders(true)
		w.answers(m, 2*time.Second, wire.LookupHit, true)
		streams = append(streams, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > maxCaptured+(8<<20) {
		t.Errorf("%d MiB are kept, at most %d may be", grown>>20, maxCaptured>>20)
	}
	validated := 0
	for _, s := range streams {
		if s.request.Has("if-none-match") {
			validated++
		}
		s.respond("200", "anew", maxAge("no-store"))
	}
	if validated != maxCaptured/(4<<20+200) {
		t.Errorf("%d were validated", validated)
	}
	for len(w.calls) > 0 {
		w.calls[0].ack()
		w.calls = w.calls[1:]
		w.settle()
	}
	w.nothingLeft()
}
