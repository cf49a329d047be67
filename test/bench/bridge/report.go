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
	targetRate   = 25_000 // lookups in a second of a processor
	targetRatio  = 1.2    // processor time of a lookup by that of the bare server's GET
	targetMemory = 256    // MiB
)

// report is what a run has shown.
type report struct {
	bench.Run
	Lookups lookups `json:"lookups"`
	Memory  memory  `json:"memory"`
	Reach   reach   `json:"reach"`
}

// lookups compares the bridge's with the bare server's GETs: medians of all rounds.
type lookups struct {
	Bare   side    `json:"bare"`
	Bridge side    `json:"bridge"`
	Ratio  float64 `json:"ratio"` // of the processor times, the median of the rounds'
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
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

func newLookups(bare, bridge []cost) lookups {
	var ratios []float64
	for i := range bridge {
		ratios = append(ratios, bridge[i].cpu/bare[i].cpu)
	}
	return lookups{Bare: newSide(bare), Bridge: newSide(bridge), Ratio: median(ratios), Least: slices.Min(ratios), Most: slices.Max(ratios)}
}

func (r *report) print(w io.Writer) {
	r.Run.Print(w)
	fmt.Fprintf(w, "| on one processor | answers/s | CPU each, µs | in a second of a processor | Redis' CPU each, µs |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		side
	}{{"bare server, one GET", r.Lookups.Bare}, {"bridge, a lookup that hits", r.Lookups.Bridge}} {
		fmt.Fprintf(w, "| %s | %.0f | %.1f | %.0f | %.1f |\n", row.name, row.Rate, row.CPU, row.Capacity, row.Redis)
	}
	fmt.Fprintf(w, "\nLookups in a second of a processor: %.0f (target: %d: %s). By the bare server's GETs: **%.2f** (%.2f–%.2f; target: %.1f: %s).\n",
		r.Lookups.Bridge.Capacity, targetRate, bench.Verdict(r.Lookups.Bridge.Capacity >= targetRate),
		r.Lookups.Ratio, r.Lookups.Least, r.Lookups.Most, targetRatio, bench.Verdict(r.Lookups.Ratio <= targetRatio))
	fmt.Fprintf(w, "Memory with %d followers: %.0f MiB (target: %d: %s); %.0f polls/s, of which %d failed all in all, keep %.2f processors of the bridge busy, and %.2f of Redis.\n",
		r.Memory.Followers, r.Memory.MiB, targetMemory, bench.Verdict(r.Memory.MiB <= targetMemory), r.Memory.PollsPerSecond, r.Memory.Failed, r.Memory.CPU, r.Memory.RedisCPU)
	fmt.Fprintf(w, "The last of %d VMs is told of a raise within %.0f ms in half of %d raises, within %.0f ms in 99 %% (greatest: %.0f ms); %d polls failed.\n",
		r.Reach.VMs, r.Reach.P50, r.Reach.Raises, r.Reach.P99, r.Reach.Max, r.Reach.Failed)
}
