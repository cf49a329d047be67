package policy

import (
	"slices"
	"strings"
)

// Match finds the one rule that a request is subject to: a cache, an
// invalidation, or neither. path is the raw :path.
//
// A path that is written plainly is matched as ServeMux matches it. One that isn't
// ("//", dot segments, encoded separators, path parameters: see the package
// documentation), or whose method is in lower case, never reaches a cache, because the origin may take it for another
// resource than the rule does. For a write it is read both as ServeMux does and as the
// most lenient origin would, and every rule that either reading finds applies; where
// these are two rules, the result is a new one that joins them.
// Only that last case allocates.
func (p *Policy) Match(method, authority, path string) (*Cache, *Invalidation) {
	path = withoutQuery(path)
	trees, exact := p.routes.of(method)
	if trees == nil {
		return nil, nil
	}
	plain := exact && isPlain(path)
	if plain {
		if t := trees.find(authority, path, false); t != nil {
			return t.cache, t.invalidation
		}
	}
	if isSafe(method) {
		return nil, nil
	}
	if plain {
		return nil, trees.invalidation(authority, path)
	}
	return nil, join(trees.invalidation(authority, strictPath(path)), trees.invalidation(authority, lenientPath(path)))
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
	both.Caches = slices.Clone(a.Caches)
	for _, c := range b.Caches {
		if !slices.Contains(both.Caches, c) {
			both.Caches = append(both.Caches, c)
		}
	}
	both.All = a.All || b.All
	both.Refuse = a.Refuse || b.Refuse
	both.RaiseOn4xx = a.RaiseOn4xx || b.RaiseOn4xx
	both.UnchangedOn = slices.DeleteFunc(slices.Clone(a.UnchangedOn), func(status int) bool {
		return both.RaiseOn4xx || !slices.Contains(b.UnchangedOn, status)
	})
	both.Deadline = max(a.Deadline, b.Deadline)
	both.Settle = max(a.Settle, b.Settle)
	both.AlsoAfter = max(a.AlsoAfter, b.AlsoAfter)
	both.patterns = slices.Concat(a.patterns, b.patterns)
	return &both
}

// routes holds all patterns as one tree per method and host. The same decision tree as
// ServeMux's, whose rules for precedence (most specific wins, a pattern with a host
// before one without) follow from trying literals before wildcards.
type routes map[string]*hostTrees

type hostTrees struct {
	any   *node            // patterns without a host
	hosts map[string]*node // by lower-case host
}

// target is what a pattern leads to.
type target struct {
	cache        *Cache
	invalidation *Invalidation
}

// node stands for the segments that lead to it. Each node is visited at most once per request,
// so that matching is bounded by the policy's size whatever the path.
type node struct {
	target   *target // the pattern that ends here
	literals map[string]*node
	wild     *node
	multi    *target // {name...} or a trailing slash
	end      *target // {$}
}

// of finds a method's patterns. Methods are case-sensitive, but not to every origin: an inexact one is
// treated as an unclean path is.
func (r routes) of(method string) (t *hostTrees, exact bool) {
	method = StoredMethod(method) // there are no HEAD patterns
	if t = r[method]; t != nil || isSafe(method) {
		return t, true
	}
	for name, trees := range r {
		if strings.EqualFold(name, method) {
			return trees, false
		}
	}
	return nil, false
}

func (r routes) add(p *pattern, t *target) {
	trees := r[p.method]
	if trees == nil {
		trees = &hostTrees{any: &node{}, hosts: map[string]*node{}}
		r[p.method] = trees
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
		child := n.literals[s.literal]
		if child == nil {
			child = &node{}
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			n.literals[s.literal] = child
		}
		child.add(segments[1:], t)
	}
}

// invalidation finds a write's rule. Many origins take a path with a trailing slash and one without
// for the same, so where nothing matches, the other one is tried.
func (h *hostTrees) invalidation(authority, path string) *Invalidation {
	t := h.find(authority, path, false)
	if t == nil && path != "/" && strings.HasSuffix(path, "/") {
		t = h.find(authority, path[:len(path)-1], false)
	} else if t == nil {
		t = h.find(authority, path, true)
	}
	if t == nil {
		return nil
	}
	return t.invalidation
}

// find matches a clean path, as if it had a trailing slash where slash is set.
func (h *hostTrees) find(authority, path string, slash bool) *target {
	if len(h.hosts) > 0 {
		if root := h.host(authority); root != nil {
			if t := root.match(path, slash); t != nil {
				return t
			}
		}
	}
	return h.any.match(path, slash)
}

// host finds the tree of an authority: its port doesn't count, nor does case, nor the root's dot.
func (h *hostTrees) host(authority string) *node {
	host := strings.TrimSuffix(stripPort(authority), ".")
	var buffer [128]byte
	return h.hosts[string(appendLower(buffer[:0], host))]
}

// match follows path, which begins with a slash or is empty at the pattern's end.
func (n *node) match(path string, slash bool) *target {
	if path == "" {
		if !slash {
			return n.target
		}
		path, slash = "/", false
	}
	if path == "/" {
		if slash { // "//" doesn't occur: the path is clean
			return nil
		}
		if n.end != nil {
			return n.end
		}
		return n.multi
	}
	end := strings.IndexByte(path[1:], '/') + 1
	if end == 0 {
		end = len(path)
	}
	if child := n.literal(path[1:end]); child != nil {
		if t := child.match(path[end:], slash); t != nil {
			return t
		}
	}
	if n.wild != nil {
		if t := n.wild.match(path[end:], slash); t != nil {
			return t
		}
	}
	return n.multi
}

// literal finds the child for a segment as it was sent.
func (n *node) literal(raw string) *node {
	if len(n.literals) == 0 || strings.IndexByte(raw, '%') < 0 {
		return n.literals[raw]
	}
	var buffer [128]byte
	decoded, valid := appendUnescaped(buffer[:0], raw)
	if !valid {
		return n.literals[raw]
	}
	return n.literals[string(decoded)]
}
