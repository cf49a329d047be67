package redisbridge

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

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
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "chatcache_bridge_build_info", Help: "1, of the bridge's version.",
		ConstLabels: prometheus.Labels{"version": Version()},
	}, func() float64 { return 1 })
	registry := prometheus.NewRegistry()
	registry.MustRegister(lookups, build, collector{b, &standing{bridge: b}})
	return registry, lookups
}

// metrics answers in Prometheus' format. It tells names of policies and caches,
// and numbers.
func (b *Bridge) metrics(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// collector reads the counters of every policy, and where each stands in Redis.
type collector struct {
	bridge   *Bridge
	standing *standing
}

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

// standingMetric is what Redis holds of a policy: every bridge shows the same.
type standingMetric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(PolicyStatus) float64
}

func newStandingMetric(name, help string, kind prometheus.ValueType, value func(PolicyStatus) float64) standingMetric {
	return standingMetric{prometheus.NewDesc("chatcache_bridge_"+name, help, []string{"policy"}, nil), kind, value}
}

var standingMetrics = []standingMetric{
	newStandingMetric("feed_lag", "Events that the VM that is furthest behind hasn't applied.", prometheus.GaugeValue, func(p PolicyStatus) float64 { return float64(p.lag()) }),
	newStandingMetric("feed_lag_seconds", "For how long the VM that is furthest behind has lacked an event.", prometheus.GaugeValue, func(p PolicyStatus) float64 { return float64(p.BehindMS) / 1000 }),
	newStandingMetric("vms", "VMs whose lease hasn't run out.", prometheus.GaugeValue, func(p PolicyStatus) float64 { return float64(p.VMs) }),
	newStandingMetric("vms_behind", "Of them: that haven't applied everything yet.", prometheus.GaugeValue, func(p PolicyStatus) float64 { return float64(p.Behind) }),
	newStandingMetric("open_suspensions", "Writes in flight, or of unknown outcome.", prometheus.GaugeValue, func(p PolicyStatus) float64 { return float64(p.Suspensions) }),
	newStandingMetric("invalidations_total", "Raises since the epoch began.", prometheus.CounterValue, func(p PolicyStatus) float64 { return float64(p.Raises) }),
}

var (
	redisUp   = prometheus.NewDesc("chatcache_bridge_redis_up", "Whether Redis answers this bridge: 0 no, 1 yes.", nil, nil)
	redisKeys = prometheus.NewDesc("chatcache_bridge_redis_keys", "Keys in the database, whoever wrote them.", nil, nil)
	saved     = prometheus.NewDesc("chatcache_bridge_saved_seconds", "Waiting that the answers of the cache have spared the clients of all proxies.", []string{"policy", "cache"}, nil)
)

var (
	breakerOpen     = prometheus.NewDesc("chatcache_bridge_breaker_open", "Whether lookups and stores fail at once because Redis doesn't answer: 0 no, 1 yes.", nil, nil)
	breakerOpenings = prometheus.NewDesc("chatcache_bridge_breaker_openings_total", "How often the circuit breaker opened.", nil, nil)
	breakerRefused  = prometheus.NewDesc("chatcache_bridge_breaker_refused_total", "Lookups and stores that were not tried.", nil, nil)
)

var (
	underwayBytes   = prometheus.NewDesc("chatcache_bridge_underway_bytes", "Bytes of entries that are being sent to filters right now.", nil, nil)
	underwayRefused = prometheus.NewDesc("chatcache_bridge_underway_refused_total", "Entries that were found and not sent, since more than --max-underway would have been on their way.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range cacheMetrics {
		ch <- m.desc
	}
	for _, m := range standingMetrics {
		ch <- m.desc
	}
	for _, desc := range []*prometheus.Desc{heldPolls, heldLookups, redisUp, redisKeys, saved, breakerOpen} {
		ch <- desc
	}
	ch <- breakerOpenings
	ch <- breakerRefused
	ch <- underwayBytes
	ch <- underwayRefused
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	c.bridge.collectBreaker(ch)
	c.bridge.collectUnderway(ch)
	c.collectStanding(ch)
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

func (b *Bridge) collectUnderway(ch chan<- prometheus.Metric) {
	bytes, refused := b.underway.status()
	ch <- prometheus.MustNewConstMetric(underwayBytes, prometheus.GaugeValue, float64(bytes))
	ch <- prometheus.MustNewConstMetric(underwayRefused, prometheus.CounterValue, float64(refused))
}

// collectStanding tells nothing of the policies while Redis doesn't answer.
func (c collector) collectStanding(ch chan<- prometheus.Metric) {
	s := c.standing.read()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if !s.Redis.OK {
		gauge(redisUp, 0)
		return
	}
	gauge(redisUp, 1)
	gauge(redisKeys, float64(s.Redis.Keys))
	for _, p := range s.Policies {
		for _, m := range standingMetrics {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(p), p.Name)
		}
		for _, cache := range p.Caches {
			gauge(saved, cache.Proxies.SavedMS/1000, p.Name, cache.Name)
		}
	}
}

// lag is that of the VM that is furthest behind.
func (s PolicyStatus) lag() uint64 {
	if len(s.Followers) == 0 {
		return 0
	}
	return s.Followers[0].Lag
}

// standingAge is how often /metrics, which is open to everybody, asks Redis at most.
const standingAge = time.Second

// standing is the status as /metrics read it last.
type standing struct {
	bridge *Bridge
	mu     sync.Mutex // held during a read: whoever comes meanwhile takes what it gives
	at     time.Time
	status Status
}

func (s *standing) read() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.bridge.clock.Now().Sub(s.at) >= standingAge {
		s.status = s.bridge.Status(context.Background())
		s.at = s.bridge.clock.Now() // a Redis that hangs takes as long as that
	}
	return s.status
}
