package exchange

import (
	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// Names of metrics. Envoy shows NAME as wasmcustom.NAME; the stats_tags of
// envoy/envoy.yaml turn "cache.X", "tier.X" and "reason.X" into labels.
const (
	// MetricPanics counts panics that a callback recovered from.
	MetricPanics = "chatcache.panics"

	metricFeedResets     = "chatcache.feed_resets"          // L1 forgotten: the feed didn't continue
	metricFeedErrors     = "chatcache.feed_errors"          // polls that failed
	metricJournal        = "chatcache.journal_entries"      // gauge: ends of writes not yet acknowledged
	metricJournalMerged  = "chatcache.journal_merged"       // the journal was full and became one entry for everything
	metricJournalRefused = "chatcache.journal_refused"      // ends of writes that the bridge refused for good
	metricClosed         = "chatcache.writes_closed"        // ends of writes that the bridge has acknowledged
	metricRenewals       = "chatcache.renewals_failed"      // renewals of a suspension that weren't acknowledged
	metricPending        = "chatcache.invalidation_pending" // writes forwarded without an acknowledged suspension
	metricRefused        = "chatcache.writes_refused"       // writes answered 503 by "unreachable": "refuse"
	metricDisproved      = "chatcache.anonymous_done"       // writes without a credential that the origin did, though the policy says it refuses them
	metricBreaker        = "chatcache.breaker_opened"       // VMs that stopped waiting for the bridge
	metricWaiting        = "chatcache.waiters"              // gauge: reads that wait for somebody else's fetch
	metricFollowing      = "chatcache.following"            // gauge: 1 of a VM that follows the feed; a VM that dies leaves it there
	metricL1Bytes        = "chatcache.l1_bytes"             // gauge
	metricL1Entries      = "chatcache.l1_entries"           // gauge
)

// Metric is one of the proxy's metrics. What the host has to know of it is in there, so that nothing is looked up by name.
type Metric struct {
	Name   string
	Number uint32 // the proxy's for it; 0 until the host has defined it
	Shown  int64  // of a gauge: what this VM contributes to the proxy's sum
}

// gauges are those of a state.
type gauges struct{ following, journal, waiting, l1Bytes, l1Entries Metric }

func newGauges() gauges {
	return gauges{Metric{Name: metricFollowing}, Metric{Name: metricJournal}, Metric{Name: metricWaiting}, Metric{Name: metricL1Bytes}, Metric{Name: metricL1Entries}}
}

// cacheMetrics are one cache's metrics, and what is counted for the bridge.
type cacheMetrics struct {
	tally        *counts
	hitL1, hitL2 Metric // answered from the VM's memory, from Redis
	collapsed    Metric // answered with what somebody else's fetch has stored
	// let go to the origin after waiting for collapse.max_wait
	collapseTimeouts Metric
	miss             Metric   // looked up, not found, forwarded
	wouldHits        Metric   // forwarded although a stored response could have answered
	matches          Metric   // of them: compared, and the origin answered what was stored
	mismatches       Metric   // of them: compared, and it didn't, without a write in between
	uncompared       Metric   // of them: to be compared, and couldn't be
	validated        Metric   // misses whose stored response the origin has confirmed (304)
	staleOnError     Metric   // misses answered with a stale response, since the origin failed
	prefetches       Metric   // next pages that were fetched before anybody asked
	prefetchFailures Metric   // likewise, and not answered with 200
	prefetchHits     Metric   // answered with what was prefetched
	refreshes        Metric   // stale responses that were validated behind the back of who was answered with them
	refreshFailures  Metric   // likewise, and the origin failed, or wasn't asked
	errors           Metric   // lookups and stores that the bridge didn't answer
	stores           Metric   // entries that the bridge has acknowledged
	invalidations    Metric   // writes that raised the cache's groups
	latency          Metric   // histogram: µs from the request's headers to the response's
	bypasses         byReason // requests that were forwarded without a lookup's result
	unstored         byReason // responses of the origin that were not stored
}

func newCacheMetrics(cache string, tally *counts) cacheMetrics {
	prefix := "chatcache.cache." + cache + "."
	of := func(name string) Metric { return Metric{Name: prefix + name} }
	return cacheMetrics{
		tally:            tally,
		hitL1:            of("tier.l1.hits"),
		hitL2:            of("tier.l2.hits"),
		collapsed:        of("collapsed"),
		collapseTimeouts: of("collapse_timeouts"),
		miss:             of("misses"),
		wouldHits:        of("would_hits"),
		matches:          of("matches"),
		mismatches:       of("mismatches"),
		uncompared:       of("uncompared"),
		validated:        of("validated"),
		staleOnError:     of("stale_on_error"),
		prefetches:       of("prefetches"),
		prefetchFailures: of("prefetch_failures"),
		prefetchHits:     of("prefetch_hits"),
		refreshes:        of("refreshes"),
		refreshFailures:  of("refresh_failures"),
		errors:           of("errors"),
		stores:           of("stores"),
		invalidations:    of("invalidations"),
		latency:          of("latency_us"),
		bypasses:         newByReason(prefix, ".bypasses"),
		unstored:         newByReason(prefix, ".unstored"),
	}
}

// byReason are metrics that there is one of for each reason.
type byReason struct {
	prefix, suffix string
	known          map[httpcache.Reason]*Metric
}

func newByReason(prefix, suffix string) byReason {
	return byReason{prefix + "reason.", suffix, make(map[httpcache.Reason]*Metric)}
}

func (b byReason) of(reason httpcache.Reason) *Metric {
	m := b.known[reason]
	if m == nil {
		m = &Metric{Name: b.prefix + string(reason) + b.suffix}
		b.known[reason] = m
	}
	return m
}

// count counts one for the proxy's own metrics, and one for the bridge.
func (m *cacheMetrics) count(h Host, c wire.Counter, metric *Metric) {
	h.Add(metric, 1)
	m.tally[c]++
}

// uncompare counts one that was to be compared with the origin's answer, and couldn't be.
func (m *cacheMetrics) uncompare(h Host) { m.count(h, wire.CountUncompared, &m.uncompared) }

// answered gives the counters of reads that were answered from the tier.
func (m *cacheMetrics) answered(tier string, waited bool) (wire.Counter, *Metric) {
	switch {
	case waited:
		return wire.CountCollapsed, &m.collapsed
	case tier == tierL1:
		return wire.CountHitsL1, &m.hitL1
	}
	return wire.CountHitsL2, &m.hitL2
}
