package main

import (
	"slices"
	"testing"
)

func TestCollectorFitsL1(t *testing.T) {
	var set []int
	c := collector{set: func(percent int) int { set = append(set, percent); return 0 }}
	for _, l1 := range []int{0, denseFrom - 1, denseFrom, 64 << 20, denseFrom - 1, denseFrom / 2, denseFrom, denseFrom/2 - 1, 0, denseFrom} {
		c.fit(l1)
	}
	if want := []int{25, 100, 25}; !slices.Equal(set, want) {
		t.Errorf("it was set to %d, want %d", set, want)
	}
}

func TestCollectorLeavesGOGCAlone(t *testing.T) {
	t.Setenv("GOGC", "50")
	if c := newCollector(); c.set(densePercent) != 0 {
		t.Error("it has changed what operators have set")
	}
}
