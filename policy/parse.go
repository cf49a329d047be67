package policy

import (
	"errors"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
	"chatcache/redisbridge/wire"
)

// Parse reads and validates a policy. On any problem the policy is nil and the problems are
// all that were found, sorted by position in the document.
func Parse(doc []byte) (*Policy, Problems) {
	if len(doc) > maxDocument {
		return nil, Problems{{ID: TooLarge, Wanted: "a policy has at most " + FormatSize(maxDocument)}}
	}
	root, err := strictjson.Parse(doc)
	if err != nil {
		return nil, Problems{syntaxProblem(doc, err)}
	}
	d := &decoder{}
	p := d.policy(&root)
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	p.warnings.sort()
	p.rules, p.version = p.findRules(), version(&root)
	return p, nil
}

func syntaxProblem(doc []byte, err error) Problem {
	p := Problem{ID: Syntax, Wanted: err.Error()}
	if syntax, ok := errors.AsType[*strictjson.SyntaxError](err); ok {
		p.Offset, p.Wanted = syntax.Offset, syntax.Message
		p.Hint = "at byte " + strconv.Itoa(syntax.Offset)
	}
	if len(doc) == 0 {
		p.Wanted, p.Hint = "no policy was configured: the document is empty", `give it as the plugin's configuration`
	}
	return p
}

func (d *decoder) policy(root *strictjson.Value) *Policy {
	p := &Policy{}
	o, ok := d.object(root, "policy", "", "")
	if !ok {
		return nil
	}
	o.version()
	p.Name = o.policyName()
	p.Identity = o.identity()
	p.Bridge = o.bridge()
	p.L1 = o.l1()
	p.Collapse = o.collapse()
	p.PartitionSecret = o.secret("partition_secret", MinSecret)
	p.MaxResponse = o.size("max_response", defaultResponse, 1, maxResponse)
	p.StreamAbove = o.size("stream_above", defaultStream, 0, maxResponse)
	if host := o.value.Get("host"); host != nil {
		if h, ok := d.object(host, "host", "/host", ""); ok {
			p.Bodies = h.bool("allow_on_headers_stop_iteration")
			p.UpstreamHTTP2 = h.bool("upstream_http2")
			p.Loopback, _ = h.text("loopback_cluster")
		}
	}
	p.Targets = o.targets()
	if p.StatusKey = o.bool("cache_status_key"); p.StatusKey && len(p.Identity) == 0 {
		o.bad(WrongValue, "cache_status_key", "the digest is keyed by the partition secret, which only a policy with identity has", `add "identity"`)
	}
	p.Tags = o.headerNames("group_headers")
	table := &patternTable{routes: &p.routes, meetings: meetings{}}
	o.caches(p, table)
	origin := originsWord{unchangedOn: o.unchangedOn(), refusesAnonymous: o.refusesAnonymous(p)}
	o.invalidations(p, table, origin)
	p.findUnruled(origin)
	for _, c := range p.Caches {
		c.Definition = define(c, p)
	}
	o.warn(p)
	return p
}

func (o object) version() {
	v := o.value.Get("version")
	if v == nil {
		o.missing("version", `write "version": 1`)
		return
	}
	// A document that Envoy handed through has its numbers as doubles: 1 may come as 1.0.
	if n, err := strconv.ParseFloat(v.Text, 64); v.Kind != strictjson.Number || err != nil || n != 1 {
		o.bad(WrongValue, "version", "the number 1 is wanted", "this release knows no other version of the language")
	}
}

func (o object) policyName() string {
	if !o.has("name") {
		o.missing("name", "it sets the policy's keys in Redis apart from those of other policies")
		return ""
	}
	name, ok := o.text("name")
	if ok && !isPlainName(name, "-", wire.MaxPolicyName) {
		o.bad(WrongValue, "name", "letters a-z, digits and -, at most "+strconv.Itoa(wire.MaxPolicyName)+", not beginning with -, are wanted", "")
	}
	return name
}

// isPlainName tells whether s is made of a-z, 0-9 and, not at its start, of extra.
func isPlainName(s, extra string, most int) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && strings.IndexByte(extra, c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= most
}

func (o object) bridge() (b Bridge) {
	v := o.value.Get("bridge")
	if v == nil {
		o.missing("bridge", `name the Envoy cluster of the bridge: {"cluster": "redis-bridge"}`)
		return b
	}
	o, ok := o.object(v, "bridge", "/bridge", "")
	if !ok {
		return b
	}
	if b.Cluster, ok = o.text("cluster"); !ok && !o.has("cluster") {
		o.missing("cluster", "it is the name of an Envoy cluster")
	}
	if b.Authority, ok = o.text("authority"); !ok {
		// Of Istio's outbound|PORT|SUBSET|HOST only the host can be an authority.
		b.Authority = b.Cluster[strings.LastIndexByte(b.Cluster, '|')+1:]
	}
	b.Timeout = o.duration("timeout", defaultTimeout, minTimeout, maxTimeout)
	b.Token = o.secret("token", 1)
	b.Breaker = o.breaker()
	return b
}

func (o object) breaker() Breaker {
	o, on := o.optional("breaker")
	if !on {
		return Breaker{}
	}
	return Breaker{
		Failures: o.count("failures", defaultFailures, 1, maxFailures),
		Open:     o.duration("open", defaultOpen, minOpen, maxOpen),
	}
}

func (o object) l1() L1 {
	o, on := o.optional("l1")
	return L1{
		Enabled:      on,
		MaxBytes:     o.size("max_bytes", defaultL1Bytes, minL1Bytes, maxL1Bytes),
		MaxStaleness: o.duration("max_staleness", defaultStaleness, minStaleness, maxStaleness),
	}
}

func (o object) collapse() Collapse {
	o, on := o.optional("collapse")
	return Collapse{Enabled: on, MaxWait: o.duration("max_wait", defaultWait, minWait, maxWait)}
}
