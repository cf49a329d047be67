package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"chatcache/redisbridge"
)

// gate says what a step of a rollout must show before the next one.
type gate struct {
	hold        time.Duration // how long it must hold
	maxMismatch float64       // of those compared, percent
	maxErrors   uint64
	minCompared uint64 // answers; 0: nothing is compared
}

// seen is what the proxies have counted of a cache since a step began.
type seen struct {
	Hits       uint64 `json:"hits"`
	Compared   uint64 `json:"compared"`
	Mismatches uint64 `json:"mismatches"`
	Errors     uint64 `json:"errors"`
}

// since takes the difference of two sums. Redis keeps them: where one is smaller than before it was emptied, or a replica is the primary now that
// hadn't heard of the last, and they tell nothing.
func since(before, now redisbridge.ProxyCounts) (s seen, told bool) {
	hits := func(c redisbridge.ProxyCounts) uint64 { return c.HitsL1 + c.HitsL2 + c.Collapsed }
	compared := func(c redisbridge.ProxyCounts) uint64 { return c.Matches + c.Mismatches }
	if hits(now) < hits(before) || now.Matches < before.Matches || now.Mismatches < before.Mismatches || now.Errors < before.Errors {
		return seen{}, false
	}
	return seen{
		Hits:       hits(now) - hits(before),
		Compared:   compared(now) - compared(before),
		Mismatches: now.Mismatches - before.Mismatches,
		Errors:     now.Errors - before.Errors,
	}, true
}

// verdict is what a gate says.
type verdict int

const (
	waiting verdict = iota
	held
	mismatched // what is stored isn't what the origin answers: wrong for whomever it serves
	failed     // the bridge doesn't keep up
)

// judge judges what was seen for so long. A share of mismatches counts as if minCompared had been compared at
// least: a breach that more answers could not undo is one at once. What others have compared counts where the rollout itself compares nothing.
func (g gate) judge(s seen, elapsed time.Duration) verdict {
	switch {
	case float64(s.Mismatches) > g.maxMismatch/100*float64(max(s.Compared, g.minCompared)):
		return mismatched
	case s.Errors > g.maxErrors:
		return failed
	case elapsed >= g.hold && s.Compared >= g.minCompared:
		return held
	}
	return waiting
}

// breach says in words what was beyond the gate.
func (g gate) breach(v verdict, s seen) string {
	if v == failed {
		return fmt.Sprintf("%d errors, at most %d are allowed", s.Errors, g.maxErrors)
	}
	share := 100 * float64(s.Mismatches) / float64(max(s.Compared, 1))
	return fmt.Sprintf("%d of %d answers that were compared differ (%s, at most %s are allowed)",
		s.Mismatches, s.Compared, percent(share), percent(g.maxMismatch))
}

// parsePercent reads a percentage, with or without its sign.
func parsePercent(s string) (float64, error) {
	p, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(p >= 0 && p <= 100) {
		return 0, errors.New("want a percentage from 0 to 100")
	}
	return p, nil
}

// percent writes a percentage with two digits behind the point at most.
func percent(p float64) string { return fmt.Sprintf("%v%%", inPoints(p)) }

// inPoints rounds a percentage to basis points, as a bridge keeps it.
func inPoints(p float64) float64 { return math.Round(100*p) / 100 }
