package redisfake

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// stand is that of script/standing.lua.
func (v *Validity) stand(c *call) {
	differ, left := v.differing(c)
	if len(differ)+len(left)+len(v.Controls)+len(v.Standing) == 0 {
		v.Differ = ""
		return
	}
	wanted := v.off()
	for _, cache := range differ {
		wanted["c:"+cache] = true
	}
	has := map[string]bool{}
	for _, group := range slices.Backward(slices.Clone(v.Standing)) {
		has[group] = true
		if !wanted[group] {
			v.raise(c, group)
			v.countOpen(group, -1)
			v.Standing = slices.DeleteFunc(v.Standing, func(g string) bool { return g == group })
		}
	}
	for _, cache := range left {
		if group := "c:" + cache; !has[group] && !wanted[group] {
			v.raise(c, group)
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

// rules are those of a policy, as a VM tells of them.
type rules struct {
	digests map[string]string // by cache
	twice   []string          // caches that the VM has several at work for
}

// parsed are the rules by the word that they are sent as: few are sent, again and again.
var parsed sync.Map // string → rules

func parseRules(word string) rules {
	if known, ok := parsed.Load(word); ok {
		return known.(rules)
	}
	r := rules{digests: map[string]string{}}
	for rule := range strings.SplitSeq(word, ",") {
		if cache, digest, ok := strings.Cut(rule, "="); ok {
			if _, twice := r.digests[cache]; twice {
				r.twice = append(r.twice, cache)
			}
			r.digests[cache] = digest
		}
	}
	parsed.Store(word, r)
	return r
}

// lastRules are those that count where nobody is there.
func (v *Validity) lastRules() (last string) {
	at := int64(0)
	for word, until := range v.Rules {
		if until > at || until == at && word < last {
			last, at = word, until
		}
	}
	return last
}

// differing gives the caches, in order, that not every policy has the same rules for; and those that the policies which are gone had
// others for, which it forgets.
func (v *Validity) differing(c *call) (differ, left []string) {
	last := v.lastRules()
	stays := func(word string) bool { return word == last || v.Rules[word] > c.now }
	for word := range v.Rules {
		policy := parseRules(word)
		if stays(word) {
			differ = append(differ, policy.twice...)
		}
		for other := range v.Rules {
			if other == word || !stays(word) && !stays(other) {
				continue
			}
			others := parseRules(other).digests
			for cache, digest := range policy.digests {
				if found, ok := others[cache]; ok && found == digest {
					continue
				}
				if stays(word) && stays(other) {
					differ = append(differ, cache)
				} else {
					left = append(left, cache)
				}
			}
		}
	}
	maps.DeleteFunc(v.Rules, func(word string, _ int64) bool { return !stays(word) })
	slices.Sort(differ)
	slices.Sort(left)
	return slices.Compact(differ), slices.Compact(left)
}

// controlsScript is script/controls.lua.
func (v *Validity) controlsScript(c *call) (any, error) {
	known, back, most, settings := integer(c.own[0]), c.own[1] == "1", int(integer(c.own[2])), c.own[3:]
	version := integer(v.Controls["version"])
	switch {
	case back && known <= version:
		return append(v.position(), c.now, int64(0)), nil
	case !back && known > version:
		return append(v.position(), c.now, int64(0)), nil
	case back:
		clear(v.Controls)
		version = known
	case !v.room(settings, most):
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
	return append(v.position(), c.now, int64(1)), nil
}

// room tells whether those settings are within the bound that aren't there yet.
func (v *Validity) room(settings []string, most int) bool {
	more, off := 0, false
	for pair := range slices.Chunk(settings, 2) {
		cache, name, _ := strings.Cut(pair[0], " ")
		if _, there := v.Controls[pair[0]]; pair[1] != "" && cache != "*" && !there {
			more, off = more+1, off || name == "off"
		}
	}
	if off {
		most *= 2
	}
	return more == 0 || len(v.Controls)+more <= most
}

// know takes in what rules a VM knows, or gives the reason why not. They count until no write can be open any more that began by them.
func (v *Validity) know(c *call, version, rules string, most int, lease int64) (refused string) {
	if version == "" {
		return ""
	}
	if v.Rules[rules] == 0 && len(v.Rules) >= most {
		v.stand(c)
		return "different policies at work: at most " + strconv.Itoa(most)
	}
	v.Rules[rules] = max(v.Rules[rules], lease+integer(c.args[1]))
	return ""
}

// flat writes a hash as the scripts give it, in order of its fields.
func flat(hash map[string]string) []any {
	list := []any{}
	for _, field := range slices.Sorted(maps.Keys(hash)) {
		list = append(list, field, hash[field])
	}
	return list
}
