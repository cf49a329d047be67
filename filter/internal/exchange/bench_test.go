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
	w.now += time.Second
	s := w.stream("GET", "/stats", "ann")
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

// sampleFields are those of a response with 1 KiB of JSON.
var sampleFields = httpcache.Fields{
	{"content-type", "application/json"}, {"content-length", "1024"}, {"date", "Sat, 28 Nov 2026 00:00:00 GMT"},
	{"etag", `"0123456789abcdef"`}, {"x-request-id", "0b6c2b8c-1f1f-4b8e-8f5a-3f4d2f0a7c11"}, {"vary", "accept-encoding"},
	{"cache-control", "private, max-age=600"}, {"server", "chat"}, {"x-content-type-options", "nosniff"}, {"strict-transport-security", "max-age=31536000"},
}
