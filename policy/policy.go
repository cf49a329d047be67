package policy

import (
	"time"

	"chatcache/redisbridge/wire"
)

// Policy says which responses of an API are cached, for whom, for how long, and
// which requests invalidate them. It is read-only after [Parse] and safe for concurrent use.
type Policy struct {
	Name            string // [a-z0-9][a-z0-9-]*, at most wire.MaxPolicyName bytes
	Identity        []Source
	Bridge          Bridge
	L1              L1
	Collapse        Collapse
	PartitionSecret string          // empty where the environment supplies it
	Bodies          bool            // request bodies reach the filter while it holds the headers
	UpstreamHTTP2   bool            // a response without a declared length is complete at its end
	MaxResponse     int             // bytes of the largest body that is captured
	Caches          []*Cache        // in order of name
	Invalidations   []*Invalidation // in document order

	routes   routes
	warnings Problems
}

// Bridge says how the filter reaches the bridge.
type Bridge struct {
	Cluster   string // the name of an Envoy cluster
	Authority string // the calls' :authority; unless the policy says otherwise the cluster's name, or its host where it is one of Istio's
	Timeout   time.Duration
	Token     string // empty where the environment supplies it
	Breaker   Breaker
}

// Breaker says when a VM stops waiting for a bridge that doesn't answer.
type Breaker struct {
	Failures int           // in a row; 0: never
	Open     time.Duration // between one attempt and the next from then on
}

// L1 says how a VM's own memory is used.
type L1 struct {
	Enabled      bool
	MaxBytes     int
	MaxStaleness time.Duration // how long a VM trusts its L1 after it last heard from the bridge
}

// Collapse says whether reads that miss at the same time wait for one fetch.
type Collapse struct {
	Enabled bool
	MaxWait time.Duration // of a read for somebody else's fetch
}

// Cache is a named class of responses.
type Cache struct {
	Name            string
	Index           int           // in Policy.Caches
	TTL             time.Duration // 0: the cache is off, for reading and for storing
	Shared          bool
	L1              bool // false: its responses live in L2 only
	Collapse        bool // false: each of its misses asks the origin
	IgnoreAuthority bool
	IgnoreQuery     []string // names of query parameters that aren't part of the key
	Headers         []string // lower-case names of request headers that are part of the key
	Body            *Body    // nil unless the request's JSON body is part of the key
	MaxResponse     int      // bytes, at most Policy.MaxResponse
	Verify          Verify
	// Definition is a digest (16 hexadecimal digits) of what this cache's
	// responses are keyed by and belong to. A stored response with another one
	// is a miss. The TTL, patterns and size limits don't enter it: they decide
	// whether a response is stored, not what it means.
	Definition string

	patterns []string
}

// Private tells whether the cache's responses belong to a partition.
func (c *Cache) Private() bool { return !c.Shared }

// Patterns lists the cache's patterns as the policy writes them.
func (c *Cache) Patterns() []string { return c.patterns }

// Invalidation is a rule: which requests invalidate which caches.
type Invalidation struct {
	Name       string
	Caches     []*Cache
	All        bool          // reaches every partition, not only the writer's
	Deadline   time.Duration // how long the suspension lasts without renewal
	Settle     time.Duration // how long it lasts once the outcome is unknown
	AlsoAfter  time.Duration // raise once more, that long after the suspension's end; 0: don't
	Refuse     bool          // bridge unreachable: refuse the write; otherwise forward it
	RaiseOn4xx bool          // raise even after a definite 4xx
	patterns   []string
}

// Patterns lists the rule's patterns as the policy writes them.
func (i *Invalidation) Patterns() []string { return i.patterns }

// Groups names what a write by this rule invalidates, without duplicates: the
// writer's partition of each private cache, and the whole cache where it is
// shared, where the rule's scope is "all", or where the write has no
// identity (an empty partition).
func (i *Invalidation) Groups(partition string) []string {
	groups := make([]string, 0, len(i.Caches))
	for _, c := range i.Caches {
		if c.Shared || i.All || partition == "" {
			groups = append(groups, wire.GroupCache(c.Name))
			continue
		}
		groups = append(groups, wire.GroupPartition(c.Name, partition))
	}
	return groups
}

// MaxTTL is the longest TTL of any cache.
func (p *Policy) MaxTTL() (longest time.Duration) {
	for _, c := range p.Caches {
		longest = max(longest, c.TTL)
	}
	return longest
}

// MaxDeadline is the longest time until the last raise for a write of any rule, or of several rules that
// join, counted from the last sign of life of its proxy; 15 s for a policy without rules.
func (p *Policy) MaxDeadline() time.Duration {
	var suspended, also time.Duration
	for _, i := range p.Invalidations {
		suspended = max(suspended, i.Deadline, i.Settle)
		also = max(also, i.AlsoAfter)
	}
	if suspended == 0 {
		return defaultDeadline
	}
	return suspended + also
}

// Cache finds a cache by name, nil when there is none.
func (p *Policy) Cache(name string) *Cache {
	for _, c := range p.Caches {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Invalidation finds a rule by name, nil when there is none.
func (p *Policy) Invalidation(name string) *Invalidation {
	for _, i := range p.Invalidations {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// Warnings lists what is allowed but probably not meant, sorted by position.
func (p *Policy) Warnings() Problems { return p.warnings }
