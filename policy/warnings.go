package policy

import (
	"slices"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// refusals are statuses that tell one client that it may not, or not now.
var refusals = []uint32{401, 403, 407, 429}

// warn notes what is allowed but probably not meant.
func (o object) warn(p *Policy) {
	warn := func(id ID, field, rule, wanted, hint string) {
		offset := o.value.Offset
		v := o.value
		for name := range strings.SplitSeq(field[1:], "/") {
			if n, err := strconv.Atoi(name); v.Kind == strictjson.Array && err == nil && n < len(v.Items) {
				v = &v.Items[n]
			} else if v = v.Get(name); v == nil {
				break
			}
			offset = v.Offset
		}
		p.warnings = append(p.warnings, Problem{ID: id, Path: field, Offset: offset, Rule: rule, Wanted: wanted, Hint: hint})
	}
	for _, c := range p.Caches {
		at := "/caches/" + c.Name
		if c.Body != nil && !p.Bodies {
			warn(NoBodies, at+"/body", c.Name, "no request body reaches the filter, so this cache only bypasses",
				`set allow_on_headers_stop_iteration in Envoy's Wasm plugin, and here "host": {"allow_on_headers_stop_iteration": true}`)
		}
		if c.Prefetch != nil && p.Loopback == "" {
			warn(NoLoopback, at+"/prefetch", c.Name, "nothing leads to this proxy's own listener, so nothing is prefetched",
				`name an Envoy cluster that does: "host": {"loopback_cluster": "…"}`)
		}
		for _, text := range c.patterns {
			if upper := strings.ToUpper(text); strings.Contains(upper, "%3F") || strings.Contains(upper, "%23") {
				warn(NeverMatches, at+"/match", c.Name, "no request is answered by "+quote(text)+": to some origins %3F begins a query, and %23 a fragment",
					"take it out: nothing of such a path is cached")
			}
		}
		if text := c.takesWrites(); text != "" {
			warn(CachedWrites, at+"/match", c.Name, "a write that "+quote(text)+" matches would be answered from the cache the second time, and never reach the origin",
				"list the paths of POSTs that only read")
		}
		for _, name := range c.Headers {
			if p.Secret(name) {
				warn(KeyedSecret, at+"/headers", c.Name, quote(name)+" would stand in keys as it was sent, in every proxy's memory",
					`take it out, and have it in "identity": the partition of a private cache stands for it`)
			}
		}
		for _, name := range c.IgnoreQuery {
			if p.Secret(name) {
				warn(IgnoredSecret, at+"/ignore_query", c.Name, "who asks with another "+quote(name)+", or with none, would get the same answer",
					`take it out: a credential in the query has to stay part of the key`)
			}
		}
		if path := p.whoeverAsks(c); path != "" {
			warn(SharedUser, at+"/shared", c.Name, "where GET "+path+" is about whoever asks, one user's answer to it is everybody's",
				`give that path a pattern of its own in a private cache, or in one with "ttl": "0s"`)
		}
		for _, s := range c.StatusTTL {
			if c.Shared && s.TTL > 0 && slices.Contains(refusals, s.Status) {
				status := strconv.Itoa(int(s.Status))
				warn(SharedRefusal, at+"/status_ttl/"+status, c.Name, "what the origin refuses one client with would be everybody's answer",
					"take it out: a "+status+" is about who asks")
			}
		}
	}
	for i, rule := range p.Invalidations {
		if text := rule.ofSeveral(); text != "" && o.value.Get("invalidations").Items[i].Get("scope") == nil {
			warn(OthersStale, "/invalidations/"+strconv.Itoa(i)+"/invalidate", rule.Name,
				"several people may read what "+quote(text)+" writes to, and what private caches have of it for others than the writer stays as it is",
				`say "scope": "all" where that is so, and otherwise "scope": "partition"`)
		}
		spared := slices.Clone(rule.Caches)
		for text, pattern := range parsedPatterns(rule.patterns) {
			if c := p.written(pattern); c != nil && !slices.Contains(spared, c) {
				spared = append(spared, c)
				warn(NotInvalidated, "/invalidations/"+strconv.Itoa(i)+"/invalidate", rule.Name,
					"what a GET has of the path of "+quote(text)+" is in the cache "+c.Name+", and is stale after such a write until it expires", "add "+quote(c.Name))
			}
		}
	}
	if len(p.Identity) > 0 && !slices.ContainsFunc(p.Identity, func(s Source) bool { return !s.claimed() }) {
		warn(Unproven, "/identity", "", "whoever sends "+quote(p.Identity[0].Name)+" with somebody else's name gets what was stored for that one",
			`add the header or cookie with the token that the origin goes by, or name what a filter before this one has verified: "jwt_authn_claim" or "property"`)
	}
	if strings.Contains(p.Bridge.Cluster, "://") {
		warn(NoCluster, "/bridge/cluster", "", "a URL stands where the name of an Envoy cluster is wanted, so no call reaches the bridge",
			`the shipped configuration has "redis-bridge"`)
	}
	if p.PartitionSecret != "" {
		warn(InlineSecret, "/partition_secret", "", "a secret stands in the document", "supply it through the environment: CHATCACHE_PARTITION_SECRET")
	}
	if p.Bridge.Token != "" {
		warn(InlineSecret, "/bridge/token", "", "a secret stands in the document", "supply it through the environment: CHATCACHE_BRIDGE_TOKEN")
	}
}
