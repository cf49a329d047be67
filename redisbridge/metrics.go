package redisbridge

import (
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newMetrics registers what /metrics shows. The counters are those of
// /v1/status, read when they are asked for.
func newMetrics(b *Bridge) (*prometheus.Registry, prometheus.Histogram) {
	lookups := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "chatcache_bridge_lookup_seconds",
		Help:    "Time of a lookup in the bridge, Redis included.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
	})
	registry := prometheus.NewRegistry()
	registry.MustRegister(lookups, collector{b})
	return registry, lookups
}

// metrics answers in Prometheus' format. It tells names of policies and caches,
// and numbers.
func (b *Bridge) metrics(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// collector reads the counters of every policy.
type collector struct{ bridge *Bridge }

type metric struct {
	desc  *prometheus.Desc
	value func(*cacheCounters) *atomic.Int64
}

func newMetric(name, help string, value func(*cacheCounters) *atomic.Int64) metric {
	return metric{prometheus.NewDesc("chatcache_bridge_"+name, help, []string{"policy", "cache"}, nil), value}
}

var cacheMetrics = []metric{
	newMetric("hits_total", "Lookups that gave a valid entry.", func(c *cacheCounters) *atomic.Int64 { return &c.hits }),
	newMetric("misses_total", "Lookups that gave none.", func(c *cacheCounters) *atomic.Int64 { return &c.misses }),
	newMetric("suspended_total", "Lookups that met a suspension.", func(c *cacheCounters) *atomic.Int64 { return &c.suspended }),
	newMetric("leased_total", "Lookups that were told that somebody else fetches.", func(c *cacheCounters) *atomic.Int64 { return &c.leased }),
	newMetric("errors_total", "Calls that failed in Redis.", func(c *cacheCounters) *atomic.Int64 { return &c.errors }),
	newMetric("stores_total", "Entries kept.", func(c *cacheCounters) *atomic.Int64 { return &c.stores }),
	newMetric("suspensions_total", "Suspensions opened or renewed.", func(c *cacheCounters) *atomic.Int64 { return &c.suspensions }),
	newMetric("raises_total", "Raises by closes and administrators.", func(c *cacheCounters) *atomic.Int64 { return &c.raises }),
}

var (
	heldPolls   = prometheus.NewDesc("chatcache_bridge_held_polls", "Polls of the feed that wait right now.", []string{"policy"}, nil)
	heldLookups = prometheus.NewDesc("chatcache_bridge_held_lookups", "Lookups that wait right now for somebody else's fetch.", []string{"policy"}, nil)
)

var (
	breakerOpen     = prometheus.NewDesc("chatcache_bridge_breaker_open", "Whether lookups and stores fail at once because Redis doesn't answer: 0 no, 1 yes.", nil, nil)
	breakerOpenings = prometheus.NewDesc("chatcache_bridge_breaker_openings_total", "How often the circuit breaker opened.", nil, nil)
	breakerRefused  = prometheus.NewDesc("chatcache_bridge_breaker_refused_total", "Lookups and stores that were not tried.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range cacheMetrics {
		ch <- m.desc
	}
	ch <- heldPolls
	ch <- heldLookups
	ch <- breakerOpen
	ch <- breakerOpenings
	ch <- breakerRefused
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.bridge.collectBreaker(ch)
	for _, p := range c.bridge.policies.all() {
		ch <- prometheus.MustNewConstMetric(heldPolls, prometheus.GaugeValue, float64(p.counters.held.Load()), p.name)
		ch <- prometheus.MustNewConstMetric(heldLookups, prometheus.GaugeValue, float64(p.held.waiting()), p.name)
		for _, name := range p.counters.names() {
			cache := p.counters.cache(name)
			for _, m := range cacheMetrics {
				ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.value(cache).Load()), p.name, name)
			}
		}
	}
}

func (b *Bridge) collectBreaker(ch chan<- prometheus.Metric) {
	s := b.breaker.status(b.clock.Now())
	open := 1.0
	if s.State == "closed" {
		open = 0
	}
	ch <- prometheus.MustNewConstMetric(breakerOpen, prometheus.GaugeValue, open)
	ch <- prometheus.MustNewConstMetric(breakerOpenings, prometheus.CounterValue, float64(s.Openings))
	ch <- prometheus.MustNewConstMetric(breakerRefused, prometheus.CounterValue, float64(s.Refused))
}
