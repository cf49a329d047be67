package main

import (
	"fmt"

	"chatcache/policy"
)

const secretVariable = "CHATCACHE_PARTITION_SECRET"

const explainUsage = `usage: policy explain [options] FILE METHOD URL

Says which rule of the policy a request is subject to. For a read: its cache, TTL, partition and the
parts of its key. For a write: what it invalidates. Credentials are never printed.
A relative URL (/path?query) has no authority; -H 'host: NAME' gives one. Its scheme is http, unless
-H 'x-forwarded-proto: https' says otherwise.

`

// explanation is what a policy does to one request.
type explanation struct {
	Method    string        `json:"method"`
	URL       string        `json:"url"`
	Kind      string        `json:"kind"`           // read, write or none
	Hint      string        `json:"hint,omitempty"` // where no rule matches: one that nearly does
	Rule      string        `json:"rule,omitempty"`
	Patterns  []string      `json:"patterns,omitempty"`
	Partition *partition    `json:"partition,omitempty"`
	Bypass    string        `json:"bypass,omitempty"` // why the cache isn't used, though the rule matches
	Read      *readDetails  `json:"read,omitempty"`
	Write     *writeDetails `json:"write,omitempty"`
	Groups    []string      `json:"groups,omitempty"`
}

type partition struct {
	ID      string   `json:"id"`
	Sources []string `json:"sources"` // all that count
	Expires int64    `json:"expires,omitempty"`

	found policy.Partition
}

type readDetails struct {
	TTL        string  `json:"ttl"`
	Shared     bool    `json:"shared"`
	L1         bool    `json:"l1"`
	MaxWait    string  `json:"max_wait,omitempty"` // for somebody else's fetch; none: misses aren't collapsed
	Definition string  `json:"definition"`
	Key        []field `json:"key"`
}

type field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type writeDetails struct {
	Invalidates []string `json:"invalidates"`
	URIOf       string   `json:"uri_of,omitempty"` // the cache whose responses for the request's URI it invalidates, too
	Scope       string   `json:"scope"`
	Deadline    string   `json:"deadline"`
	Settle      string   `json:"settle"`
	AlsoAfter   string   `json:"also_after,omitempty"`
	Unreachable string   `json:"unreachable"`
	RaiseOn4xx  bool     `json:"raise_on_4xx"`
	UnchangedOn []int    `json:"unchanged_on,omitempty"` // 5xx statuses that say that nothing was written
}

func explain(args []string, s streams) int {
	o, code := explainOptions(args, s)
	if code >= 0 {
		return code
	}
	p, _, code := readPolicy(o.file, s)
	if code >= 0 {
		return code
	}
	e, err := explainRequest(p, o)
	if err != nil {
		fmt.Fprintln(s.err, "policy:", err)
		return exitUsage
	}
	if o.json {
		writeJSON(s.out, e)
	} else {
		e.write(s.out)
	}
	if e.Kind == "none" {
		return exitNo
	}
	return exitOK
}

func explainRequest(p *policy.Policy, o options) (explanation, error) {
	e := explanation{Method: o.request.method, URL: o.url, Kind: "none"}
	o.request.method = policy.StoredMethod(o.request.method)
	cache, rule := p.MatchOverridden(o.request.method, o.request.overriding(), o.request.authority, o.request.path)
	if cache == nil && rule == nil {
		if rule = p.Unruled(o.request.method); rule == nil {
			e.Hint = hint(p, o.request)
			return e, nil
		}
	}
	id, known, err := identifier(p, o)
	if err != nil {
		return e, err
	}
	e.Partition = identify(p, id, known, o)
	if cache != nil {
		e.read(p, cache, o)
	} else {
		e.invalidate(rule)
		if e.Partition == nil && rule.RefusesSome() {
			e.byNobody(rule, id.Credentials(o.request, rule), known)
		}
		if c := p.Resource(o.request.authority, o.request.path); c != nil {
			e.Write.URIOf = c.Name
		}
	}
	return e, nil
}

// unknownID stands for a partition's id where the secret isn't known.
const unknownID = "(unknown without " + secretVariable + ")"

// identifier gives what makes partitions, and tells whether they are the filters'.
func identifier(p *policy.Policy, o options) (id *policy.Identifier, known bool, err error) {
	secret := o.secret
	if secret == "" {
		secret = p.PartitionSecret
	}
	if known = secret != ""; !known {
		secret = "a secret that nobody uses"
	}
	id, err = policy.NewIdentifier(p.Identity, []byte(secret))
	return id, known, err
}

