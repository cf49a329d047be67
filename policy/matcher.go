package policy

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Match finds the one rule that a request is subject to: a cache, an
// invalidation, or neither. path is the raw :path.
//
// A path that is written plainly is matched as ServeMux matches it. One that isn't
// ("//", dot segments, encoded separators, path parameters: see the package
// documentation), that other origins route by another pattern's literals (see [Policy.Alike]), or whose method is in lower case, never reaches a cache,
// because the origin may take it for another
// resource than the rule does. For a write it is read both as ServeMux does and as the
// most lenient origins would, and every rule that any reading finds applies; where
// these are several, the result is a new one that joins them.
// Only that last case allocates.
func (p *Policy) Match(method, authority, path string) (*Cache, *Invalidation) {
	path = withoutQuery(path)
	trees, exact := p.routes.of(method)
	if trees == nil {
		return nil, nil
	}
	plain := exact && isPlain(path)
	if plain {
		t, sure := trees.find(authority, path, asSent)
		if t != nil && (sure || t.cache != nil && trees.agree(t, authority, path)) {
			return t.cache, t.invalidation
		}
	}
	if isSafe(method) {
		return nil, nil
	}
	rule, every := trees.writeRule(authority, path, plain)
	if !every {
		rule = p.orUnruled(rule)
	}
	return nil, rule
}

// writeRule finds the rule of a write, and tells whether every reading of its path finds one.
func (h *hostTrees) writeRule(authority, path string, plain bool) (rule *Invalidation, every bool) {
	if plain {
		return h.invalidation(authority, path)
	}
	strict, always := h.invalidation(authority, strictPath(path))
	whole, begins := lenientPath(path)
	lenient, every := h.invalidation(authority, whole)
	rule, every = join(strict, lenient), every && always
	if begins != whole {
		other, found := h.invalidation(authority, begins)
		rule, every = join(rule, other), every && found
	}
	return rule, every
}

// Alike gives the cache or the rule that some origins take a path for though Match doesn't, or takes it for another's: one whose pattern has
// a segment in another case or without what follows a dot, or lacks the trailing slash.
func (p *Policy) Alike(method, authority, path string) (*Cache, *Invalidation) {
	trees, _ := p.routes.of(method)
	if trees == nil {
		return nil, nil
	}
	t, _ := trees.find(authority, withoutQuery(path), loosely)
	if t == nil {
		return nil, nil
	}
	return t.cache, t.invalidation
}

// isSafe is RFC 9110 section 9.2.1, and the registration of QUERY, a safe request with a body.
func isSafe(method string) bool {
	switch method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "QUERY":
		return true
	}
	return false
}

// join gives a rule that does what both do.
func join(a, b *Invalidation) *Invalidation {
	if a == nil || a == b {
		return b
	}
	if b == nil {
		return a
	}
	both := *a
	both.Name += " + " + b.Name
	both.Caches, both.open = union(a.Caches, b.Caches), union(a.open, b.open)
	both.All = a.All || b.All
	both.Refuse = a.Refuse || b.Refuse
	both.RaiseOn4xx = a.RaiseOn4xx || b.RaiseOn4xx
	both.RefusesAnonymous = a.RefusesAnonymous && b.RefusesAnonymous
	if both.UnchangedOn = common(a.UnchangedOn, b.UnchangedOn); both.RaiseOn4xx {
		both.UnchangedOn = nil
	}
	both.Deadline = max(a.Deadline, b.Deadline)
	both.Settle = max(a.Settle, b.Settle)
	both.AlsoAfter = max(a.AlsoAfter, b.AlsoAfter)
	both.patterns = slices.Concat(a.patterns, b.patterns)
	return &both
}

func union(a, b []*Cache) []*Cache {
	both := slices.Clone(a)
	for _, c := range b {
		if !slices.Contains(both, c) {
			both = append(both, c)
		}
	}
	return both
}

func common(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(status int) bool { return !slices.Contains(b, status) })
}

// routes holds all patterns as one tree per method and host. The same decision tree as
// ServeMux's, whose rules for precedence (most specific wins, a pattern with a host
// before one without) follow from trying literals before wildcards.
type routes struct{ methods literals[*hostTrees] }

