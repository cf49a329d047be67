package hostsim

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// timer is one thing that is due at a moment of virtual time. Timers of the
// same moment run in the order in which they were set, unless the clock's order
// chooses another.
type timer struct {
	at    time.Time
	seq   uint64
	run   func()
	index int // in the heap; -1 when it isn't there
}

// after sets a timer; any goroutine may.
func (c *Clock) after(d time.Duration, run func()) *timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	t := &timer{at: c.now.Add(max(d, 0)), seq: c.seq, run: run}
	heap.Push(&c.timers, t)
	return t
}

// stop removes a timer, and reports whether it was still to run. nil and timers
// that ran are fine.
func (c *Clock) stop(t *timer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t == nil || t.index < 0 {
		return false
	}
	heap.Remove(&c.timers, t.index)
	return true
}

// due are the timers whose moment has come, in the order in which they were set.
func (c *Clock) due() []*timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 || c.timers[0].at.After(c.now) {
		return nil
	}
	var due []*timer
	for _, t := range c.timers {
		if !t.at.After(c.now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b *timer) int { return cmp.Compare(a.seq, b.seq) })
	return due
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].seq < h[j].seq
	}
	return h[i].at.Before(h[j].at)
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
