package policy

import (
	"strconv"
	"strings"
	"time"

	"chatcache/policy/internal/strictjson"
)

// originTTL is the value of "ttl" that leaves freshness to the origin.
const originTTL = "origin"

// freshness reads how long a cache's responses are fresh, and what they are good for then.
func (o object) freshness(c *Cache) {
	v := o.value.Get("ttl")
	c.Origin = v != nil && v.Kind == strictjson.String && v.Text == originTTL
	keep := time.Duration(0)
	switch {
	case v == nil:
		o.missing("ttl", `how long a response is fresh: "300s"; "0s" turns the cache off; "origin" leaves it to the response`)
	case c.Origin:
		c.TTL = o.duration("max_ttl", defaultMaxTTL, time.Second, maxTTL)
		keep = defaultStale
	case v.Kind == strictjson.String && Closest(strings.ToLower(v.Text), []string{originTTL}) != "":
		o.bad(WrongValue, "ttl", `a duration or "origin" is wanted`, `did you mean "origin"?`)
	default:
		c.TTL = o.duration("ttl", 0, 0, maxTTL)
		if o.has("max_ttl") {
			o.bad(WrongValue, "max_ttl", `it bounds what the origin says, and "ttl" isn't "origin"`, "drop it")
		}
	}
	o.statusTTL(c)
	c.Jitter = o.percent("ttl_jitter", maxJitter)
	c.Stale = Stale{
		Keep:            o.duration("keep_stale", keep, 0, maxTTL),
		WhileRevalidate: o.duration("stale_while_revalidate", -1, 0, maxTTL),
		IfError:         o.duration("stale_if_error", -1, 0, maxTTL),
	}
}

// statusTTL reads the TTLs of single statuses.
func (o object) statusTTL(c *Cache) {
	v := o.value.Get("status_ttl")
	if v == nil {
		return
	}
	path := strictjson.Pointer(o.path, "status_ttl")
	if v.Kind != strictjson.Object {
		o.wrongType(v, path, `an object is wanted, with TTLs by status: {"404": "10s"}`)
		return
	}
	if o.tooMany(len(v.Members), maxStatuses, v, path, "statuses") {
		return
	}
	inner := object{o.decoder, v, path, o.rule}
	for i, m := range v.Members {
		status, err := strconv.ParseUint(m.Name, 10, 32)
		switch {
		case isRepeated(v.Members[:i], m.Name):
			o.duplicate(strictjson.Pointer(path, m.Name), m)
		case err != nil || status < 200 || status > 599 || status == 206 || status == 304 || status == 416:
			o.add(Problem{ID: WrongValue, Path: strictjson.Pointer(path, m.Name), Offset: m.Offset, Found: quote(m.Name),
				Wanted: "a status from 200 to 599 is wanted, but 206, 304 and 416", Hint: "these three are never stored"})
		default:
			c.StatusTTL = append(c.StatusTTL, StatusTTL{uint32(status), inner.duration(m.Name, 0, 0, maxTTL)})
		}
	}
}

// percent reads a whole percentage up to a bound; what isn't there is 0.
func (o object) percent(field string, most int) int {
	text, ok := o.text(field)
	if !ok {
		return 0
	}
	digits, isPercent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !isPercent || err != nil || int(n) > most {
		o.bad(WrongValue, field, `a percentage up to "`+strconv.Itoa(most)+`%" is wanted`, "")
		return 0
	}
	return int(n)
}

// targets reads the names of targeted fields.
func (o object) targets() []string {
	if !o.has("targeted_cache_control") {
		return []string{"cdn-cache-control"}
	}
	return o.headerNames("targeted_cache_control")
}

// headerNames reads a short list of names of header fields, in lower case.
func (o object) headerNames(field string) (names []string) {
	o.list(field, maxFields, func(element object, name string) {
		if name = strings.ToLower(name); !isToken(name) || len(name) > maxName {
			element.fault(WrongValue, "a header's name is wanted", "")
		}
		names = append(names, name)
	})
	return names
}