type hostTrees struct {
	any   *node            // patterns without a host
	hosts map[string]*node // by lower-case host
}

// target is what a pattern leads to.
type target struct {
	cache        *Cache
	invalidation *Invalidation
}

// node stands for the segments that lead to it. Each node is visited at most twice per request,
// so that matching is bounded by the policy's size whatever the path.
type node struct {
	target   *target // the pattern that ends here
	literals literals[*node]
	lower    map[string]*node // the same as appendAlike has them, for those that are alike
	wild     *node
	multi    *target // {name...} or a trailing slash
	end      *target // {$}
}

// reading is how a clean path is read.
type reading byte

const (
	asSent    reading = iota
	withSlash         // as if it had a trailing slash
	loosely           // by literals that are alike, and without a trailing slash where no pattern has it
)

// literals are texts, and what each leads to; the zero value has none.
type literals[T any] struct {
	all   []literal[T]
	index map[string]T // nil while there are few: comparing them costs less than a map's digest
}

type literal[T any] struct {
	text  string
	leads T
}

// fewLiterals is how many are compared one by one at most.
const fewLiterals = 8

// get gives what the text leads to, or T's zero value.
func (l *literals[T]) get(text string) (leads T) {
	if l.index != nil {
		return l.index[text]
	}
	for i := range l.all {
		if l.all[i].text == text {
			return l.all[i].leads
		}
	}
	return leads
}

// add adds a text that isn't there yet.
func (l *literals[T]) add(text string, leads T) {
	l.all = append(l.all, literal[T]{text, leads})
	switch {
	case l.index != nil:
		l.index[text] = leads
	case len(l.all) > fewLiterals:
		l.index = make(map[string]T)
		for _, one := range l.all {
			l.index[one.text] = one.leads
		}
	}
}

// of finds a method's patterns. Methods are case-sensitive, but not to every origin: an inexact one is
// treated as an unclean path is.
func (r *routes) of(method string) (t *hostTrees, exact bool) {
	method = StoredMethod(method) // there are no HEAD patterns
	if t = r.methods.get(method); t != nil || isSafe(method) {
		return t, true
	}
	for _, l := range r.methods.all {
		if strings.EqualFold(l.text, method) {
			return l.leads, false
		}
	}
	return nil, false
}

func (r *routes) add(p *pattern, t *target) {
	trees := r.methods.get(p.method)
	if trees == nil {
		trees = &hostTrees{any: &node{}, hosts: map[string]*node{}}
		r.methods.add(p.method, trees)
	}
	root := trees.any
	if p.host != "" {
		if root = trees.hosts[p.host]; root == nil {
			root = &node{}
			trees.hosts[p.host] = root
		}
	}
	root.add(p.segments, t)
}

func (n *node) add(segments []segment, t *target) {
	if len(segments) == 0 {
		n.target = t
		return
	}
	switch s := segments[0]; s.kind {
	case multiSegment:
		n.multi = t
	case endSegment:
		n.end = t
	case wildSegment:
		if n.wild == nil {
			n.wild = &node{}
		}
		n.wild.add(segments[1:], t)
	default:
		child := n.literals.get(s.literal)
		if child == nil {
			child = &node{}
			if n.lower == nil {
				n.lower = map[string]*node{}
			}
			n.literals.add(s.literal, child)
			n.lower[string(appendAlike(nil, []byte(s.literal)))] = child
		}
		child.add(segments[1:], t)
	}
}

// agree tells whether an origin that reads a path more loosely finds the same target.
func (h *hostTrees) agree(t *target, authority, path string) bool {
	other, _ := h.find(authority, path, loosely)
	return other == t
}

// invalidation finds a write's rule. Many origins take a path with a trailing slash and one without
// for the same, so where nothing matches, the other one is tried. What a looser reading finds applies, too. every tells
// whether the path as it was sent and the looser reading of it both have a rule.
func (h *hostTrees) invalidation(authority, path string) (rule *Invalidation, every bool) {
	t, _ := h.find(authority, path, asSent)
	every = t.rule() != nil
	if t == nil && path != "/" && strings.HasSuffix(path, "/") {
		t, _ = h.find(authority, path[:len(path)-1], asSent)
	} else if t == nil {
		t, _ = h.find(authority, path, withSlash)
	}
	other, _ := h.find(authority, path, loosely)
	return join(t.rule(), other.rule()), every && other.rule() != nil
}

