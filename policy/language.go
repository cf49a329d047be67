package policy

import (
	"time"

	"chatcache/redisbridge/wire"
)

// language lists the fields of every object of a policy, by where the object stands. It is what the
// parser accepts and what the package documentation describes; a test compares the two.
var language = map[string][]string{
	"policy": {"version", "name", "identity", "bridge", "l1", "partition_secret", "collapse", "host", "max_response", "stream_above",
		"targeted_cache_control", "group_headers", "cache_status_key", "unchanged_on", "origin_refuses_anonymous", "caches", "invalidations"},
	"bridge":   {"cluster", "authority", "timeout", "token", "breaker"},
	"breaker":  {"failures", "open"},
	"l1":       {"max_bytes", "max_staleness"},
	"collapse": {"max_wait"},
	"host":     {"allow_on_headers_stop_iteration", "upstream_http2", "loopback_cluster"},
	"identity": {"header", "cookie", "jwt_authn_claim", "payload", "jwt_claim", "unverified",
		"property"},
	"cache": {"match", "ttl", "shared", "l1", "collapse", "authority", "ignore_query", "headers", "body",
		"max_response", "max_ttl", "status_ttl", "ttl_jitter", "keep_stale", "stale_while_revalidate", "stale_if_error",
		"verify", "prefetch"},
	"body":     {"ignore", "max_bytes"},
	"verify":   {"ignore"},
	"prefetch": {"parameter", "first", "step", "next", "more"},
	"invalidation": {"name", "match", "invalidate", "scope", "deadline", "settle", "unreachable",
		"also_after", "raise_on_4xx", "unchanged_on", "origin_refuses_anonymous"},
}

// Bounds of the language.
const (
	maxDocument    = 1 << 20 // bytes
	maxCaches      = wire.MaxCaches
	maxRules       = 1000
	maxPatterns    = 2000 // of the whole policy
	maxPattern     = 1024 // bytes
	maxSegments    = 64   // of a pattern: each may be a node of its own in every worker's memory
	maxSources     = 16
	maxNames       = 64  // elements of a list of names
	maxName        = 256 // bytes of one name or value
	maxRuleCaches  = 32  // two rules joined still fit into one frame (wire.MaxGroups)
	maxCacheName   = wire.MaxCacheName
	maxTTL         = 30 * 24 * time.Hour
	defaultMaxTTL  = 24 * time.Hour   // with "ttl": "origin"
	defaultStale   = 10 * time.Minute // keep_stale, with "ttl": "origin"
	maxJitter      = 50               // percent
	maxStatuses    = 32
	maxFields      = 8 // names in targeted_cache_control and group_headers
	minTimeout     = time.Millisecond
	maxTimeout     = 5 * time.Second
	defaultTimeout = 50 * time.Millisecond

	maxFailures     = 1000
	defaultFailures = 5
	minOpen         = 100 * time.Millisecond
	maxOpen         = time.Minute
	defaultOpen     = time.Second

	minStaleness     = 300 * time.Millisecond
	maxStaleness     = time.Minute
	defaultStaleness = 3 * time.Second

	minWait     = 100 * time.Millisecond
	maxWait     = 30 * time.Second
	defaultWait = 2 * time.Second

	minDeadline     = 100 * time.Millisecond
	maxDeadline     = time.Minute
	minSettle       = time.Second // the call that sets it may take that long
	defaultDeadline = 15 * time.Second
	defaultSettle   = 10 * time.Second
	minAlsoAfter    = 100 * time.Millisecond
	maxAlsoAfter    = time.Minute

	minL1Bytes      = 4 << 10
	maxL1Bytes      = 512 << 20
	defaultL1Bytes  = 32 << 20
	maxResponse     = 7 << 20
	defaultResponse = 1 << 20
	defaultStream   = 1 << 20
	maxFirst        = 1_000_000 // a page's number
	maxStep         = 10_000
	maxBody         = 1 << 20
	defaultBody     = 64 << 10
)
