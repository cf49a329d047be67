package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"chatcache/redisbridge"
)

// check looks at the evidence for one symptom. problem is what it found, or "": then detail may
// say what is well. TROUBLESHOOTING.md has the same checks, in this order, with the same advice.
type check struct {
	name string
	do   string
	look func(e evidence) (problem, detail string)
}

const (
	farBehind  = 64              // events that a VM may be behind without anything being wrong
	longBehind = time.Second     // or for so long: where there are many writes and many VMs, events are always on their way
	clockSkew  = 2 * time.Second // that credentials' expiry stands
	enough     = 100             // requests that a ratio needs
	lowRatio   = 0.1

	deliveredWithin = time.Second // ends of writes, where the bridge answers
	journalEntries  = "chatcache_journal_entries"
)

var checks = []check{
	{"bridge", "start it, or name it with --bridge; a network policy may stand between", lookBridge},
	{"token", "set CHATCACHE_ADMIN_TOKEN or --admin-token-file to the bridge's", lookToken},
	{"redis", "start it, or correct REDIS_URL of the bridge; meanwhile everything goes to the origin", lookRedis},
	{"maxmemory-policy", "set maxmemory-policy to noeviction or one of volatile-*: others evict what decides validity", lookEviction},
	{"ready", "what it says; until then a bridge gets no calls", lookReady},
	{"breaker", "look at Redis' load and slow log, and at --timeout of the bridge", lookBreaker},
	{"pub/sub", "allow Redis' user PSUBSCRIBE on {chatcache:*}:wake and {chatcache:*}:filled, by exactly these patterns: events of other bridges arrive late without it", lookPubSub},
	{"proxies", "load the filter, and compare the policy's name; a proxy follows the feed from its first request on", lookProxies},
	{"feed", "look at the named proxies' CPU and at their way to the bridge; they answer from memory no longer than their lease", lookFeed},
	{"policies", "give all proxies the same policy and the same partition secret; after a change wait until the old ones, and the connections that they drain, are gone", lookPolicies},
	{"controls", "redisbridge controls unset, when it is over", lookControls},
	{"comparisons", "where answers differ the proxies' logs say it (verify: cache NAME): turn the cache off, or let its verify.ignore have what may differ", lookComparisons},
	{"clock", "let NTP set both clocks; credentials' expiry goes by them", lookClock},
	{"envoy", "name the admin interface with --envoy, and let it answer", lookEnvoy},
	{"filter", "Envoy's log says why the .wasm or the policy was refused", lookFilter},
	{"workers", "Envoy's log has the end of a VM that has died: restart that Envoy, since what is written through its worker may invalidate nothing; or its way to the bridge is cut, or the bridge refuses its token (check filter token)", lookWorkers},
	{"filter token", "give Envoy the CHATCACHE_BRIDGE_TOKEN of the bridge, and both the same version", lookFilterToken},
	{"filter panics", "report the line of Envoy's log with \"recovered from a panic\"", lookPanics},
	{"journal", "the proxy can't tell the bridge of ends of writes: look at the cluster redis-bridge; those groups aren't cached meanwhile", lookJournal},
	{"anonymous writes", "the policy's origin_refuses_anonymous is wrong for the rule that Envoy's log names with it: say false there, or let the origin refuse them", lookAnonymous},
	{"hit ratio", "look at the reasons in chatcache_bypasses and chatcache_unstored, and at policy explain", lookHitRatio},
}

// examine makes every check that the evidence allows: without the bridge's status nothing can be
// said of what it tells.
func examine(e evidence) (findings []finding) {
	for _, c := range checks {
		problem, detail := c.look(e)
		switch {
		case problem != "":
			findings = append(findings, finding{Check: c.name, Detail: problem, Do: c.do})
		case detail != "":
			findings = append(findings, finding{Check: c.name, OK: true, Detail: detail})
		}
	}
	return findings
}

func (e evidence) refused() bool {
	var refused refusedError
	return errors.As(e.statusError, &refused) && refused.status == http.StatusUnauthorized
}

func lookBridge(e evidence) (problem, detail string) {
	if e.statusError != nil && !e.refused() {
		return e.statusError.Error(), ""
	}
	return "", "it answers"
}