func identify(p *policy.Policy, id *policy.Identifier, known bool, o options) *partition {
	found, ok := id.Identify(o.request)
	if !ok {
		return nil
	}
	if !known {
		found = policy.Partition{ID: unknownID, Sources: found.Sources, Expires: found.Expires}
	}
	one := &partition{ID: found.ID, Expires: found.Expires, found: found}
	for i, source := range p.Identity {
		if found.Sources.Has(i) {
			one.Sources = append(one.Sources, source.String())
		}
	}
	return one
}

func (e *explanation) read(p *policy.Policy, c *policy.Cache, o options) {
	e.Kind, e.Rule, e.Patterns = "read", c.Name, c.Patterns()
	if c.Shared {
		e.Partition = nil
	}
	var body []byte
	e.Bypass, body = e.bypass(p, c, o)
	e.Read = &readDetails{TTL: freshness(c), Shared: c.Shared, L1: c.L1 && p.L1.Enabled, Definition: c.Definition}
	if c.Collapse && p.Collapse.Enabled {
		e.Read.MaxWait = policy.FormatDuration(p.Collapse.MaxWait)
	}
	if e.Bypass != "" {
		return
	}
	id := policy.Partition{}
	if e.Partition != nil {
		id = e.Partition.found
	}
	key := p.AppendKey(nil, c, o.request, id.ID, body)
	if len(key) > policy.MaxKey {
		e.Bypass = fmt.Sprintf("its key has %d bytes, more than %s", len(key), policy.FormatSize(policy.MaxKey))
		return
	}
	e.Read.Key = keyFields(p, key)
	e.Groups = id.ReadGroups(c.Name)
}

// keyFields reads the key back, so that what is shown is what the key holds.
func keyFields(p *policy.Policy, key []byte) (fields []field) {
	parts, err := policy.SplitKey(key)
	if err != nil {
		panic(err) // AppendKey and SplitKey are inverse
	}
	add := func(name, value string) { fields = append(fields, field{name, value}) }
	add("policy", parts.Policy)
	add("cache", parts.Cache)
	add("method", parts.Method)
	if parts.HasOrigin {
		add("scheme", parts.Scheme)
		for _, f := range parts.Forwarded {
			add("forwarded", f)
		}
		add("authority", parts.Authority)
	}
	add("path", parts.Path)
	for _, q := range parts.Query {
		add("query", q)
	}
	for _, h := range parts.Headers {
		for _, v := range h.Values {
			if p.Secret(h.Name) {
				v = "(a credential)"
			}
			add("header "+h.Name, v)
		}
		if len(h.Values) == 0 {
			add("header "+h.Name, "(absent)")
		}
	}
	if parts.Partition != "" {
		add("partition", parts.Partition)
	}
	if parts.HasBody {
		add("body", parts.Body)
	}
	return fields
}

func (e *explanation) invalidate(rule *policy.Invalidation) {
	e.Kind, e.Rule, e.Patterns = "write", rule.Name, rule.Patterns()
	w := &writeDetails{Deadline: policy.FormatDuration(rule.Deadline), Settle: policy.FormatDuration(rule.Settle),
		Unreachable: "forward", RaiseOn4xx: rule.RaiseOn4xx, UnchangedOn: rule.UnchangedOn}
	if rule.AlsoAfter > 0 {
		w.AlsoAfter = policy.FormatDuration(rule.AlsoAfter)
	}
	for _, c := range rule.Caches {
		w.Invalidates = append(w.Invalidates, c.Name)
	}
	if rule.Refuse {
		w.Unreachable = "refuse"
	}
	var parts []string
	switch {
	case rule.All:
		w.Scope = "every partition"
	case e.Partition == nil:
		w.Scope = "every partition: the write has no identity"
	default:
		w.Scope, parts = "the writer's partition; shared caches as a whole", e.Partition.found.Parts()
	}
	e.Write, e.Groups = w, rule.Groups(parts...)
}

// byNobody sets scope and groups of a write without an identity by a rule some of whose caches the origin refuses anonymous writes of.
func (e *explanation) byNobody(rule *policy.Invalidation, credentials []string, known bool) {
	if len(credentials) > 0 && !known {
		credentials = []string{unknownID}
	}
	e.Groups = rule.GroupsOfNobody(credentials)
	switch {
	case rule.All && len(credentials) > 0:
		e.Write.Scope = "every partition"
	case len(credentials) > 0:
		e.Write.Scope = "what is stored with one of its credentials, which make no identity; shared caches as a whole"
	case rule.RefusesAnonymous:
		e.Write.Scope = "nothing: the origin refuses a write without a credential; every partition if it answers 2xx"
	default:
		e.Write.Scope = "every partition of the caches in the groups below; of the others, too, if the origin answers 2xx"
	}
}

// freshness says how long the cache's responses are fresh.
func freshness(c *policy.Cache) string {
	if c.Origin {
		return "origin, at most " + policy.FormatDuration(c.TTL)
	}
	return policy.FormatDuration(c.TTL)
}
