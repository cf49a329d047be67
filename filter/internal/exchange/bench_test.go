package exchange

import (
	"strings"
	"testing"
	"time"
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
