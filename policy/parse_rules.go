package policy

import (
	"slices"
	"strconv"
	"strings"

	"chatcache/policy/internal/strictjson"
)

// patternTable collects the policy's patterns and refuses those that conflict.
type patternTable struct {
	routes   *routes
	patterns []placedPattern
	meetings meetings
	count    int
}

type placedPattern struct {
	*pattern
	rule string // "cache stats" or "invalidation create session"
}

// match reads a rule's patterns; use says whether the rule may have the method, and why not.
func (o object) match(table *patternTable, t *target, rule string, use func(element object, method string) bool) (texts []string) {
	if !o.has("match") {
		o.missing("match", `list the requests: ["GET /path/{name}"]`)
		return nil
	}
	o.list("match", maxRules, func(element object, text string) {
		texts = append(texts, text)
		if len(text) > maxPattern {
			element.fault(TooLarge, "a pattern has at most "+strconv.Itoa(maxPattern)+" bytes", "")
			return
		}
		p, err := parsePattern(text)
		if err != nil {
			element.fault(BadPattern, err.Error(), "")
			return
		}
		if len(p.segments) > maxSegments {
			element.fault(TooLarge, "a pattern has at most "+strconv.Itoa(maxSegments)+" segments", "end it with /{rest...}: that stands for all that follow")
			return
		}
		if use(element, p.method) {
			table.add(element, placedPattern{p, rule}, t)
		}
	})
	if v := o.value.Get("match"); v.Kind == strictjson.Array && len(v.Items) == 0 {
		o.bad(WrongValue, "match", "it must not be empty", "")
	}
	return texts
}

func (table *patternTable) add(element object, p placedPattern, t *target) {
	if table.count++; table.count > maxPatterns {
		if table.count == maxPatterns+1 {
			element.fault(TooLarge, "a policy has at most "+strconv.Itoa(maxPatterns)+" patterns", "")
		}
		return
	}
	for _, place := range table.meetings.ofHost(p.pattern) {
		if other := table.patterns[place]; conflict(p.pattern, other.pattern) {
			hint := "change one of them, or write the overlap as a pattern of its own"
			if p.text == other.text {
				hint = "take it out of one of them: a request is subject to one cache or one rule"
			}
			element.fault(Conflict, "it and "+quote(other.text)+" of the "+other.rule+" match the same requests, and neither is more specific", hint)
			return
		}
	}
	table.meetings.add(p.pattern, len(table.patterns))
	table.patterns = append(table.patterns, p)
	table.routes.add(p.pattern, t)
}

const oneCache = `name at least one: {"models": {"match": ["GET /models"], "ttl": "60s"}}`

func (o object) caches(p *Policy, table *patternTable) {
	v := o.value.Get("caches")
	if v == nil {
		o.missing("caches", oneCache)
		return
	}
	if v.Kind != strictjson.Object {
		o.wrongType(v, "/caches", "an object is wanted, with the caches by name")
		return
	}
	if len(v.Members) == 0 {
		o.add(Problem{ID: WrongValue, Path: "/caches", Offset: v.Offset, Wanted: "a policy has at least one cache", Hint: oneCache})
		return
	}
	if o.tooMany(len(v.Members), maxCaches, v, "/caches", "caches") {
		return
	}
	for i := range v.Members {
		m := &v.Members[i]
		at := object{o.decoder, &m.Value, strictjson.Pointer("/caches", m.Name), m.Name}
		if isRepeated(v.Members[:i], m.Name) {
			at.duplicate(at.path, *m)
		}
		if !isPlainName(m.Name, "-_", maxCacheName) {
			at.add(Problem{ID: WrongValue, Path: at.path, Offset: m.Offset, Found: quote(m.Name),
				Wanted: "a cache's name is made of a-z, 0-9, - and _, at most " + strconv.Itoa(maxCacheName) + " of them"})
		}
		if at, ok := o.object(&m.Value, "cache", at.path, m.Name); ok {
			p.Caches = append(p.Caches, at.cache(p, m.Name, table))
		}
	}
	slices.SortStableFunc(p.Caches, func(a, b *Cache) int { return strings.Compare(a.Name, b.Name) })
	for i, c := range p.Caches {
		c.Index = i
	}
}

func (o object) cache(p *Policy, name string, table *patternTable) *Cache {
	c := &Cache{Name: name, L1: true, Collapse: true}
	c.Shared = o.bool("shared")
	if !c.Shared && len(p.Identity) == 0 {
		o.add(Problem{ID: NoIdentity, Path: o.path, Offset: o.value.Offset, Wanted: "a cache that isn't shared needs an identity",
			Hint: `list sources in "identity", or set "shared": true if the answers are the same for everybody`})
	}
	c.Body = o.body()
	c.patterns = o.match(table, &target{cache: c}, "cache "+name, func(element object, method string) bool {
		return element.readable(method, o.has("body"))
	})
	o.freshness(c)
	if o.has("l1") {
		c.L1 = o.bool("l1")
	}
	if o.has("collapse") {
		c.Collapse = o.bool("collapse")
	}
	c.IgnoreAuthority = o.choice("authority", "key", "ignore") == "ignore"
	o.list("ignore_query", maxNames, func(element object, name string) {
		c.IgnoreQuery = append(c.IgnoreQuery, element.parameter(name))
	})
	o.list("headers", maxNames, func(element object, name string) {
		c.Headers = append(c.Headers, element.keyHeader(name))
	})
	c.MaxResponse = o.size("max_response", p.MaxResponse, 1, maxResponse)
	if c.MaxResponse > p.MaxResponse {
		o.bad(OutOfRange, "max_response", "a cache can only lower the policy's, "+FormatSize(p.MaxResponse), `raise "max_response" of the policy`)
	}
	c.Verify = o.verify()
	if c.Prefetch = o.prefetch(); c.Prefetch != nil && slices.Contains(c.IgnoreQuery, c.Prefetch.Parameter) {
		o.bad(WrongValue, "ignore_query", "it has the parameter by which pages differ, so all of them would be one", "take "+quote(c.Prefetch.Parameter)+" out")
	}
	return c
}

