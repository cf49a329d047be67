package redisfake

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// stand is that of script/standing.lua.
func (v *Validity) stand(c *call) {
	differ := v.differing(c)
	wanted := v.off()
	for _, cache := range differ {
		wanted["c:"+cache] = true
	}
	for _, group := range slices.Backward(slices.Clone(v.Standing)) {
		if !wanted[group] {
			v.raise(c, group)
			v.countOpen(group, -1)
			v.Standing = slices.DeleteFunc(v.Standing, func(g string) bool { return g == group })
		}
	}
	for _, group := range slices.Sorted(maps.Keys(wanted)) {
		if !slices.Contains(v.Standing, group) {
			v.Standing = append(v.Standing, group)
			v.countOpen(group, 1)
			v.take("s", group)
		}
	}
	v.Differ = strings.Join(differ, ",")
}

// off gives the groups that are switched off.
func (v *Validity) off() map[string]bool {
	groups := map[string]bool{}
	for field := range v.Controls {
		switch cache, name, _ := strings.Cut(field, " "); {
		case name != "off":
		case cache == "*":
			groups["*"] = true
		default:
			groups["c:"+cache] = true
		}
	}
	return groups
}

// differing gives the caches, in order, that not every policy has the same rules for.
func (v *Validity) differing(c *call) []string {
	var policies []map[string]string
	differ := map[string]bool{}
	for rules, until := range v.Rules {
		if until <= c.now {
			delete(v.Rules, rules)
			continue
		}
		digests := map[string]string{}
		for rule := range strings.SplitSeq(rules, ",") {
			if cache, digest, ok := strings.Cut(rule, "="); ok {
				_, twice := digests[cache]
				differ[cache] = differ[cache] || twice
				digests[cache] = digest
			}
		}
		policies = append(policies, digests)
	}
	for _, digests := range policies {
		for cache, digest := range digests {
			for _, other := range policies {
				found, ok := other[cache]
				differ[cache] = differ[cache] || !ok || found != digest
			}
		}
	}
	maps.DeleteFunc(differ, func(_ string, differs bool) bool { return !differs })
	return slices.Sorted(maps.Keys(differ))
}

// controlsScript is script/controls.lua.
func (v *Validity) controlsScript(c *call) (any, error) {
	back, most, settings := integer(c.own[0]), int(integer(c.own[1])), c.own[2:]
	version := integer(v.Controls["version"])
	switch {
	case back > 0 && back <= version:
		return append(v.position(), c.now), nil
	case back > 0:
		clear(v.Controls)
		version = back
	case len(v.Controls)+len(settings)/2 > most:
		return nil, Error("TOOMANY controls set: at most " + strconv.Itoa(most))
	default:
		version = max(c.now, version+1)
	}
	v.Controls["version"] = strconv.FormatInt(version, 10)
	for pair := range slices.Chunk(settings, 2) {
		if pair[1] == "" {
			delete(v.Controls, pair[0])
		} else {
			v.Controls[pair[0]] = pair[1]
		}
	}
	v.take("c", "")
	v.stand(c)
	return append(v.position(), c.now), nil
}

// know takes in what rules a VM knows.
func (v *Validity) know(c *call, version, rules string, most int, lease int64) error {
	if version == "" {
		return nil
	}
	if v.Rules[rules] == 0 && len(v.Rules) >= most {
		v.stand(c)
		return Error("TOOMANY different policies at work: at most " + strconv.Itoa(most))
	}
	v.Rules[rules] = max(v.Rules[rules], lease)
	return nil
}

// flat writes a hash as the scripts give it, in order of its fields.
func flat(hash map[string]string) []any {
	list := []any{}
	for _, field := range slices.Sorted(maps.Keys(hash)) {
		list = append(list, field, hash[field])
	}
	return list
}
