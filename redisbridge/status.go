package redisbridge

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Status is the answer of GET /v1/status. Counters are of this bridge since it
// started; positions, suspensions, VMs and what the proxies have counted are what Redis holds.
type Status struct {
	// Access is what the caller may do: AccessView or AccessAdminister. Only the call over HTTP tells.
	Access   string         `json:"access,omitempty"`
	Version  string         `json:"version"` // of the bridge, see Version
	Redis    RedisStatus    `json:"redis"`
	Policies []PolicyStatus `json:"policies"`
}

// What a caller of GET /v1/status may do.
const (
	AccessView       = "view"       // see the status
	AccessAdminister = "administer" // make every call of administrators
)

// RedisStatus says how Redis is.
type RedisStatus struct {
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"`
	Mode    string  `json:"mode,omitempty"`
	Version string  `json:"version,omitempty"`
	PingMS  float64 `json:"pingMs"` // of one PING, milliseconds
	// Subscribed tells whether PSUBSCRIBE ever succeeded: without it events of
	// other bridges reach a held poll at its hold's end only.
	Subscribed bool `json:"subscribed"`
	// Role is master or slave; Replicas follow it, of a Cluster the fewest of any
	// primary that decides the validity of a policy; EvictionPolicy is maxmemory-policy.
	Role           string `json:"role,omitempty"`
	Replicas       int    `json:"replicas"`
	EvictionPolicy string `json:"evictionPolicy,omitempty"`
	// Guarded tells whether min-replicas-to-write demands replicas, likewise.
	Guarded bool `json:"guarded"`
	// Keys is how many keys the database holds, of a Cluster all primaries together: entries,
	// what decides validity, and whatever others keep there. Nothing that is bounded could tell entries apart.
	Keys int64 `json:"keys"`
	// MemoryBytes is what Redis says that it uses (used_memory), of a Cluster likewise.
	MemoryBytes int64 `json:"memoryBytes,omitempty"`
	// Problem says why /readyz says no, or what it advises.
	Problem string `json:"problem,omitempty"`
	// Breaker is the circuit breaker between this bridge and Redis.
	Breaker BreakerStatus `json:"breaker"`
}

// PolicyStatus is one policy that filters or administrators asked about, or that the bridge has the document of.
type PolicyStatus struct {
	Name        string     `json:"name"`
	Epoch       string     `json:"epoch,omitempty"`
	Sequence    uint64     `json:"sequence"`
	Raises      uint64     `json:"raises"`      // since the epoch began, passed deadlines and repeated raises included
	Suspensions int64      `json:"suspensions"` // open ones
	VMs         int        `json:"vms"`         // whose lease hasn't run out
	Behind      int        `json:"behind"`      // of them: that haven't applied everything yet
	BehindMS    int64      `json:"behindMs"`    // for how long the VM that is furthest behind has lacked an event
	Followers   []VMStatus `json:"followers"`   // the VMs that are furthest behind, 100 at most
	// Confirmation is the last one by replicas; nil where none is asked for.
	Confirmation *ConfirmationStatus `json:"confirmation,omitempty"`
	HeldPolls    int64               `json:"heldPolls"`   // that wait at this bridge
	HeldLookups  int64               `json:"heldLookups"` // likewise, for somebody else's fetch
	Caches       []CacheStatus       `json:"caches"`
	Controls     Controls            `json:"controls"`
}

// VMStatus is a VM that follows the feed.
type VMStatus struct {
	VM string `json:"vm"`
	// Lag is how many events it hasn't applied; all of them, where its cursor is of another
	// epoch or it has only begun.
	Lag     uint64 `json:"lag"`
	LeaseMS int64  `json:"leaseMs"` // what is left of its lease
	// PolicyVersion is a digest of the policy that it has at work; empty if it doesn't say.
	PolicyVersion string `json:"policyVersion,omitempty"`
}

// CacheStatus counts what concerned one cache; "*" is everything and named groups. Proxies are
// the counts of all proxies, whatever bridge they use.
type CacheStatus struct {
	Name        string  `json:"name"`
	Hits        int64   `json:"hits"`
	Misses      int64   `json:"misses"`
	Suspended   int64   `json:"suspended"`
	Leased      int64   `json:"leased"` // told to wait for somebody else's fetch
	Errors      int64   `json:"errors"`
	HitRate     float64 `json:"hitRate"` // hits of all lookups that were answered; 0 without any
	Stores      int64   `json:"stores"`
	Suspensions int64   `json:"suspensions"`
	Raises      int64   `json:"raises"`

	Proxies ProxyCounts `json:"proxies"`
}

