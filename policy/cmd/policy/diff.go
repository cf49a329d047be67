package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"chatcache/policy"
	"chatcache/policy/internal/strictjson"
)

const diffUsage = `usage: policy diff [--json] OLD NEW

Says what a change of the policy does to each cache: whether it waits (nobody uses or stores it while proxies with
both policies are at work: detail=rollout), begins empty, or keeps what is stored; and which fields differ.
It exits with 0 when none does, and with 1 when some do. Secrets are never printed.

`

// What a change of the policy does to a cache.
const (
	cacheNew   = "new"
	cacheGone  = "gone"
	cacheWaits = "waits" // nobody uses or stores it until the last proxy with the old policy is gone; then it begins empty
	cacheEmpty = "empty"
	cacheKept  = "kept"
)

// effects says it in words.
var effects = map[string]string{
	cacheNew: "new", cacheGone: "gone", cacheWaits: "waits, then begins empty", cacheEmpty: "begins empty", cacheKept: "keeps what is stored",
}

// difference is what a new policy changes.
type difference struct {
	Policy  pair[string]      `json:"policy"`  // their names
	Version pair[string]      `json:"version"` // see policy.Policy.Version
	Caches  []cacheDifference `json:"caches"`  // those that the change concerns, in order of name
	Fields  []fieldDifference `json:"fields"`  // in order of path
}

type pair[T any] struct {
	Old T `json:"old"`
	New T `json:"new"`
}

type cacheDifference struct {
	Cache  string `json:"cache"`
	Effect string `json:"effect"` // one of effects
	Why    string `json:"why,omitempty"`
}

// fieldDifference is a field with its values as JSON; one is null where the field isn't there.
type fieldDifference struct {
	Path string `json:"path"` // as in RFC 6901, with an invalidation's name for its index
	pair[json.RawMessage]
}

func diff(args []string, s streams) int {
	flags := newFlags("diff")
	asJSON := flags.Bool("json", false, "print the differences as JSON")
	files, code := parseArgs(flags, diffUsage, args, s)
	if code >= 0 {
		return code
	}
	if len(files) != 2 {
		return misused(flags, s, wrongNumber(files, "OLD and NEW"))
	}
	var policies [2]*policy.Policy
	var documents [2]document
	for i, name := range files {
		if policies[i], documents[i], code = readPolicy(name, s); code >= 0 {
			return exitUsage // not exitNo, which tells that they differ
		}
	}
	d := compare(policies[0], policies[1])
	d.Fields = fieldsThatDiffer("", documents[0].fields(), documents[1].fields())
	if *asJSON {
		writeJSON(s.out, d)
	} else {
		d.write(s.out)
	}
	if len(d.Fields) > 0 {
		return exitNo
	}
	return exitOK
}

func compare(before, after *policy.Policy) difference {
	d := difference{
		Policy: pair[string]{before.Name, after.Name}, Version: pair[string]{before.Version(), after.Version()},
		Caches: []cacheDifference{},
	}
	if before.Name != after.Name {
		return d // nothing of the one is the other's
	}
	names := make(map[string]bool)
	for _, c := range slices.Concat(before.Caches, after.Caches) {
		names[c.Name] = true
	}
	// The filter keys partitions and the digests of rules by the secret where the policy has an identity, and only there.
	had, has := len(before.Identity) > 0, len(after.Identity) > 0
	// Where one is empty the environment has it, maybe the same.
	otherSecret := had && has && before.PartitionSecret != after.PartitionSecret && before.PartitionSecret != "" && after.PartitionSecret != ""
	for _, name := range slices.Sorted(maps.Keys(names)) {
		c := cacheDifference{Cache: name}
		switch was, is, rules := before.Cache(name), after.Cache(name), rulesOf(after, name); {
		case was == nil && rules != "":
			c.Effect, c.Why = cacheNew, "waits for the last proxy with the old policy, which doesn't know what invalidates it"
		case was == nil:
			c.Effect = cacheNew
		case is == nil:
			c.Effect, c.Why = cacheGone, "what is stored expires by itself"
		case rulesOf(before, name) != rules:
			c.Effect, c.Why = cacheWaits, "what invalidates it differs"
		case rules != "" && had != has:
			c.Effect, c.Why = cacheWaits, "the partition secret is part of what tells its rules, since the policy has an identity"
			if had {
				c.Why = "the partition secret is no part of what tells its rules any more, since the policy has no identity"
			}
		case otherSecret && rules != "" && is.Private():
			c.Effect, c.Why = cacheWaits, "the secret of its partitions differs"
		case otherSecret && rules != "":
			c.Effect, c.Why = cacheWaits, "the partition secret differs, which is part of what tells its rules"
		case otherSecret && is.Private():
			c.Effect, c.Why = cacheEmpty, "the secret of its partitions differs"
		case was.Definition != is.Definition:
			c.Effect, c.Why = cacheEmpty, "what its responses are keyed by or belong to differs"
		case !reflect.DeepEqual(settings(was), settings(is)):
			c.Effect = cacheKept
		default:
			continue
		}
		d.Caches = append(d.Caches, c)
	}
	return d
}

