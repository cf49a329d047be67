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
	metricBreaker        = "chatcache.breaker_opened"       // VMs that stopped waiting for the bridge
	metricWaiting        = "chatcache.waiters"              // gauge: reads that wait for somebody else's fetch
	metricL1Bytes        = "chatcache.l1_bytes"             // gauge
	metricL1Entries      = "chatcache.l1_entries"           // gauge
)

// cacheMetrics are the names of one cache's metrics, made once, and what is counted for the
// bridge.
type cacheMetrics struct {
	tally        *counts
	hitL1, hitL2 string // answered from the VM's memory, from Redis
	collapsed    string // answered with what somebody else's fetch has stored
	// let go to the origin after waiting for collapse.max_wait
	collapseTimeouts string
	miss             string // looked up, not found, forwarded
	wouldHits        string // forwarded although a stored response could have answered
	matches          string // of them: compared, and the origin answered what was stored
	mismatches       string // of them: compared, and it didn't, without a write in between
	uncompared       string // of them: to be compared, and couldn't be
	validated        string // misses whose stored response the origin has confirmed (304)
	staleOnError     string // misses answered with a stale response, since the origin failed
	prefetches       string // next pages that were fetched before anybody asked
	prefetchFailures string // likewise, and not answered with 200
	prefetchHits     string // answered with what was prefetched
	refreshes        string // stale responses that were validated behind the back of who was answered with them
	refreshFailures  string // likewise, and the origin failed, or wasn't asked
	errors           string // lookups and stores that the bridge didn't answer
	stores           string // entries that the bridge has acknowledged
	invalidations    string // writes that raised the cache's groups
	latency          string // histogram: µs from the request's headers to the response's
	reasonPrefix     string
}

func newCacheMetrics(cache string, tally *counts) cacheMetrics {
	prefix := "chatcache.cache." + cache + "."
	return cacheMetrics{
		tally:            tally,
		hitL1:            prefix + "tier.l1.hits",
		hitL2:            prefix + "tier.l2.hits",
		collapsed:        prefix + "collapsed",
		collapseTimeouts: prefix + "collapse_timeouts",
		miss:             prefix + "misses",
		wouldHits:        prefix + "would_hits",
		matches:          prefix + "matches",
		mismatches:       prefix + "mismatches",
		uncompared:       prefix + "uncompared",
		validated:        prefix + "validated",
		staleOnError:     prefix + "stale_on_error",
		prefetches:       prefix + "prefetches",
		prefetchFailures: prefix + "prefetch_failures",
		prefetchHits:     prefix + "prefetch_hits",
		refreshes:        prefix + "refreshes",
		refreshFailures:  prefix + "refresh_failures",
		errors:           prefix + "errors",
		stores:           prefix + "stores",
		invalidations:    prefix + "invalidations",
		latency:          prefix + "latency_us",
		reasonPrefix:     prefix + "reason.",
	}
}

// count counts one for the proxy's own metrics, by name, and one for the bridge.
func (m *cacheMetrics) count(h Host, c wire.Counter, name string) {
	h.Add(name, 1)
	m.tally[c]++
}

// uncompare counts one that was to be compared with the origin's answer, and couldn't be.
func (m *cacheMetrics) uncompare(h Host) { m.count(h, wire.CountUncompared, m.uncompared) }

// answered gives the counters of reads that were answered from the tier.
func (m *cacheMetrics) answered(tier string, waited bool) (wire.Counter, string) {
	switch {
	case waited:
		return wire.CountCollapsed, m.collapsed
	case tier == tierL1:
		return wire.CountHitsL1, m.hitL1
	}
	return wire.CountHitsL2, m.hitL2
}

// bypass names the counter of requests that were forwarded without a lookup's
// result for the reason.
func (m *cacheMetrics) bypass(reason httpcache.Reason) string {
	return m.reasonPrefix + string(reason) + ".bypasses"
}

// unstored names the counter of responses of the origin that were not stored
// for the reason.
func (m *cacheMetrics) unstored(reason httpcache.Reason) string {
	return m.reasonPrefix + string(reason) + ".unstored"
}
