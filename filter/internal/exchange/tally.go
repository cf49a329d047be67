package exchange

import (
	"slices"
	"strings"
	"time"

	"chatcache/redisbridge/wire"
)

// reportEvery is how often a VM reports at most, however often it polls.
const reportEvery = time.Second

// tally is what the VM has counted of each cache and the bridge hasn't acknowledged yet.
//
//  1. a poll takes everything that was counted, as report 7
//  2. its answer doesn't come: the bridge may have counted the report or not
//  3. the next poll sends report 7 again, as it was; whatever came since waits
//  4. its answer comes: report 7 is counted, once. The next one is 8
type tally struct {
	counts  map[string]*counts // by cache
	report  wire.Report        // the last one; sent until it is acknowledged
	open    bool               // it isn't yet
	readyAt int64              // when the next one may be made, monotonic nanoseconds
}

// counts are those of one cache.
type counts [wire.Counters]uint64

// of gives the counters of a cache. They outlive a configuration change.
func (t *tally) of(cache string) *counts {
	c := t.counts[cache]
	if c == nil {
		c = new(counts)
		t.counts[cache] = c
	}
	return c
}

// next gives the report that a poll takes along; without a number it takes none.
func (t *tally) next(now int64) wire.Report {
	if !t.open && now >= t.readyAt {
		t.collect()
		t.open = len(t.report.Caches) > 0
		t.readyAt = now + int64(reportEvery)
	}
	if !t.open {
		return wire.Report{}
	}
	return t.report
}

// collect makes a report of what was counted.
func (t *tally) collect() {
	t.report.Caches = nil
	for name, c := range t.counts {
		if *c != (counts{}) && len(t.report.Caches) < wire.MaxCaches {
			t.report.Caches = append(t.report.Caches, wire.Counts{Cache: name, Values: *c})
			*c = counts{}
		}
	}
	if len(t.report.Caches) > 0 {
		t.report.Number++
		slices.SortFunc(t.report.Caches, func(a, b wire.Counts) int { return strings.Compare(a.Cache, b.Cache) })
	}
}

// acknowledged is called at the answer to a poll that took a report along.
func (t *tally) acknowledged(r wire.Report) {
	if r.Number == t.report.Number {
		t.open = false
	}
}
