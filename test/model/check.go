package model

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// Result is what a check found.
type Result struct {
	States     int
	Complete   bool // every reachable state was seen
	Broken     Property
	Trace      []Step    // the shortest way to the broken state
	Exceptions Exception // all that were seen
}

func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d states, complete: %t; %v", r.States, r.Complete, r.Broken)
	for i, s := range r.Trace {
		fmt.Fprintf(&b, "\n%4d. %v", i+1, s)
	}
	return b.String()
}

// checker is a set of states in the order of their discovery, which is that of
// their distance from the start.
type checker struct {
	model  Model
	seed   maphash.Seed
	chunks [][]State // of chunk states each, so that growing copies nothing
	size   int
	parent []uint32
	table  []uint32 // open addressing: index into states plus one
}

const chunk = 1 << 14

func (c *checker) state(i int) *State { return &c.chunks[i/chunk][i%chunk] }

// Check explores at most limit states, breadth first, and stops at the first
// broken property. Memory is about 150 bytes for each state.
func (m Model) Check(limit int) Result {
	c := &checker{model: m, seed: maphash.MakeSeed(), table: make([]uint32, 1<<16)}
	first := start()
	first.Server.Also = m.AlsoAfter
	c.add(first, 0)
	result := Result{Complete: true}
	for at := 0; at < c.size && result.Broken == Fine; at++ {
		if c.size >= limit {
			result.Complete = false
			break
		}
		c.model.Steps(*c.state(at), func(_ Step, n State) {
			n.judge()
			c.model.canonical(&n)
			if result.Broken == Fine && c.add(n, uint32(at)) {
				result.Exceptions |= n.Exceptions
				result.Broken = n.Broken
			}
		})
	}
	result.States = c.size
	if result.Broken != Fine {
		result.Complete, result.Trace = false, c.trace()
	}
	return result
}

// add puts a state into the set and tells whether it is new.
func (c *checker) add(s State, parent uint32) bool {
	place := c.place(s)
	if c.table[place] != 0 {
		return false
	}
	if c.size%chunk == 0 {
		c.chunks = append(c.chunks, make([]State, chunk))
	}
	*c.state(c.size) = s
	c.size++
	c.parent = append(c.parent, parent)
	c.table[place] = uint32(c.size)
	if c.size*2 > len(c.table) {
		c.table = make([]uint32, 2*len(c.table))
		for i := range c.size {
			c.table[c.place(*c.state(i))] = uint32(i + 1)
		}
	}
	return true
}

// place is where a state is in the table, or would be.
func (c *checker) place(s State) int {
	mask := len(c.table) - 1
	place := int(maphash.Comparable(c.seed, s)) & mask
	for c.table[place] != 0 && *c.state(int(c.table[place] - 1)) != s {
		place = (place + 1) & mask
	}
	return place
}

// trace names the steps to the last state.
func (c *checker) trace() []Step {
	var reversed []Step
	for at := uint32(c.size - 1); at != 0; at = c.parent[at] {
		var found Step
		c.model.Steps(*c.state(int(c.parent[at])), func(step Step, n State) {
			n.judge()
			c.model.canonical(&n)
			if n == *c.state(int(at)) {
				found = step
			}
		})
		reversed = append(reversed, found)
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return reversed
}
