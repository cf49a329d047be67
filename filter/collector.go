package main

import (
	"os"
	"runtime/debug"
)

// How often the garbage collector of a VM runs with little in L1, as Go has it, and with much, in percent of the live heap that
// may be garbage. It needn't look into L1's memory, but Go counts that as live, and would let as much again be
// garbage: a full L1 of 64 MiB would take another 64 from the machine, for a few collections saved.
const (
	sparsePercent = 100
	densePercent  = 25
	denseFrom     = 16 << 20 // bytes of L1
)

// collector sets how often the garbage collector of the VM runs. Operators who set GOGC in the VM's environment
// decide that themselves.
type collector struct {
	set   func(percent int) int
	dense bool
}

func newCollector() *collector {
	if os.Getenv("GOGC") != "" {
		return &collector{set: func(int) int { return 0 }}
	}
	return &collector{set: debug.SetGCPercent}
}

// fit fits it to the bytes of L1. Half of what made it dense makes it sparse, so that it doesn't go to and fro.
func (c *collector) fit(l1 int) {
	switch {
	case !c.dense && l1 >= denseFrom:
		c.dense = true
		c.set(densePercent)
	case c.dense && l1 < denseFrom/2:
		c.dense = false
		c.set(sparsePercent)
	}
}