// Status tells how the bridge and its Redis are. It doesn't fail: that Redis
// doesn't answer is part of it.
func (b *Bridge) Status(ctx context.Context) Status {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	s := Status{Version: Version(), Policies: []PolicyStatus{}}
	server, err := b.askServer(ctx)
	s.Redis = RedisStatus{
		OK: err == nil, Mode: server.Mode, Version: server.Version,
		PingMS:     float64(server.PingLatency.Microseconds()) / 1000,
		Subscribed: b.subscribed.Load(), Breaker: b.breaker.status(b.clock.Now()),
		Role: server.Role, Replicas: server.Replicas, EvictionPolicy: server.Eviction, Guarded: server.Guarded,
		Keys: server.Keys, MemoryBytes: server.Memory,
	}
	if err == nil {
		s.Redis.Problem = b.advice(server)
		if problem := b.checkServer(server); problem != nil {
			s.Redis.Problem = problem.Error()
		}
	}
	for _, p := range b.shownPolicies() {
		status := p.status()
		if b.options.Replicas > 0 {
			status.Confirmation = p.trust.status(b.clock.Now())
		}
		if err == nil {
			err = b.readPosition(ctx, p, &status)
		}
		s.Policies = append(s.Policies, status)
	}
	if err != nil {
		s.Redis.OK, s.Redis.Error = false, err.Error()
	}
	return s
}

// shownPolicies lists those that were asked about, and those that this bridge has documents of: what Redis
// holds of these, an "off" for example, counts whether or not anybody has called here yet.
func (b *Bridge) shownPolicies() (list []*policyState) {
	for _, name := range b.policyNames() {
		p := b.policies.known(name)
		if p == nil {
			p = newPolicyState(name, false, b.clock) // for this answer alone
		}
		list = append(list, p)
	}
	return list
}

// readPosition reads, without changing anything, where a policy stands.
func (b *Bridge) readPosition(ctx context.Context, p *policyState, s *PolicyStatus) error {
	now, err := b.redis.Time(ctx).Result()
	if err != nil {
		return redisError(err)
	}
	pipe := b.redis.Pipeline()
	state := pipe.HMGet(ctx, p.prefix+"state", "epoch", "seq", "open", "raises")
	followers := readFollowers(ctx, pipe, p, now)
	counts := pipe.HGetAll(ctx, p.prefix+"counts")
	controls := readControls(ctx, pipe, p.prefix)
	if err := executed(ctx, pipe); err != nil {
		return err
	}
	values := state.Val()
	s.Epoch, _ = values[0].(string)
	sequence, _ := values[1].(string)
	open, _ := values[2].(string)
	raises, _ := values[3].(string)
	s.Sequence, _ = strconv.ParseUint(sequence, 10, 64)
	s.Suspensions, _ = strconv.ParseInt(open, 10, 64)
	s.Raises, _ = strconv.ParseUint(raises, 10, 64)
	s.show(followers(), parseTicket(s.Epoch+" "+sequence), now.UnixMilli())
	s.showCounts(counts.Val())
	s.Controls = controls()
	if lag := s.lag(); lag > 0 {
		s.BehindMS, err = b.readAge(ctx, p, s.Sequence-lag+1, now)
	}
	return err
}

// readAge tells for how many ms the first event has been there of those from a number on that the feed still has; 0 if there is none.
func (b *Bridge) readAge(ctx context.Context, p *policyState, number uint64, now time.Time) (int64, error) {
	first, err := b.redis.XRangeN(ctx, p.prefix+"feed", strconv.FormatUint(number, 10), "+", 1).Result()
	if err != nil || len(first) == 0 {
		return 0, redisError(err)
	}
	text, _ := first[0].Values["t"].(string)
	at, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, nil // an event of a bridge that gave none
	}
	return max(now.UnixMilli()-at, 0), nil
}

func (p *policyState) status() PolicyStatus {
	s := PolicyStatus{
		Name: p.name, HeldPolls: p.counters.held.Load(), HeldLookups: int64(p.held.waiting()),
		// Empty, not nil, which would be null: that is no list to whoever reads the JSON.
		Followers: []VMStatus{}, Caches: []CacheStatus{}, Controls: Controls{Caches: []CacheControls{}},
	}
	for _, name := range p.counters.names() {
		s.Caches = append(s.Caches, p.counters.cache(name).status(name))
	}
	return s
}

func sortCaches(list []CacheStatus) {
	slices.SortFunc(list, func(a, b CacheStatus) int { return strings.Compare(a.Name, b.Name) })
}

func (c *cacheCounters) status(name string) CacheStatus {
	s := CacheStatus{
		Name: name, Hits: c.hits.Load(), Misses: c.misses.Load(), Suspended: c.suspended.Load(), Leased: c.leased.Load(), Errors: c.errors.Load(),
		Stores: c.stores.Load(), Suspensions: c.suspensions.Load(), Raises: c.raises.Load(),
	}
	if n := s.Hits + s.Misses + s.Suspended; n > 0 {
		s.HitRate = float64(s.Hits) / float64(n)
	}
	return s
}

func (b *Bridge) status(w http.ResponseWriter, r *http.Request) error {
	s := b.Status(r.Context())
	s.Access = AccessView
	if _, err := b.tokens.admins.admit(r.Header.Get("Authorization"), b.clock.Now()); err == nil {
		s.Access = AccessAdminister
	}
	return writeJSON(w, s)
}
