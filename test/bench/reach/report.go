package main

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"chatcache/test/bench"
)

// How long a raise may take until the last VM has applied it, ms.
const (
	targetP50 = 10
	targetP99 = 50
)

// report is what a run has shown.
type report struct {
	bench.Run
	Reach reach `json:"reach"`
	Purge purge `json:"purge"`
}

// reach is how long raises took to be applied, in milliseconds. By Redis' clock, which is
// read in whole ones: from the raise until a VM's next poll arrived.
type reach struct {
	VMs    int     `json:"vms"`
	Raises int     `json:"raises"`
	Each   summary `json:"each"` // VM
	Last   summary `json:"last"` // VM of each raise
	Wait   summary `json:"wait"` // the whole call, until the administrator knows
	// CPU is the processor time of each process per raise and the quiet before it, ms; all Envoys together.
	CPU map[string]float64 `json:"cpu"`
}

// purge is what a purge costs, in milliseconds.
type purge struct {
	Few      cost    `json:"few"`
	Many     cost    `json:"many"`
	FewAgain cost    `json:"fewAgain"`
	Ratio    float64 `json:"ratio"` // of the medians: many by the mean of the two others
}

type cost struct {
	Entries int   `json:"entries"`
	Keys    int64 `json:"keys"` // in Redis, all in all
	Purges  int   `json:"purges"`
	summary
}

type summary struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func summarize(values []float64) summary {
	slices.Sort(values)
	at := func(p float64) float64 { return values[min(int(math.Ceil(p*float64(len(values))))-1, len(values)-1)] }
	if len(values) == 0 {
		return summary{}
	}
	return summary{P50: at(0.5), P99: at(0.99), Max: at(1)}
}

func (r *report) print(w io.Writer) {
	r.Run.Print(w)
	fmt.Fprintf(w, "| %d raises, %d VMs: ms until | p50 | p99 | max |\n|---|---|---|---|\n", r.Reach.Raises, r.Reach.VMs)
	for _, row := range []struct {
		name string
		summary
	}{{"a VM has applied it", r.Reach.Each}, {"the last VM has applied it", r.Reach.Last}, {"purge --wait returns", r.Reach.Wait}} {
		fmt.Fprintf(w, "| %s | %.1f | %.1f | %.1f |\n", row.name, row.P50, row.P99, row.Max)
	}
	fmt.Fprintf(w, "\nProcessor time per raise, ms:")
	for _, name := range slices.Sorted(maps.Keys(r.Reach.CPU)) {
		fmt.Fprintf(w, " %s %.1f", name, r.Reach.CPU[name])
	}
	fmt.Fprintf(w, "\nThe last VM of half the raises within %.0f ms (target: %d ms: %s), of 99 %% within %.0f ms (target: %d ms: %s).\n",
		r.Reach.Last.P50, targetP50, bench.Verdict(r.Reach.Last.P50 <= targetP50), r.Reach.Last.P99, targetP99, bench.Verdict(r.Reach.Last.P99 <= targetP99))
	fmt.Fprintf(w, "\n| a purge of one cache: ms with | p50 | p99 | max |\n|---|---|---|---|\n")
	for _, c := range []cost{r.Purge.Few, r.Purge.Many, r.Purge.FewAgain} {
		fmt.Fprintf(w, "| %d entries | %.3f | %.3f | %.3f |\n", c.Entries, c.P50, c.P99, c.Max)
	}
	fmt.Fprintf(w, "\nmany by few, ratio of the medians: %.2f\n", r.Purge.Ratio)
}
