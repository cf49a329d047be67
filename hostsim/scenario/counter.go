package scenario

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// configured finds the members of a JSON document that are objects, as the caches of a policy are.
var configured = regexp.MustCompile(`"([A-Za-z0-9_-]+)"\s*:\s*\{`)

// Counters reads a list of counters that a module may define only when it first counts: a name a line, in which * stands for
// each member of the module's configuration that is an object. Empty lines and those that begin with # are left out.
func Counters(list, config string) (names []string) {
	for line := range strings.Lines(list) {
		name := strings.TrimSpace(line)
		switch {
		case name == "" || name[0] == '#':
		case !strings.Contains(name, "*"):
			names = append(names, name)
		default:
			for _, m := range configured.FindAllStringSubmatch(config, -1) {
				names = append(names, strings.ReplaceAll(name, "*", m[1]))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// counter compares a counter with a number. One that there can't be is none that is 0: a misspelt name would hold for ever.
func (r *result) counter(name string, want uint64) (got string, ok bool) {
	counters := r.counters()
	n, defined := counters[name]
	if _, listed := slices.BinarySearch(r.listed, name); !defined && !listed {
		return noCounter(name, append(slices.Collect(maps.Keys(counters)), r.listed...)), false
	}
	return strconv.FormatUint(n, 10), n == want
}

func noCounter(name string, known []string) string {
	hint := ": the module hasn't defined it, and no list of those that it may define later has it (hostsim test --counters)"
	if names := nearest(name, known); len(names) > 0 {
		hint = ": did you mean " + strings.Join(names, " or ") + "?"
	}
	return fmt.Sprintf("no counter %q", name) + hint
}

// nearest gives the names that begin and end most like this one, if two thirds are alike, and three of them at most.
func nearest(name string, known []string) (names []string) {
	slices.Sort(known)
	best := 1
	for _, k := range slices.Compact(known) {
		switch n := alike(name, k); {
		case 3*n < 2*max(len(name), len(k)) || n < best:
		case n > best:
			best, names = n, []string{k}
		default:
			names = append(names, k)
		}
	}
	return names[:min(len(names), 3)]
}

// alike counts the bytes at the beginning and at the end in which two names are the same.
func alike(a, b string) int {
	shorter := min(len(a), len(b))
	first := 0
	for first < shorter && a[first] == b[first] {
		first++
	}
	last := 0
	for last < shorter-first && a[len(a)-1-last] == b[len(b)-1-last] {
		last++
	}
	return first + last
}