// rule is the invalidation that a pattern leads to, if any.
func (t *target) rule() *Invalidation {
	if t == nil {
		return nil
	}
	return t.invalidation
}

// find matches a clean path. sure tells that a loose reading finds nothing else.
func (h *hostTrees) find(authority, path string, how reading) (t *target, sure bool) {
	if len(h.hosts) > 0 {
		if root := h.host(authority); root != nil {
			if t, sure = root.match(path, how); t == nil {
				t, _ = h.any.match(path, how)
			}
			return t, sure
		}
	}
	return h.any.match(path, how)
}

// host finds the tree of an authority: its port doesn't count, nor does case, nor the root's dot.
func (h *hostTrees) host(authority string) *node {
	host := strings.TrimSuffix(stripPort(authority), ".")
	var buffer [128]byte
	return h.hosts[string(appendLower(buffer[:0], host))]
}

// match follows path, which begins with a slash or is empty at the pattern's end.
func (n *node) match(path string, how reading) (t *target, sure bool) {
	if path == "" {
		if how != withSlash {
			return n.target, n.target != nil
		}
		path, how = "/", asSent
	}
	if path == "/" {
		switch {
		case how == withSlash: // "//" doesn't occur: the path is clean
			return nil, false
		case n.end != nil:
			return n.end, false
		case n.multi == nil && how == loosely:
			return n.target, false
		}
		return n.multi, false
	}
	end := strings.IndexByte(path[1:], '/') + 1
	if end == 0 {
		end = len(path)
	}
	segment, rest := path[1:end], path[end:]
	if child := n.literal(segment, how); child != nil {
		if t, sure = child.match(rest, how); t != nil {
			return t, sure
		}
	}
	only := len(n.literals.all) == 0 // a loose reading finds no literal here either
	if n.wild != nil {
		if t, sure = n.wild.match(rest, how); t != nil {
			return t, sure && only
		}
	}
	return n.multi, only && n.wild == nil && n.multi != nil
}

// literal finds the child for a segment as it was sent or, loosely, one that is alike.
func (n *node) literal(raw string, how reading) *node {
	if len(n.literals.all) == 0 || how != loosely && strings.IndexByte(raw, '%') < 0 {
		return n.literals.get(raw)
	}
	var buffer [128]byte
	decoded, valid := appendUnescaped(buffer[:0], raw)
	if !valid {
		decoded = append(decoded[:0], raw...)
	}
	if child := n.literals.get(string(decoded)); child != nil || how != loosely {
		return child
	}
	return n.alike(decoded)
}

// alike finds the child whose literal some origins take a segment for: they don't look at case (IIS, and Express unless it
// is told to), or take what follows a dot for the format that is wanted (Rails, Spring). The segment is overwritten.
func (n *node) alike(segment []byte) *node {
	segment = appendAlike(segment[:0], segment)
	if child := n.lower[string(segment)]; child != nil {
		return child
	}
	if dot := bytes.LastIndexByte(segment, '.'); dot > 0 {
		return n.lower[string(segment[:dot])]
	}
	return nil
}

// appendAlike appends a segment in the form that all have which differ in nothing but case: ASCII's in lower case, as most have it, and other letters
// folded, since there are origins that go by Unicode, to which the Kelvin sign is a k, and to Java İ and ı are an i. It is never longer, so dst may be segment[:0].
func appendAlike(dst, segment []byte) []byte {
	for len(segment) > 0 {
		r, n := utf8.DecodeRune(segment)
		switch {
		case r < utf8.RuneSelf || n == 1: // or no UTF-8
			dst = append(dst, lower(segment[0]))
		case r == 'İ' || r == 'ı':
			dst = append(dst, 'i')
		default:
			if r = folded(r); r < utf8.RuneSelf {
				r = rune(lower(byte(r)))
			}
			dst = utf8.AppendRune(dst, r)
		}
		segment = segment[n:]
	}
	return dst
}
