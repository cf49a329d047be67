package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// kinds are the tests' words for what RFC 9111 demands (MUST), what it recommends or a good cache does (SHOULD), and
// what is only asked.
var kinds = []string{"required", "optimal", "check"}

// errUnexplained says that a test failed for no reason that is known.
var errUnexplained = errors.New("tests fail that have no reason in known.go")

// report prints how many tests of each kind every cache passes, then those that the first one doesn't.
func report(w io.Writer, v verdict) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\t%s\n", strings.Join(kinds, "\t"))
	for i, cache := range v.Caches {
		fmt.Fprint(table, cache)
		for _, kind := range kinds {
			passed, all := v.passed(i, kind)
			fmt.Fprintf(table, "\t%d of %d, %.1f %%", passed, all, 100*float64(passed)/float64(max(all, 1)))
		}
		fmt.Fprintln(table)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	unexplained := 0
	for _, kind := range kinds[:2] {
		fmt.Fprintf(w, "\n%s, not passed:\n", kind)
		for _, test := range v.Tests {
			if test.Kind != kind || passes(test.Results[0]) {
				continue
			}
			reason, explained := known[test.ID]
			if !explained {
				reason = "UNEXPLAINED"
				unexplained++
			}
			fmt.Fprintf(w, "- %s (%s; without a cache: %s): %s\n    %s\n    %s\n", test.ID, test.Results[0], test.Results[1], test.Name, test.Why, reason)
		}
	}
	for _, test := range v.Tests {
		if _, listed := known[test.ID]; listed && passes(test.Results[0]) {
			fmt.Fprintf(w, "\npassed, although known.go has a reason why not: %s\n", test.ID)
		}
	}
	if unexplained > 0 {
		return fmt.Errorf("%w: %d", errUnexplained, unexplained)
	}
	return nil
}

// passed counts the tests of a kind that a cache passes. What depends on a test that it doesn't pass, it doesn't pass either.
func (v verdict) passed(cache int, kind string) (passed, all int) {
	for _, test := range v.Tests {
		if test.Kind != kind {
			continue
		}
		all++
		if passes(test.Results[cache]) {
			passed++
		}
	}
	return passed, all
}

func passes(result string) bool { return result == "pass" || result == "yes" }