func lookToken(e evidence) (problem, detail string) {
	switch {
	case e.refused():
		return e.statusError.Error(), ""
	case e.statusError != nil:
		return "", ""
	}
	return "", "it lets us in"
}

func lookRedis(e evidence) (problem, detail string) {
	switch r := e.status.Redis; {
	case e.statusError != nil:
		return "", ""
	case !r.OK:
		return r.Error, ""
	default:
		return "", fmt.Sprintf("%s %s, ping %.2f ms", r.Mode, r.Version, r.PingMS)
	}
}

func lookEviction(e evidence) (problem, detail string) {
	policy := e.status.Redis.EvictionPolicy
	switch {
	case policy == "":
		return "", ""
	case policy != "noeviction" && !strings.HasPrefix(policy, "volatile-"):
		return "it is " + policy, ""
	}
	return "", policy
}

func lookReady(e evidence) (problem, detail string) {
	switch {
	case e.ready != "":
		return e.ready, ""
	case e.statusError != nil:
		return "", ""
	case e.status.Redis.Problem != "":
		return e.status.Redis.Problem, ""
	}
	return "", "/readyz says yes"
}

func lookBreaker(e evidence) (problem, detail string) {
	b := e.status.Redis.Breaker
	switch {
	case e.statusError != nil:
		return "", ""
	case b.State != "closed":
		return fmt.Sprintf("it is %s (%s): lookups and stores fail at once", b.State, b.Cause), ""
	}
	return "", fmt.Sprintf("closed, opened %d times so far", b.Openings)
}

func lookPubSub(e evidence) (problem, detail string) {
	switch {
	case e.statusError != nil || !e.status.Redis.OK:
		return "", ""
	case !e.status.Redis.Subscribed:
		return "the bridge could never subscribe", ""
	}
	return "", "the bridge has subscribed"
}

func lookProxies(e evidence) (problem, detail string) {
	if e.statusError != nil || !e.status.Redis.OK {
		return "", ""
	}
	vms := 0
	for _, p := range e.status.Policies {
		vms += p.VMs
	}
	if vms == 0 {
		return "no worker of any proxy follows the feed", ""
	}
	return "", fmt.Sprintf("%d workers follow the feed", vms)
}

