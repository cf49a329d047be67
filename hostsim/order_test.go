package hostsim_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
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

// TestEveryOrderOfWhatCallsAndTimersDo: another stream's start may come before a
// call is made, or its handler runs, or its answer arrives; and what is due at one
// moment in two workers comes in either order.
func TestEveryOrderOfWhatCallsAndTimersDo(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(t *testing.T, c *hostsim.Clock) string
		want []string
	}{
		"a call beside a stream": {callBesideStream, []string{
			"[other asks handler answer]", "[asks other handler answer]", "[asks handler other answer]", "[asks handler answer other]"}},
		"ticks of two workers":    {ticksOfTwoWorkers, []string{"[0 1]", "[1 0]"}},
		"timeouts of two streams": {timeoutsOfTwoStreams, []string{"[a b]", "[b a]"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			if _, all := hostsim.EveryOrder(t, 5000, func(t *testing.T, clock *hostsim.Clock) { seen[c.run(t, clock)] = true }); !all {
				t.Error("5000 runs weren't all")
			}
			if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, slices.Sorted(slices.Values(c.want))) {
				t.Errorf("orders %q\nwant %q", got, c.want)
			}
		})
	}
}

func callBesideStream(t *testing.T, c *hostsim.Clock) string {
	var s *hostsim.Sim
	var happened []string
	note := func(what string) { happened = append(happened, what) }
	s = probe(t, func(o *hostsim.Options) {
		o.Clock = c
		o.Clusters["lookup"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { note("handler") })
		o.ForeignFunctions = map[string]func([]byte) ([]byte, error){
			"note": func(what []byte) ([]byte, error) { note(string(what)); return nil, nil },
		}
	})
	asking := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers", "foreign note asks; call lookup /a 0; pause", "x-on-call", "foreign note answer; reply 200"))
	other := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers", "foreign note other; reply 200; pause"))
	s.Finish(asking)
	s.Finish(other)
	return fmt.Sprint(happened)
}

func ticksOfTwoWorkers(t *testing.T, c *hostsim.Clock) string {
	s := probe(t, func(o *hostsim.Options) { o.Clock, o.PluginConfig = c, []byte("tick 100") })
	s.TakeLogs()
	s.Advance(100 * time.Millisecond)
	var ticked []int // 0 is the main thread
	for _, l := range s.Logs() {
		ticked = append(ticked, l.Worker)
	}
	return fmt.Sprint(ticked)
}

func timeoutsOfTwoStreams(t *testing.T, c *hostsim.Clock) string {
	s := probe(t, func(o *hostsim.Options) { o.Clock, o.Clusters["silent"] = c, slow(c, time.Hour) })
	var streams []*hostsim.Stream
	for _, name := range []string{"a", "b"} {
		streams = append(streams, s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-request-headers", "call silent /a 50; pause", "x-on-call", "log at-"+name+"; reply 504")))
	}
	for _, st := range streams {
		s.Finish(st)
	}
	return strings.ReplaceAll(fmt.Sprint(workerLogs(s, "at-")), "at-", "")
}

func TestAFailureTellsTheSeed(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		failed bool // by the test itself
		want   string
	}{
		"of the proxy":          {"pause", false, "hostsim: events came in the order of Clock.Shuffle(42)\nhostsim: Options.Seed was 7"},
		"of the test's own":     {"reply 200", true, "hostsim: events came in the order of Clock.Shuffle(42)\nhostsim: Options.Seed was 7"},
		"not where all is well": {"reply 200", false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &failing{TB: t}
			clock := hostsim.NewClock(time.Time{})
			clock.Shuffle(42)
			s := hostsim.RunT(inner, hostsim.Options{Module: toolchain.Module(t, "probe"), Clock: clock, Seed: 7})
			do(s, "x-on-request-headers", c.script+"; pause")
			if c.failed {
				inner.Errorf("as asked")
			}
			inner.finish()
			if got := strings.Join(inner.logs, "\n"); got != c.want {
				t.Errorf("the test says %q, want %q", got, c.want)
			}
		})
	}
}

// TestAFailureTellsTheOrder: and that order can be followed.
func TestAFailureTellsTheOrder(t *testing.T) {
	run := func(t *testing.T, c *hostsim.Clock) (seen string, said []string) {
		inner := &failing{TB: t}
		seen = arrivals(inner, c)
		inner.Errorf("as asked")
		inner.finish()
		return seen, inner.logs
	}
	repeat := regexp.MustCompile(`Clock\.Follow\("([0-9/ ]*)"\)`)
	hostsim.EveryOrder(t, 200, func(t *testing.T, c *hostsim.Clock) {
		seen, said := run(t, c)
		m := repeat.FindStringSubmatch(strings.Join(said, "\n"))
		if m == nil {
			t.Fatalf("a failed test says %q", said)
		}
		again := hostsim.NewClock(time.Time{})
		again.Follow(m[1])
		if got, _ := run(t, again); got != seen {
			t.Errorf("%s gave %s, and repeated %s", m[0], seen, got)
		}
	})
	defer func() {
		if got := recover(); got != `hostsim: found choice "2/2", want one like 0/2` {
			t.Errorf("no order: %v", got)
		}
	}()
	hostsim.NewClock(time.Time{}).Follow("0/2 2/2")
}
