package main

import (
	"fmt"
	"io"
	"math"
	"slices"

	"chatcache/test/bench"
)

// What one bridge is to bear.
const (
	targetRate      = 25_000 // lookups in a second of a processor
	targetRatio     = 1.2    // processor time of a lookup by that of the bare server's GET
	targetFollowers = 10_000
	targetMemory    = 256 // MiB, with so many followers
	targetVMs       = 2000
	targetReach     = lease // ms until the last of so many VMs has been told of a raise: then their L1s end anyway
)

// gathered is how a worker asks that has many lookups under way.
const gathered = "bridge, a lookup that hits, sixteen in a call"

// report is what a run has shown.
type report struct {
	bench.Run
	Lookups lookups `json:"lookups"`
	Memory  memory  `json:"memory"`
	Plain   memory  `json:"plain"` // with HTTP/1.1
	Twice   memory  `json:"twice"` // and connections for lookups
	Reach   reach   `json:"reach"`
}

// lookups compares the bridge's with the bare server's GETs: medians of all rounds.
type lookups struct {
	Bare     side     `json:"bare"`
	Alone    compared `json:"alone"`    // each a call
	Gathered compared `json:"gathered"` // as many in a call as may be
}

// compared is a side with its processor time by the bare server's.
type compared struct {
	side
	Ratio float64 `json:"ratio"` // the median of the rounds'
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

type side struct {
	Rate     float64 `json:"rate"`     // answers per second
	CPU      float64 `json:"cpu"`      // processor time of each, µs
	Capacity float64 `json:"capacity"` // answers in a second of a processor
	Redis    float64 `json:"redis"`    // Redis' processor time for each, µs
}

// memory is that of a bridge whose feed so many VMs follow, each on a connection of its own.
type memory struct {
	Followers      int     `json:"followers"`
	MiB            float64 `json:"mib"` // resident
	PollsPerSecond float64 `json:"pollsPerSecond"`
	Failed         int64   `json:"failed"`   // polls
	CPU            float64 `json:"cpu"`      // processors that the bridge keeps busy
	RedisCPU       float64 `json:"redisCpu"` // and Redis
}

// reach is how long raises took until the last VM had been told, ms.
type reach struct {
	VMs    int     `json:"vms"`
	Raises int     `json:"raises"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
	Failed int64   `json:"failed"` // polls
}

func newReach(vms int, times []float64) reach {
	slices.Sort(times)
	at := func(p float64) float64 { return times[int(math.Ceil(p*float64(len(times))))-1] }
	return reach{VMs: vms, Raises: len(times), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func newSide(costs []cost) side {
	of := func(value func(cost) float64) float64 {
		var values []float64
		for _, c := range costs {
			values = append(values, value(c))
		}
		return median(values)
	}
	s := side{
		Rate: of(func(c cost) float64 { return c.rate }), CPU: of(func(c cost) float64 { return c.cpu }),
		Redis: of(func(c cost) float64 { return c.redis }),
	}
	s.Capacity = 1e6 / s.CPU
	return s
}

func newLookups(bare, alone, gathered []cost) lookups {
	return lookups{newSide(bare), compare(alone, bare), compare(gathered, bare)}
}

func compare(costs, bare []cost) compared {
	var ratios []float64
	for i := range costs {
		ratios = append(ratios, costs[i].cpu/bare[i].cpu)
	}
	return compared{newSide(costs), median(ratios), slices.Min(ratios), slices.Max(ratios)}
}

func (r *report) print(w io.Writer) {
	r.Run.Print(w)
	fmt.Fprintf(w, "| on one processor | answers/s | CPU each, µs | in a second of a processor | Redis' CPU each, µs |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		side
	}{{"bare server, one GET", r.Lookups.Bare}, {"bridge, a lookup that hits", r.Lookups.Alone.side}, {gathered, r.Lookups.Gathered.side}} {
		fmt.Fprintf(w, "| %s | %.0f | %.1f | %.0f | %.1f |\n", row.name, row.Rate, row.CPU, row.Capacity, row.Redis)
	}
	fmt.Fprintf(w, "\n| what one bridge is to bear | | target |\n|---|---|---|\n")
	for _, t := range r.targets() {
		fmt.Fprintf(w, "| %s | %s | %s: %s |\n", t.what, t.is, t.wanted, t.verdict)
	}
	fmt.Fprintln(w)
	for _, m := range r.memories() {
		fmt.Fprintf(w, "%d followers poll %.0f times in a second with %s, which keeps %.2f processors of the bridge busy, and %.2f of Redis; %d polls failed. ",
			m.Followers, m.PollsPerSecond, m.protocol, m.CPU, m.RedisCPU, m.Failed)
	}
	fmt.Fprintf(w, "The last of %d VMs is told of half of all raises within %.0f ms, of 99 %% within %.0f ms; %d polls failed.\n",
		r.Reach.VMs, r.Reach.P50, r.Reach.P99, r.Reach.Failed)
}

// memoryOf is a memory with the protocol of its followers.
type memoryOf struct {
	memory
	protocol string
}

func (r *report) memories() []memoryOf {
	return []memoryOf{{r.Memory, byHTTP2.name}, {r.Plain, byHTTP1.name}, {r.Twice, byHTTP1Twice.name}}
}

// target is one of what a bridge is to bear, and whether it does.
type target struct{ what, is, wanted, verdict string }

func (r *report) targets() []target {
	var list []target
	for _, l := range []struct {
		how string
		compared
	}{{"each a call", r.Lookups.Alone}, {"sixteen in a call", r.Lookups.Gathered}} {
		list = append(list,
			target{"processor time of a lookup, " + l.how + ", by the bare server's GET", fmt.Sprintf("**%.2f** (%.2f–%.2f)", l.Ratio, l.Least, l.Most),
				fmt.Sprint("at most ", targetRatio), bench.Verdict(l.Ratio <= targetRatio)},
			target{"lookups in a second of a processor, " + l.how, fmt.Sprintf("**%.0f**", l.Capacity), fmt.Sprint("at least ", targetRate), bench.Verdict(l.Capacity >= targetRate)})
	}
	for _, m := range r.memories() {
		list = append(list, target{fmt.Sprintf("memory with %d followers of the feed, %s", m.Followers, m.protocol), fmt.Sprintf("**%.0f MiB**", m.MiB),
			fmt.Sprintf("at most %d MiB", targetMemory), verdictOf(m.Followers, targetFollowers, m.MiB <= targetMemory)})
	}
	return append(list, []target{
		{fmt.Sprintf("until the last of %d VMs is told of a raise, the slowest of %d", r.Reach.VMs, r.Reach.Raises), fmt.Sprintf("**%.0f ms**", r.Reach.Max),
			fmt.Sprintf("at most %d ms, their lease", targetReach), verdictOf(r.Reach.VMs, targetVMs, r.Reach.Max <= targetReach)},
	}...)
}

// verdictOf is that of a run with fewer than there are to be only where it is against them.
func verdictOf(n, wanted int, met bool) string {
	if met && n < wanted {
		return fmt.Sprintf("not measured with %d", wanted)
	}
	return bench.Verdict(met)
}