// lookPolicies finds caches that nobody uses because proxies know different rules for them.
func lookPolicies(e evidence) (problem, detail string) {
	if e.statusError != nil || !e.status.Redis.OK {
		return "", ""
	}
	var waiting []string
	versions := make(map[string]bool)
	for _, p := range e.status.Policies {
		for _, vm := range p.Followers {
			versions[p.Name+" "+cmp.Or(vm.PolicyVersion, "unknown")] = true
		}
		for _, c := range p.Controls.Caches {
			if c.Rollout {
				waiting = append(waiting, p.Name+" "+c.Name)
			}
		}
	}
	switch {
	case len(waiting) > 0:
		return "proxies with different rules are at work, or were lately, for " + strings.Join(waiting, ", "), ""
	case len(versions) == 0:
		return "", ""
	}
	return "", fmt.Sprintf("policies and their versions at work: %s", strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
}

// lookControls tells what operators have set. It is no problem by itself, but explains what else would look like one.
func lookControls(e evidence) (problem, detail string) {
	if e.statusError != nil || !e.status.Redis.OK {
		return "", ""
	}
	var set []string
	add := func(policy, cache string, s redisbridge.ControlSettings) {
		if s != (redisbridge.ControlSettings{}) {
			set = append(set, policy+" "+cache+" "+settingsText(s))
		}
	}
	for _, p := range e.status.Policies {
		add(p.Name, "(all)", p.Controls.All)
		for _, c := range p.Controls.Caches {
			add(p.Name, c.Name, c.ControlSettings)
		}
	}
	if len(set) == 0 {
		return "", "nothing is set"
	}
	return "", "set are " + strings.Join(set, ", ") + "; redisbridge controls unset forgets them"
}

// lookComparisons tells how many answers differed from the origin's. It is no problem by itself: the counts stay when what was wrong is over.
func lookComparisons(e evidence) (problem, detail string) {
	if e.statusError != nil || !e.status.Redis.OK {
		return "", ""
	}
	compared := uint64(0)
	var differ []string
	for _, p := range e.status.Policies {
		for _, c := range p.Caches {
			all := c.Proxies.Matches + c.Proxies.Mismatches
			compared += all
			if c.Proxies.Mismatches > 0 {
				differ = append(differ, fmt.Sprintf("%s %s %d of %d", p.Name, c.Name, c.Proxies.Mismatches, all))
			}
		}
	}
	switch {
	case compared == 0:
		return "", "no answer was compared with the origin's"
	case len(differ) > 0:
		return "", "since Redis was empty other answers than the origin's: " + strings.Join(differ, ", ") + "; the proxies' logs say where (verify: cache NAME)"
	}
	return "", fmt.Sprintf("%d answers were compared with the origin's, none differs", compared)
}

func lookFeed(e evidence) (problem, detail string) {
	var late []string
	followers := 0
	for _, p := range e.status.Policies {
		followers += len(p.Followers)
		for _, vm := range p.Followers {
			if vm.Lag > farBehind && p.BehindMS > longBehind.Milliseconds() && len(late) < maxNamed {
				late = append(late, fmt.Sprintf("VM %s is %d events behind", vm.VM, vm.Lag))
			}
		}
	}
	switch {
	case e.statusError != nil || !e.status.Redis.OK:
		return "", ""
	case len(late) > 0:
		return strings.Join(late, ", "), ""
	case followers == 0:
		return "", ""
	}
	return "", fmt.Sprintf("no worker is more than %d events and %v behind", farBehind, longBehind)
}

func lookClock(e evidence) (problem, detail string) {
	switch {
	case e.clock > clockSkew || e.clock < -clockSkew:
		return fmt.Sprintf("the bridge's differs from this machine's by %v", e.clock), ""
	case e.statusError != nil:
		return "", ""
	}
	return "", fmt.Sprintf("the bridge's and this machine's agree within %v", clockSkew)
}

// each applies a check to every Envoy whose metrics can be read and that shows the filter's; what the check
// has seen where nothing is wrong is the detail. An Envoy that it can say nothing of is left out.
func (e evidence) each(look func(m metricSums) (problem, detail string)) (problem, detail string) {
	return e.eachEnvoy(func(envoy envoyEvidence) (problem, detail string) { return look(envoy.metrics) })
}

// eachEnvoy is each for a check that wants more than the metrics of one look.
func (e evidence) eachEnvoy(look func(envoyEvidence) (problem, detail string)) (problem, detail string) {
	var problems, details []string
	for _, envoy := range e.envoys {
		if envoy.err != nil || !envoy.hasFilter() {
			continue
		}
		switch problem, detail := look(envoy); {
		case problem != "":
			problems = append(problems, envoy.url+": "+problem)
		case detail != "":
			details = append(details, envoy.url+": "+detail)
		}
	}
	if len(problems) > 0 {
		return strings.Join(problems, "; "), ""
	}
	return "", strings.Join(details, "; ")
}

// hasFilter tells whether the filter has accepted a policy there: it defines its metrics then.
func (e envoyEvidence) hasFilter() bool { return e.metrics.has("chatcache_panics") }

func lookEnvoy(e evidence) (problem, detail string) {
	var silent []string
	for _, envoy := range e.envoys {
		if envoy.err != nil {
			silent = append(silent, fmt.Sprintf("%s: %v", envoy.url, envoy.err))
		}
	}
	switch {
	case len(silent) > 0:
		return strings.Join(silent, "; "), ""
	case len(e.envoys) == 0:
		return "", ""
	}
	return "", fmt.Sprintf("%d answer", len(e.envoys))
}

func lookFilter(e evidence) (problem, detail string) {
	var without []string
	seen := 0
	for _, envoy := range e.envoys {
		if envoy.err != nil {
			continue
		}
		if seen++; !envoy.hasFilter() {
			without = append(without, envoy.url+": it shows no metric of the filter")
		}
	}
	switch {
	case len(without) > 0:
		return strings.Join(without, "; "), ""
	case seen == 0:
		return "", ""
	}
	return "", "it is loaded"
}

// lookFilterToken says that all is well only where the bridge has answered lookups, and does still. An Envoy counts from its
// start on: what was refused at some time is over where, until the second look, lookups were answered and none was refused.
func lookFilterToken(e evidence) (problem, detail string) {
	return e.eachEnvoy(func(envoy envoyEvidence) (problem, detail string) {
		answered, refused := lookups(envoy.metrics)
		answeredLater, refusedLater := lookups(envoy.later)
		switch {
		case refused > 0 && (answeredLater <= answered || refusedLater > refused):
			return fmt.Sprintf("%.0f reads were forwarded because the bridge refused them or gave another answer", max(refused, refusedLater)), ""
		case refused > 0:
			return "", fmt.Sprintf("the bridge answers lookups; %.0f were refused before", refused)
		case answered == 0 || e.statusError != nil && !e.refused():
			return "", ""
		}
		return "", fmt.Sprintf("the bridge has answered %.0f lookups and refused none", answered)
	})
}

// lookups counts those that the bridge has answered, and those that it has refused.
func lookups(m metricSums) (answered, refused float64) {
	return m.sum("chatcache_hits", `tier="l2"`) + m.sum("chatcache_misses", ""), m.sum("chatcache_bypasses", `reason="bridge-error"`)
}

func lookPanics(e evidence) (problem, detail string) {
	return e.each(func(m metricSums) (problem, detail string) {
		if n := m.sum("chatcache_panics", ""); n > 0 {
			return fmt.Sprintf("%.0f", n), ""
		}
		return "", "none"
	})
}

// lookWorkers compares what VMs have added to a gauge, which stays when one dies, with those that Redis knows.
func lookWorkers(e evidence) (problem, detail string) {
	following, known := 0.0, 0
	for _, envoy := range e.envoys {
		following += envoy.metrics.sum("chatcache_following", "")
	}
	for _, p := range e.status.Policies {
		known += p.VMs
	}
	switch {
	case e.statusError != nil || !e.status.Redis.OK || len(e.status.Policies) == 0 || following == 0:
		return "", ""
	case following > float64(known):
		return fmt.Sprintf("%.0f follow the feed, as the proxies say, and the bridge knows %d", following, known), ""
	}
	return "", fmt.Sprintf("all %.0f that follow the feed are known to the bridge", following)
}

// lookJournal finds ends of writes that don't arrive: fewer than were owed at the first look have been acknowledged until
// the second, and some are owed still.
func lookJournal(e evidence) (problem, detail string) {
	return e.eachEnvoy(func(envoy envoyEvidence) (problem, detail string) {
		const closed = "chatcache_writes_closed"
		owed, left := envoy.metrics.sum(journalEntries, ""), envoy.later.sum(journalEntries, "")
		arrived := envoy.later.sum(closed, "") - envoy.metrics.sum(closed, "")
		switch {
		case owed == 0:
			return "", "empty"
		case envoy.later == nil || left > 0 && arrived < owed:
			return fmt.Sprintf("%.0f ends of writes wait for the bridge", max(owed, left)), ""
		}
		return "", "ends of writes arrive"
	})
}

func lookAnonymous(e evidence) (problem, detail string) {
	return e.each(func(m metricSums) (problem, detail string) {
		if n := m.sum("chatcache_anonymous_done", ""); n > 0 {
			return fmt.Sprintf("the origin did %.0f that the policy says it refuses", n), ""
		}
		return "", "the origin did none that the policy says it refuses"
	})
}

func lookHitRatio(e evidence) (problem, detail string) {
	return e.each(func(m metricSums) (problem, detail string) {
		hits := m.sum("chatcache_hits", "") + m.sum("chatcache_collapsed", "") +
			m.sum("chatcache_would_hits", "") // what operators only observe or verify could have been answered
		all := hits + m.sum("chatcache_misses", "") + m.sum("chatcache_bypasses", "")
		for _, reason := range []string{"off", "percent", "observe", "verify"} { // what operators want isn't wrong
			all -= m.sum("chatcache_bypasses", `reason="`+reason+`"`)
		}
		if all < enough {
			return "", fmt.Sprintf("not known after %.0f reads, fewer than %d", all, enough)
		}
		seen := fmt.Sprintf("%.1f%% of %.0f reads", 100*hits/all, all)
		if hits < lowRatio*all {
			return seen, ""
		}
		return "", seen
	})
}
