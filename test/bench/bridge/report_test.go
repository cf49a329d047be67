package main

import (
	"bytes"
	"strings"
	"testing"

	"chatcache/test/bench"
)

// Each target is there with its verdict, and what was measured with fewer than it asks for isn't met.
func TestTargets(t *testing.T) {
	round := func(bare, bridge float64) lookups {
		return newLookups([]cost{{rate: 100, cpu: bare}}, []cost{{rate: 90, cpu: bridge}}, []cost{{rate: 900, cpu: bridge / 2}})
	}
	for name, c := range map[string]struct {
		report report
		want   []string
	}{
		"all met": {
			report{Lookups: round(30, 36), Memory: memory{Followers: 10_000, MiB: 256}, Reach: newReach(2000, []float64{20, 3000})},
			[]string{"| **1.20** (1.20–1.20) | at most 1.2: met |", "sixteen in a call | **55556** |", "| **27778** | at least 25000: met |", "| **256 MiB** | at most 256 MiB: met |", "| **3000 ms** | at most 3000 ms, their lease: met |"},
		},
		"none met": {
			report{Lookups: round(30, 41), Memory: memory{Followers: 10_000, MiB: 257}, Reach: newReach(2000, []float64{20, 3001})},
			[]string{"at most 1.2: not met |", "| **24390** | at least 25000: not met |", "at most 256 MiB: not met |", "their lease: not met |"},
		},
		"too few": {
			report{Lookups: round(30, 36), Memory: memory{Followers: 9999, MiB: 1}, Reach: newReach(1999, []float64{1})},
			[]string{"MiB: not measured with 10000 |", "lease: not measured with 2000 |"},
		},
		"too few, and yet too much": {
			report{Lookups: round(30, 36), Memory: memory{Followers: 9999, MiB: 257}, Reach: newReach(1999, []float64{3001})},
			[]string{"at most 256 MiB: not met |", "their lease: not met |"},
		},
	} {
		c.report.Run = bench.Run{Command: "bench"}
		var text bytes.Buffer
		c.report.print(&text)
		for _, want := range c.want {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: the report lacks\n%s\nin\n%s", name, want, &text)
			}
		}
	}
}

// Of several rounds the medians are told, of raises the quantiles.
func TestMedians(t *testing.T) {
	l := newLookups([]cost{{rate: 10, cpu: 20}, {rate: 10, cpu: 40}, {rate: 10, cpu: 30}}, []cost{{rate: 1, cpu: 30}, {rate: 5, cpu: 40}, {rate: 3, cpu: 33}}, []cost{{cpu: 2}, {cpu: 2}, {cpu: 3}})
	if one := l.Alone; one.Ratio != 1.1 || one.Least != 1 || one.Most != 1.5 || one.Rate != 3 || one.CPU != 33 || l.Gathered.Ratio != 0.1 {
		t.Errorf("got %+v", l)
	}
	if r := newReach(7, []float64{3, 1, 2}); r != (reach{VMs: 7, Raises: 3, P50: 2, P99: 3, Max: 3}) {
		t.Errorf("got %+v", r)
	}
}
