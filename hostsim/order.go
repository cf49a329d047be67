package hostsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// order chooses among what could come in any order in a real proxy: events of
// different streams, workers and calls, handlers that can go on, timers of one
// moment. Nil is first in, first out.
type order interface {
	choose(n int) int
	String() string
}

// stepInOrder does one of the things that can happen now: the first event of a
// lane, a handler's next piece of work, or a timer whose moment has come.
func (c *Clock) stepInOrder() bool {
	events, able, due := c.firstOfLanes(), c.wakeable(), c.due()
	n := len(events) + len(able) + len(due)
	if n == 0 {
		return false
	}
	i := c.order.choose(n)
	switch k := i - len(events); {
	case k < 0:
		c.mu.Lock()
		ev := c.takeAt(events[i])
		c.mu.Unlock()
		ev.run()
	case k < len(able):
		c.runJob(able[k])
	default:
		t := due[k-len(able)]
		c.stop(t)
		t.run()
	}
	return true
}

// firstOfLanes are the places of the events that no other of their lane is before.
func (c *Clock) firstOfLanes() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var firsts []int
	seen := map[any]bool{}
	for i, ev := range c.ready {
		if !seen[ev.lane] {
			seen[ev.lane] = true
			firsts = append(firsts, i)
		}
	}
	return firsts
}

// Shuffle makes the loop choose at random, reproducibly by seed.
func (c *Clock) Shuffle(seed uint64) {
	c.order = &randomOrder{seed, rand.New(rand.NewPCG(seed, seed^0x9e3779b97f4a7c15))}
}

type randomOrder struct {
	seed uint64
	rng  *rand.Rand
}

func (o *randomOrder) choose(n int) int { return o.rng.IntN(n) }
func (o *randomOrder) String() string   { return fmt.Sprintf("Clock.Shuffle(%d)", o.seed) }

// EveryOrder runs f in a subtest for every order in which events, handlers and
// timers of one moment can come, or until limit orders were run; f must build its proxies on the clock that it is
// given and do the same each time. It returns how many orders were run and
// whether those were all.
func EveryOrder[T interface{ Run(string, func(T)) bool }](t T, limit int, f func(t T, c *Clock)) (runs int, all bool) {
	o := &systematicOrder{}
	for runs < limit {
		c := NewClock(DefaultStart)
		c.order = o
		o.next = 0
		t.Run(fmt.Sprintf("order %d", runs), func(t T) { f(t, c) })
		runs++
		if !o.advance() {
			return runs, true
		}
	}
	return runs, false
}

// Follow makes the loop choose as a run of EveryOrder that failed has told: at each
// point the choice and among how many, "0/2 1/3". After the last the first is taken.
// It panics on anything else.
func (c *Clock) Follow(choices string) {
	o := &systematicOrder{}
	for f := range strings.FieldsSeq(choices) {
		var next choice
		if _, err := fmt.Sscanf(f, "%d/%d", &next.taken, &next.of); err != nil || next.taken < 0 || next.taken >= next.of {
			panic(fmt.Sprintf("hostsim: found choice %q, want one like 0/2", f))
		}
		o.choices = append(o.choices, next)
	}
	c.order = o
}

// systematicOrder takes a prescribed choice at each point, and the first where
// nothing is prescribed; advance prescribes the next sequence, depth first.
type systematicOrder struct {
	choices []choice
	next    int
}

type choice struct{ taken, of int }

func (o *systematicOrder) choose(n int) int {
	if n == 1 {
		return 0
	}
	if o.next == len(o.choices) {
		o.choices = append(o.choices, choice{0, n})
	}
	o.next++
	return min(o.choices[o.next-1].taken, n-1)
}

func (o *systematicOrder) advance() bool {
	o.choices = o.choices[:o.next]
	for i := len(o.choices) - 1; i >= 0; i-- {
		if o.choices[i].taken+1 < o.choices[i].of {
			o.choices[i].taken++
			o.choices = o.choices[:i+1]
			return true
		}
	}
	return false
}

func (o *systematicOrder) String() string {
	var parts []string
	for _, c := range o.choices[:o.next] {
		parts = append(parts, fmt.Sprintf("%d/%d", c.taken, c.of))
	}
	return fmt.Sprintf("Clock.Follow(%q)", strings.Join(parts, " "))
}
