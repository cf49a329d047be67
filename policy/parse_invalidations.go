package policy

import (
	"slices"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// originsWord is what the policy says of its origin's answers to writes. A rule may say otherwise.
type originsWord struct {
	unchangedOn      []int
	refusesAnonymous bool
}

func (o object) invalidations(p *Policy, table *patternTable, origin originsWord) {
	v := o.value.Get("invalidations")
	if v == nil {
		return
	}
	if v.Kind != strictjson.Array {
		o.wrongType(v, "/invalidations", "a list of rules is wanted")
		return
	}
	if o.tooMany(len(v.Items), maxRules, v, "/invalidations", "rules") {
		return
	}
	names := o.cacheNames()
	for i := range v.Items {
		item := &v.Items[i]
		rule := ""
		if name := item.Get("name"); name != nil && name.Kind == strictjson.String {
			rule = shorten(name.Text)
		}
		if at, ok := o.object(item, "invalidation", strictjson.Pointer("/invalidations", strconv.Itoa(i)), rule); ok {
			p.Invalidations = append(p.Invalidations, at.invalidation(p, table, names, origin))
		}
	}
}

// cacheNames lists the caches as the document names them, those with problems of their own too.
func (o object) cacheNames() (names []string) {
	if v := o.value.Get("caches"); v != nil {
		for _, m := range v.Members {
			names = append(names, m.Name)
		}
	}
	return names
}

func (o object) invalidation(p *Policy, table *patternTable, names []string, origin originsWord) *Invalidation {
	i := &Invalidation{}
	var ok bool
	if i.Name, ok = o.text("name"); !ok && !o.has("name") {
		o.missing("name", `say what the requests do: "create session"`)
	} else if ok && p.Invalidation(i.Name) != nil {
		o.bad(DuplicateField, "name", "another rule has this name", "names tell the rules apart in logs and calls")
	}
	i.patterns = o.match(table, &target{invalidation: i}, "invalidation "+i.Name, func(element object, method string) bool {
		if !isSafe(method) && method != "CONNECT" {
			return true
		}
		element.fault(WrongMethod, "this method writes nothing", "an invalidation is for POST, PUT, PATCH, DELETE or another unsafe method")
		return false
	})
	o.invalidated(p, i, names)
	i.All = o.choice("scope", "partition", "all") == "all"
	i.Deadline = o.duration("deadline", defaultDeadline, minDeadline, maxDeadline)
	i.Settle = o.duration("settle", defaultSettle, minSettle, maxDeadline)
	// A suspension that was asked for first may be executed last, after the call that
	// sets settle, which it must not cut short.
	i.Deadline = max(i.Deadline, i.Settle)
	i.AlsoAfter = o.duration("also_after", 0, minAlsoAfter, maxAlsoAfter)
	i.Refuse = o.choice("unreachable", "forward", "refuse") == "refuse"
	i.RaiseOn4xx = o.bool("raise_on_4xx")
	switch {
	case o.has("unchanged_on"):
		if i.UnchangedOn = o.unchangedOn(); i.RaiseOn4xx && len(i.UnchangedOn) > 0 {
			o.bad(WrongValue, "unchanged_on", `"raise_on_4xx" says that no status of this origin means that nothing was written`, "keep one of them")
		}
	case !i.RaiseOn4xx:
		i.UnchangedOn = origin.unchangedOn
	}
	if i.RefusesAnonymous = origin.refusesAnonymous; o.has("origin_refuses_anonymous") {
		i.RefusesAnonymous = o.refusesAnonymous(p)
	}
	if !i.RefusesAnonymous {
		i.open = i.Caches
	}
	return i
}

// refusesAnonymous reads whether the origin refuses writes without a credential.
func (o object) refusesAnonymous(p *Policy) bool {
	refuses := o.bool("origin_refuses_anonymous")
	if refuses && len(p.Identity) == 0 {
		o.bad(WrongValue, "origin_refuses_anonymous", "without identity every write is anonymous, and none would suspend anything", `add "identity"`)
	}
	return refuses
}

// definite are the 5xx statuses that an origin itself answers with. The others are no word of it: 502, 503, 504 and
// 511 come from proxies on the way, others aren't registered, and some are CDNs'.
var definite = []int{500, 501, 505, 506, 507, 508, 510}

// unchangedOn reads the statuses with which the origin says that nothing was written, in ascending order.
func (o object) unchangedOn() (statuses []int) {
	v := o.value.Get("unchanged_on")
	if v == nil {
		return nil
	}
	path := strictjson.Pointer(o.path, "unchanged_on")
	if v.Kind != strictjson.Array {
		o.wrongType(v, path, "a list of statuses is wanted: [500]")
		return nil
	}
	if o.tooMany(len(v.Items), maxStatuses, v, path, "statuses") {
		return nil
	}
	for i := range v.Items {
		item := &v.Items[i]
		element := object{o.decoder, item, strictjson.Pointer(path, strconv.Itoa(i)), o.rule}
		// A document that Envoy handed through has its numbers as doubles: 500 may come as 500.0.
		status, err := strconv.ParseFloat(item.Text, 64)
		switch {
		case item.Kind != strictjson.Number || err != nil:
			element.fault(WrongType, "a status is wanted", "")
		case !slices.ContainsFunc(definite, func(d int) bool { return float64(d) == status }):
			element.fault(WrongValue, "one of 500, 501, 505, 506, 507, 508, 510 is wanted",
				"a proxy on the way may answer with another one while the origin writes; a 4xx counts as it is")
		case slices.Contains(statuses, int(status)):
			element.fault(DuplicateField, "it stands in the list twice", "keep one of them")
		default:
			statuses = append(statuses, int(status))
		}
	}
	slices.Sort(statuses)
	return statuses
}

// invalidated reads which caches the rule invalidates.
func (o object) invalidated(p *Policy, i *Invalidation, names []string) {
	v := o.value.Get("invalidate")
	if v == nil {
		o.missing("invalidate", `list the caches whose responses the write makes stale: ["sessions"]`)
		return
	}
	if v.Kind == strictjson.Array && len(v.Items) == 0 {
		o.bad(WrongValue, "invalidate", "it must not be empty", "")
	}
	o.list("invalidate", maxRuleCaches, func(element object, name string) {
		if c := p.Cache(name); c != nil {
			i.Caches = append(i.Caches, c)
			return
		}
		if slices.Contains(names, name) {
			return // it has problems of its own
		}
		hint := meant(name, names)
		if hint == "" && len(names) > 0 {
			hint = "the caches are " + shorten(strings.Join(names, ", "))
		}
		element.fault(UnknownCache, "there is no such cache", hint)
	})
}
