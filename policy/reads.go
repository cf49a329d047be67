package policy

import (
	"slices"
	"strings"
)

// ReadPrefixes gives what the path of a GET or HEAD begins with if a rule matches it and it has no percent sign: the
// literal beginnings of the rules' patterns, sorted, without those that begin with another. It is ["/"] where any
// path may match, and nil in a policy without such a rule. Hosts don't count.
//
// A proxy may keep all other GETs and HEADs away from the filter: no rule matches them, and none of
// them is a write.
func (p *Policy) ReadPrefixes() []string {
	trees, _ := p.routes.of("GET")
	if trees == nil {
		return nil
	}
	prefixes := trees.any.beginnings(nil, "")
	for _, root := range trees.hosts {
		prefixes = root.beginnings(prefixes, "")
	}
	slices.Sort(prefixes)
	least := prefixes[:0]
	for _, prefix := range prefixes { // those that begin with another stand right behind it
		if len(least) == 0 || !strings.HasPrefix(prefix, least[len(least)-1]) {
			least = append(least, prefix)
		}
	}
	return least
}

// beginnings appends what every path begins with that a pattern below the node matches; prefix leads to it.
func (n *node) beginnings(list []string, prefix string) []string {
	switch {
	case n.target != nil:
		return append(list, prefix)
	case n.wild != nil || n.multi != nil || n.end != nil:
		return append(list, prefix+"/")
	}
	for _, l := range n.literals.all {
		list = l.leads.beginnings(list, prefix+"/"+l.text)
	}
	return list
}
