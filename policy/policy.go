package policy

import (
	"slices"
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
	Loopback        string          // an Envoy cluster that leads to this proxy's own listener; empty: nothing is prefetched, nor refreshed behind a client's back
	MaxResponse     int             // bytes of the largest body that is captured
	StreamAbove     int             // bytes of the largest body that is captured as a whole
	Caches          []*Cache        // in order of name
	Invalidations   []*Invalidation // in document order
	// Targets are the lower-case names of response fields that are read in place of Cache-Control
	// (RFC 9213), the first of them that a response has.
	Targets []string
	// StatusKey adds a digest of the cache key to Cache-Status.
	StatusKey bool
	// Tags are the lower-case names of response fields that name groups as Cache-Groups does (RFC 9875),
	// in a CDN's syntax.
	Tags []string

	unruled  *Invalidation // of unsafe requests without a rule; nil: no cache leaves freshness to the origin
	routes   routes
	warnings Problems
	rules    []wire.CacheRules
	version  string
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
	Origin          bool          // the origin says how long a response is fresh; TTL only bounds that
	StatusTTL       []StatusTTL   // of statuses that have a TTL of their own
	Jitter          int           // percent by which a TTL may be shortened
	Stale           Stale
	Shared          bool
	L1              bool // false: its responses live in L2 only
	Collapse        bool // false: each of its misses asks the origin
	IgnoreAuthority bool
	IgnoreQuery     []string // names of query parameters that aren't part of the key
	Headers         []string // lower-case names of request headers that are part of the key
	Body            *Body    // nil unless the request's JSON body is part of the key
	MaxResponse     int      // bytes, at most Policy.MaxResponse
	Verify          Verify
	Prefetch        *Prefetch // nil: the next page isn't fetched when one is read
	// Definition is a digest (16 hexadecimal digits) of what this cache's
	// responses are keyed by and belong to. A stored response with another one
	// is a miss. The TTL, patterns and size limits don't enter it: they decide
	// whether a response is stored, not what it means.
	Definition string

	patterns []string
}

// StatusTTL is how long responses with a status are fresh.
type StatusTTL struct {
	Status uint32
	TTL    time.Duration
}

// Stale says what stale responses of a cache may still be used for.
type Stale struct {
	Keep time.Duration // how long those with a validator are kept to be validated
	// How long they may be used while they are validated, and where the origin fails. Negative:
	// as the response says where the cache leaves its freshness to the origin, and otherwise not.
	WhileRevalidate, IfError time.Duration
}

// TTLOf is how long a response with the status is fresh; ruled tells that the policy says so,
// and not the origin; own, that it says so of this status. 0 with ruled: it isn't stored.
func (c *Cache) TTLOf(status uint32) (ttl time.Duration, ruled, own bool) {
	for _, s := range c.StatusTTL {
		if s.Status == status {
			return s.TTL, true, true
		}
	}
	if c.Origin || status == 200 {
		return c.TTL, !c.Origin, false
	}
	return 0, true, false
}

// longest is how long a response is kept at most.
func (c *Cache) longest() time.Duration {
	fresh, stale := c.TTL, max(c.Stale.Keep, c.Stale.WhileRevalidate, c.Stale.IfError)
	for _, s := range c.StatusTTL {
		fresh = max(fresh, s.TTL)
	}
	if c.Origin {
		stale = max(stale, c.TTL) // what a response says of stale use is bounded by the TTL
	}
	return min(fresh+stale, maxTTL)
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
	// UnchangedOn are the 5xx statuses with which the origin says that nothing was written; none where RaiseOn4xx is set.
	UnchangedOn []int
	// RefusesAnonymous: the origin refuses such requests where they have no credential, so that these suspend nothing.
	RefusesAnonymous bool
	open             []*Cache // those of Caches that writes without a credential may change; of joined rules, some of them
	patterns         []string
}

// Patterns lists the rule's patterns as the policy writes them.
func (i *Invalidation) Patterns() []string { return i.patterns }

// Groups names what a write by this rule invalidates, without duplicates: the
// parts of the writer's partition ([Partition.Parts]) of each private cache, and the whole cache where it is
// shared, where the rule's scope is "all", where the write has no
// identity (no parts), or where the parts would be too many for one frame ([wire.MaxGroups]).
func (i *Invalidation) Groups(parts ...string) []string {
	whole := i.All || len(parts) == 0 || len(parts) > 1 && len(i.Caches)*len(parts) >= wire.MaxGroups
	groups := make([]string, 0, len(i.Caches)*max(len(parts), 1))
	for _, c := range i.Caches {
		if c.Shared || whole {
			groups = append(groups, wire.GroupCache(c.Name))
			continue
		}
		for _, part := range parts {
			groups = append(groups, wire.GroupPartition(c.Name, part))
		}
	}
	return groups
}

// RefusesSome tells whether the origin refuses writes without a credential by this rule, or by one of those that it joins.
func (i *Invalidation) RefusesSome() bool { return i.RefusesAnonymous || len(i.open) < len(i.Caches) }

// GroupsOfNobody lists the groups that a write without an identity suspends: the whole caches that writes without a credential may
// change, and of the others those of the write's credentials, if it has any; see [Identifier.Credentials].
func (i *Invalidation) GroupsOfNobody(credentials []string) []string {
	open := Invalidation{Caches: i.open}
	if len(credentials) == 0 || len(i.open) == len(i.Caches) {
		return open.Groups()
	}
	others := Invalidation{All: i.All, Caches: slices.DeleteFunc(slices.Clone(i.Caches), func(c *Cache) bool { return slices.Contains(i.open, c) })}
	return append(open.Groups(), others.Groups(credentials...)...)
}

// MaxTTL is how long a response of any cache is kept at most.
func (p *Policy) MaxTTL() (longest time.Duration) {
	for _, c := range p.Caches {
		longest = max(longest, c.longest())
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
	if suspended == 0 || p.unruled != nil {
		suspended = max(suspended, defaultDeadline, defaultSettle)
	}
	return suspended + also
}

// Quarantine is how long a new epoch suspends everything at least: no write that an earlier one knew of is in flight
// then, and no VM trusts what it has in memory from before.
func (p *Policy) Quarantine() time.Duration { return max(p.MaxDeadline(), p.L1.MaxStaleness) }

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