// readable tells whether a cache may have the method, and notes why not.
func (o object) readable(method string, bodyKeyed bool) bool {
	switch {
	case method == "GET" && !bodyKeyed, (method == "POST" || method == "QUERY") && bodyKeyed:
		return true
	case method == "GET":
		o.fault(WrongMethod, "a body-keyed cache is for POST or QUERY", `drop "body": a GET is keyed by its URL`)
	case method == "POST":
		o.fault(WrongMethod, "a POST says what it wants in its body, which isn't part of this cache's key",
			`add "body": {} if it only reads, or make it an invalidation if it writes`)
	case method == "QUERY":
		o.fault(WrongMethod, "a QUERY says what it wants in its body, which isn't part of this cache's key", `add "body": {}`)
	case method == "HEAD":
		o.fault(WrongMethod, "HEAD has no patterns of its own", "a GET pattern matches HEAD too")
	default:
		o.fault(WrongMethod, "responses to this method aren't cached", "a cache is for GET, or with \"body\" for POST or QUERY")
	}
	return false
}

// parameter reads the name of a query parameter, in the normalized form that keys have.
func (o object) parameter(name string) string {
	if wanted := checkName(name); wanted != "" {
		o.fault(WrongValue, wanted, "")
	} else if strings.ContainsAny(name, "&=;") {
		o.fault(WrongValue, `the name of one parameter is wanted, without "&", "=" and ";"`, "")
	}
	return string(appendNormalized(nil, name))
}

// keyHeader reads the name of a header that becomes part of the key.
func (o object) keyHeader(name string) string {
	name = strings.ToLower(name)
	switch {
	case !isToken(name) || len(name) > maxName:
		o.fault(WrongValue, "a header's name is wanted", "")
	case name == "authorization" || name == "proxy-authorization" || name == "cookie":
		o.fault(WrongValue, "a credential can't be part of a key", `list it in "identity": the partition stands for it`)
	}
	return name
}

func (o object) body() *Body {
	v := o.value.Get("body")
	if v == nil {
		return nil
	}
	b := &Body{MaxBytes: defaultBody}
	o, ok := o.object(v, "body", strictjson.Pointer(o.path, "body"), o.rule)
	if !ok {
		return b
	}
	o.list("ignore", maxNames, func(element object, path string) {
		if checkName(path) != "" || slices.Contains(strings.Split(path, "."), "") {
			element.fault(WrongValue, `a member's name is wanted, with dots between levels: "meta.ts"`, "")
		}
		b.Ignore = append(b.Ignore, path)
	})
	b.MaxBytes = o.size("max_bytes", defaultBody, 1, maxBody)
	b.ignored = ignoreMembers(b.Ignore)
	return b
}

func (o object) verify() (v Verify) {
	value := o.value.Get("verify")
	if value == nil {
		return v
	}
	o, ok := o.object(value, "verify", strictjson.Pointer(o.path, "verify"), o.rule)
	if !ok {
		return v
	}
	tree := &ignoreTree{}
	o.list("ignore", maxNames, func(element object, text string) {
		tokens, wanted := parsePointer(text)
		if wanted == "" {
			wanted = checkName(text)
		}
		if wanted != "" {
			element.fault(WrongValue, wanted, pointerHint(text))
			return
		}
		v.Ignore = append(v.Ignore, text)
		tree.add(tokens, true)
		v.ignored = ignoring{tree}
	})
	return v
}

// pointerHint turns "meta.ts" into the JSON pointer that was probably meant.
func pointerHint(text string) string {
	if text == "" || strings.Contains(text, "/") {
		return ""
	}
	return "did you mean " + quote("/"+strings.ReplaceAll(strings.TrimPrefix(text, "$."), ".", "/")) + "?"
}

func (o object) prefetch() *Prefetch {
	value := o.value.Get("prefetch")
	if value == nil {
		return nil
	}
	if o.has("body") {
		o.bad(WrongValue, "prefetch", "pages that a body asks for can't be prefetched", `drop "prefetch" or "body"`)
	}
	p := &Prefetch{}
	o, ok := o.object(value, "prefetch", strictjson.Pointer(o.path, "prefetch"), o.rule)
	if !ok {
		return p
	}
	if o.has("parameter") {
		text, _ := o.text("parameter")
		p.Parameter = object{o.decoder, o.value.Get("parameter"), strictjson.Pointer(o.path, "parameter"), o.rule}.parameter(text)
	} else {
		o.missing("parameter", `name the query parameter that says which page: "page"`)
	}
	p.First = uint64(o.count("first", 1, 0, maxFirst))
	p.Step = uint64(o.count("step", 1, 1, maxStep))
	p.Next, p.next = o.jsonPointer("next")
	p.More, p.more = o.jsonPointer("more")
	switch {
	case !o.has("more") && !o.has("next"):
		o.missing("more", `say where the body tells that there is a next page: "/has_more", or the list "/items", empty at the end`)
	case !o.has("more"):
		p.More, p.more = p.Next, p.next
	}
	return p
}

// jsonPointer reads a JSON pointer and its tokens.
func (o object) jsonPointer(field string) (text string, tokens []string) {
	text, ok := o.text(field)
	if !ok {
		return "", nil
	}
	tokens, wanted := parsePointer(text)
	if wanted != "" {
		o.bad(WrongValue, field, wanted, pointerHint(text))
	}
	return text, tokens
}
