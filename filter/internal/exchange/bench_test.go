package exchange

import (
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// BenchmarkL1Hit is all that the filter does for a hit, without the proxy: the request's
// field lines are there already, and the reply goes nowhere.
func BenchmarkL1Hit(b *testing.B) {
	w := newWorld(b)
	w.lease()
	fill(b, w, "ann", strings.Repeat("x", 1024))
	benchmarkHit(b, w, w.stream("GET", "/stats", "ann"))
}

// BenchmarkL1HitOfVariant is one of a response that depends on a field of the request beyond the key.
func BenchmarkL1HitOfVariant(b *testing.B) {
	w := newWorld(b)
	w.lease()
	accept := [2]string{"accept-encoding", "gzip, deflate, br"}
	s := w.stream("GET", "/stats", "ann", accept)
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	s.respond("200", strings.Repeat("x", 1024), [2]string{"vary", "Accept-Encoding"})
	b.Run("by who stored it", func(b *testing.B) { benchmarkHit(b, w, w.stream("GET", "/stats", "ann", accept)) })
	clear(w.plugin.state.variants.names)
	b.Run("by who has it from Redis", func(b *testing.B) { benchmarkHit(b, w, w.stream("GET", "/stats", "ann", accept)) })
}

func benchmarkHit(b *testing.B, w *world, s *fakeStream) {
	w.passes(time.Second)
	b.ReportAllocs()
	for b.Loop() {
		s.exchange = w.plugin.NewExchange(s)
		s.status = 0
		s.exchange.RequestHeaders(true)
		s.exchange.ResponseHeaders(false)
		s.exchange.ResponseBody(1024, true)
		s.exchange.Done()
	}
	if s.status != 200 {
		b.Fatal("it was no hit")
	}
}

// BenchmarkUnmatched is a request that the policy knows nothing of.
func BenchmarkUnmatched(b *testing.B) {
	w := newWorld(b)
	s := w.stream("GET", "/nothing/of/ours", "ann")
	b.ReportAllocs()
	for b.Loop() {
		s.exchange = w.plugin.NewExchange(s)
		s.exchange.RequestHeaders(true)
		s.exchange.ResponseHeaders(false)
		s.exchange.Done()
	}
}

// BenchmarkL2Hit is all that the filter does for a hit in Redis, likewise: the bridge's answer is there already.
func BenchmarkL2Hit(b *testing.B) {
	w := newWorld(b)
	w.lease()
	s := w.begin("/deep")
	call := w.take(wire.PathLookup)
	entry := wire.Entry{
		Head: wire.Head{
			Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Definition: w.plugin.Policy.Cache("deep").Definition, Groups: call.lookup(w).Groups,
		},
		Payload: httpcache.Response{Status: 200, Freshness: httpcache.Freshness{Lifetime: 600}, Fields: sampleFields, Body: []byte(strings.Repeat("x", 1024))}.Append(nil),
	}.Encode()
	answer := Answer{Status: "200", Body: wire.LookupAnswer{
		State: wire.LookupHit, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Remaining: 600_000, Entry: entry,
	}.Encode()}
	call.done(answer)
	s.exchange.Done()
	b.ReportAllocs()
	for b.Loop() {
		s.exchange = w.plugin.NewExchange(s)
		s.status, w.calls = 0, w.calls[:0]
		s.exchange.RequestHeaders(true)
		w.calls[0].done(answer)
		s.exchange.ResponseHeaders(false)
		s.exchange.ResponseBody(1024, true)
		s.exchange.Done()
	}
	if s.status != 200 {
		b.Fatal("it was no hit")
	}
}

// BenchmarkMiss is all that the filter does for a miss and its fill, likewise: what the fake proxy allocates is in its figures, too.
func BenchmarkMiss(b *testing.B) {
	w := newWorld(b)
	w.lease()
	miss := Answer{Status: "200", Body: wire.LookupAnswer{State: wire.LookupMiss, Ticket: wire.Ticket{Epoch: 9, Sequence: 1}, Granted: true}.Encode()}
	ack := Answer{Status: "200", Body: wire.Ack{Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}.Encode()}
	s := w.stream("GET", "/stats", "ann")
	s.fields = append(httpcache.Fields{{":status", "200"}}, sampleFields...)
	s.chunk = []byte(strings.Repeat("x", 1024))
	b.ReportAllocs()
	for b.Loop() {
		s.exchange = w.plugin.NewExchange(s)
		s.resumed, s.added, w.calls = 0, s.added[:0], w.calls[:0]
		s.exchange.RequestHeaders(true)
		w.take(wire.PathLookup).done(miss)
		s.exchange.ResponseHeaders(false)
		s.exchange.ResponseBody(len(s.chunk), true)
		read := s.exchange.flow.(*read)
		s.exchange.Done()
		w.run()
		w.take(wire.PathStore).done(ack)
		w.plugin.state.l1.Delete(read.base)
		w.plugin.state.l1.Delete(read.key)
	}
	if s.resumed != 1 {
		b.Fatal("it was no miss")
	}
}

// sampleFields are those of a response with 1 KiB of JSON.
var sampleFields = httpcache.Fields{
	{"content-type", "application/json"}, {"content-length", "1024"}, {"date", "Sat, 28 Nov 2026 00:00:00 GMT"},
	{"etag", `"0123456789abcdef"`}, {"x-request-id", "0b6c2b8c-1f1f-4b8e-8f5a-3f4d2f0a7c11"}, {"vary", "accept-encoding"},
	{"cache-control", "private, max-age=600"}, {"server", "chat"}, {"x-content-type-options", "nosniff"}, {"strict-transport-security", "max-age=31536000"},
}