// rulesOf is the digest of what invalidates a cache, "" where nothing does.
func rulesOf(p *policy.Policy, cache string) string {
	for _, r := range p.Rules() {
		if r.Cache == cache {
			return r.Digest
		}
	}
	return ""
}

// settings is what the policy says of a cache itself.
func settings(c *policy.Cache) any {
	own := *c
	own.Index = 0
	return own
}

// fields is the policy as its fields, with the invalidations by their names, since their order means nothing.
func (d document) fields() (fields map[string]any) {
	if json.Unmarshal(d.text, &fields) != nil {
		return nil // can't be: it has been read as a policy
	}
	rules := make(map[string]any)
	list, _ := fields["invalidations"].([]any)
	for _, rule := range list {
		if members, ok := rule.(map[string]any); ok {
			rules[fmt.Sprint(members["name"])] = members
		}
	}
	fields["invalidations"] = rules
	return fields
}

// secretFields are shown as being there, without their values.
var secretFields = []string{"/partition_secret", "/bridge/token"}

// fieldsThatDiffer lists them. A member that is an object in both is compared member by member.
func fieldsThatDiffer(path string, before, after map[string]any) []fieldDifference {
	list := []fieldDifference{}
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		at := strictjson.Pointer(path, name)
		was, is := before[name], after[name]
		x, object1 := was.(map[string]any)
		y, object2 := is.(map[string]any)
		switch {
		case object1 && object2:
			list = append(list, fieldsThatDiffer(at, x, y)...)
		case !reflect.DeepEqual(was, is):
			list = append(list, fieldDifference{at, pair[json.RawMessage]{shown(at, was), shown(at, is)}})
		}
	}
	return list
}

func shown(path string, value any) json.RawMessage {
	if value != nil && slices.Contains(secretFields, path) {
		value = "(a secret)"
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(value) // never fails: it was read from JSON
	return json.RawMessage(strings.TrimSpace(text.String()))
}

// write prints the differences for people.
func (d difference) write(w io.Writer) {
	switch {
	case len(d.Fields) == 0:
		fmt.Fprintf(w, "policy %s, version %s: no field differs\n", d.Policy.New, d.Version.New)
		return
	case d.Policy.Old != d.Policy.New:
		fmt.Fprintf(w, "policy %s instead of %s: to the bridge these are two policies, and proxies with the one don't hear of writes that pass those with the other\n", d.Policy.New, d.Policy.Old)
		line(w, "first", "redisbridge controls set --policy "+d.Policy.New+" --new-policy --all off")
		line(w, "in the end", "redisbridge controls unset --policy "+d.Policy.New+" --all off")
	case d.Version.Old == d.Version.New && len(d.Caches) == 0:
		fmt.Fprintf(w, "policy %s, version %s: proxies with either do the same\n", d.Policy.New, d.Version.New)
	case d.Version.Old == d.Version.New:
		fmt.Fprintf(w, "policy %s, version %s\n", d.Policy.New, d.Version.New)
	default:
		fmt.Fprintf(w, "policy %s, version %s instead of %s\n", d.Policy.New, d.Version.New, d.Version.Old)
	}
	for _, c := range d.Caches {
		text := effects[c.Effect]
		if c.Why != "" {
			text += ": " + c.Why
		}
		line(w, c.Cache, text)
	}
	for _, f := range d.Fields {
		fmt.Fprintf(w, "%s: %s instead of %s\n", f.Path, orNothing(f.New), orNothing(f.Old))
	}
}

func orNothing(value json.RawMessage) string {
	if string(value) == "null" {
		return "nothing"
	}
	return string(value)
}
