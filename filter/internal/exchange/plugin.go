package exchange

import (
	"fmt"
	"strconv"
	"time"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

const groupAll = wire.GroupAll

// Plugin is a configured policy in one root context of the proxy.
type Plugin struct {
	Policy   *policy.Policy
	host     Host
	state    *State
	identity *policy.Identifier // nil: no cache of the policy is private
	version  string             // of the policy
	rules    map[string]string  // digests of its rules, by cache
	metrics  []cacheMetrics     // by Cache.Index
	totals   map[string]*Metric // counters that aren't a cache's, by name
	gauges   gauges
	controls []wire.Control // by Cache.Index: the state's, merged
	endBy    int64          // monotonic; 0 unless Close waits for the journal
	told     bool           // the log has the first write that disproves the policy
}

// endWithin bounds how long a plugin that ends may wait for its journal.
const endWithin = 30 * time.Second

// NewPlugin sets up a policy. Policies that name identity sources need the partition secret: the error matches
// policy.ErrSecret, and says where to set it.
func NewPlugin(p *policy.Policy, secret []byte, host Host, states *States) (*Plugin, error) {
	plugin := &Plugin{
		Policy:  p,
		host:    host,
		state:   states.of(p.Name),
		version: p.Version(), rules: make(map[string]string), totals: make(map[string]*Metric), gauges: newGauges(),
	}
	if len(p.Identity) > 0 {
		identity, err := policy.NewIdentifier(p.Identity, secret)
		if err != nil {
			return nil, fmt.Errorf("%w: set CHATCACHE_PARTITION_SECRET in the VM's environment, or partition_secret in the policy", err)
		}
		plugin.identity = identity
	}
	for _, r := range p.Rules() {
		plugin.rules[r.Cache] = plugin.identity.RulesDigest(r.Digest)
	}
	for _, c := range p.Caches {
		plugin.metrics = append(plugin.metrics, newCacheMetrics(c.Name, plugin.state.tally.of(c.Name)))
	}
	plugin.controls = make([]wire.Control, len(p.Caches))
	plugin.mergeControls()
	plugin.state.adopt(plugin)
	return plugin, nil
}

// Run does what is due outside of streams. The host calls it in the plugin's root
// context: at ticks and soon after Host.Wake.
func (p *Plugin) Run() {
	if p.state.current() == p {
		p.state.run(p)
	}
	if p.endBy != 0 && (!p.mustStay() || p.host.Now() >= p.endBy) {
		p.endBy = 0
		p.state.drop(p)
		p.host.Finished()
	}
}

// Close ends the plugin; its streams have ended. It is not done yet while nobody else
// could deliver the journal: Run goes on, and calls Host.Finished when it is.
func (p *Plugin) Close() (done bool) {
	if p.mustStay() {
		p.endBy = p.host.Now() + int64(endWithin)
		p.host.Warn("chatcache: the plugin waits for the bridge to acknowledge the ends of " +
			strconv.Itoa(len(p.state.journal.entries)) + " writes before it ends")
		p.state.wake()
		return false
	}
	p.state.drop(p)
	return true
}

// mustStay tells whether p is the last plugin of its policy and the journal isn't empty.
func (p *Plugin) mustStay() bool {
	return len(p.state.plugins) == 1 && p.state.current() == p && len(p.state.journal.entries) > 0
}

// NewExchange begins a stream. The Exchange must stay where the caller puts it: from its first method on others know it by its address.
func (p *Plugin) NewExchange(s Stream) Exchange {
	return Exchange{plugin: p, state: p.state, stream: s}
}

// suspension is the call that opens a write's suspension or gives it a new term.
func (p *Plugin) suspension(id string, groups []string, term, also time.Duration) []byte {
	return wire.SuspendRequest{
		Scope: p.state.scope, ID: id, Groups: groups,
		Deadline: term.Milliseconds(), AlsoAfter: also.Milliseconds(),
	}.Encode()
}

// fetchLease is how long a fetch keeps other VMs from fetching. Whoever waits since it began can
// still wait as long for the next one, should this VM die meanwhile.
func (p *Plugin) fetchLease() time.Duration { return p.Policy.Collapse.MaxWait / 2 }

// admit tells whether a request may wait for the bridge now.
func (p *Plugin) admit() (permit, bool) {
	return p.state.breaker.admit(p.Policy.Bridge.Breaker, p.host.Now())
}

// report takes the answer to a call that a request was admitted to wait for.
func (p *Plugin) report(admitted permit, a Answer) {
	if p.state.breaker.report(p.Policy.Bridge.Breaker, admitted, a.reached(), p.host.Now()) {
		p.count(metricBreaker)
		p.host.Warn("chatcache: the bridge doesn't answer: requests no longer wait for it, but for one every " +
			policy.FormatDuration(p.Policy.Bridge.Breaker.Open))
	}
}

// disproved counts a write that the origin has done though the policy says that it refuses it. The log has the first one: whoever
// sends such writes could fill it.
func (p *Plugin) disproved(rule string, status int) {
	p.count(metricDisproved)
	if p.told {
		return
	}
	p.told = true
	p.host.Warn(fmt.Sprintf(`chatcache: the origin answered %d to a write without a credential by the rule %q: "origin_refuses_anonymous" is wrong there`, status, rule))
}

// show sets the gauges. Each plugin contributes to the proxy's sums, so one that
// doesn't speak for the state any more shows nothing.
func (p *Plugin) show(s shown) {
	following := 0
	if s.following {
		following = 1
	}
	p.host.Set(&p.gauges.following, int64(following))
	p.host.Set(&p.gauges.journal, int64(s.journal))
	p.host.Set(&p.gauges.waiting, int64(s.waiting))
	p.host.Set(&p.gauges.l1Bytes, int64(s.l1Bytes))
	p.host.Set(&p.gauges.l1Entries, int64(s.l1Entries))
}

// metric gives one that isn't a cache's.
func (p *Plugin) metric(name string) *Metric {
	m := p.totals[name]
	if m == nil {
		m = &Metric{Name: name}
		p.totals[name] = m
	}
	return m
}

// count counts one that isn't a cache's.
func (p *Plugin) count(name string) { p.host.Add(p.metric(name), 1) }

// shown are the values of the gauges.
type shown struct {
	following                            bool
	journal, l1Bytes, l1Entries, waiting int
}

func (p *Plugin) l1Bytes() int {
	if !p.Policy.L1.Enabled {
		return 0
	}
	return p.Policy.L1.MaxBytes
}

// identify finds the partition of a request, if it has an identity.
func (p *Plugin) identify(r *request) (policy.Partition, bool) {
	if p.identity == nil {
		return policy.Partition{}, false
	}
	return p.identity.Identify(r)
}
