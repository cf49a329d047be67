package hostsim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

// arrivals runs three streams at once and tells in which order their headers reached the module.
func arrivals(t testing.TB, c *hostsim.Clock) string {
	s := probe(t, func(o *hostsim.Options) { o.Clock, o.Workers = c, 1 })
	var streams []*hostsim.Stream
	for _, name := range []string{"a", "b", "c"} {
		streams = append(streams, s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers", "log at-"+name+"; reply 200; pause")))
	}
	for _, st := range streams {
		s.Finish(st)
	}
	return strings.ReplaceAll(fmt.Sprint(workerLogs(s, "at-")), "at-", "")
}

func TestEventsCanComeInAnyOrder(t *testing.T) {
	if got := arrivals(t, hostsim.NewClock(time.Time{})); got != "[a b c]" {
		t.Errorf("without an order: %s", got)
	}
	seen := map[string]int{}
	for seed := range uint64(30) {
		c := hostsim.NewClock(time.Time{})
		c.Shuffle(seed)
		seen[arrivals(t, c)]++
	}
	if len(seen) != 6 {
		t.Errorf("30 seeds gave the orders %v, want all 6", seen)
	}
	again := hostsim.NewClock(time.Time{})
	again.Shuffle(7)
	first := hostsim.NewClock(time.Time{})
	first.Shuffle(7)
	if a, b := arrivals(t, again), arrivals(t, first); a != b {
		t.Errorf("one seed gave %s and %s", a, b)
	}
}

func TestEveryOrder(t *testing.T) {
	seen := map[string]int{}
	runs, all := hostsim.EveryOrder(t, 200, func(t *testing.T, c *hostsim.Clock) { seen[arrivals(t, c)]++ })
	if len(seen) != 6 || runs != 6 || !all {
		t.Errorf("%d runs (all: %v) gave %v, want the 6 orders once each", runs, all, seen)
	}
	if runs, all := hostsim.EveryOrder(t, 2, func(t *testing.T, c *hostsim.Clock) { arrivals(t, c) }); runs != 2 || all {
		t.Errorf("with a limit of 2: %d runs, all %v", runs, all)
	}
}

func TestAFailureTellsTheSeed(t *testing.T) {
	inner := &failing{TB: t}
	c := hostsim.NewClock(time.Time{})
	c.Shuffle(42)
	s := hostsim.RunT(inner, hostsim.Options{Module: toolchain.Module(t, "probe"), Clock: c, Seed: 7})
	do(s, "x-on-request-headers", "pause")
	inner.finish()
	if got := strings.Join(inner.logs, "\n"); !strings.Contains(got, "Clock.Shuffle(42)") || !strings.Contains(got, "Options.Seed was 7") {
		t.Errorf("a failed test says %q", got)
	}
}

func TestAFailureTellsTheOrder(t *testing.T) {
	inner := &failing{TB: t}
	hostsim.EveryOrder(t, 2, func(t *testing.T, c *hostsim.Clock) {
		s := hostsim.RunT(inner, hostsim.Options{Module: toolchain.Module(t, "probe"), Clock: c})
		for range 2 {
			s.Start(1, hostsim.Get("/x", "x-on-request-headers", "pause"))
		}
		s.Settle()
		inner.finish()
		inner.cleanups = nil
	})
	if len(inner.logs) != 2 || !strings.Contains(inner.logs[0], "order 0/2") || !strings.Contains(inner.logs[1], "order 1/2") {
		t.Errorf("failed tests say %q", inner.logs)
	}
}
