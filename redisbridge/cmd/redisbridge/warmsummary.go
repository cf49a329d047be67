package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// warmSummary is what came of warming.
type warmSummary struct {
	Reads     int            `json:"reads"` // of the file
	Sent      int            `json:"sent"`
	Hits      int            `json:"hits"`      // were stored already
	Collapsed int            `json:"collapsed"` // were stored by another request meanwhile
	Stored    int            `json:"stored"`
	Unstored  map[string]int `json:"unstored"`  // by the reason that Cache-Status gives
	Bypassed  map[string]int `json:"bypassed"`  // likewise
	Unmatched int            `json:"unmatched"` // no cache of the proxy's policy has them
	Errors    int            `json:"errors"`    // answered with 400 or more, or not at all
	LeftOut   int            `json:"leftOut"`   // lines with other methods than GET
	Seconds   float64        `json:"seconds"`
	// Stopped says why not all were sent, and NextLine where the rest begins.
	Stopped  string `json:"stopped,omitempty"`
	NextLine int    `json:"nextLine,omitempty"`
}

// count counts an answer by its Cache-Status.
func (s *warmSummary) count(fields []string) {
	parameters, ok := memberOf(fields)
	has := func(p string) bool { return slices.Contains(parameters, p) }
	detail := "unknown"
	for _, p := range parameters {
		if value, ok := strings.CutPrefix(p, "detail="); ok {
			detail = value
		}
	}
	switch {
	case !ok:
		s.Unmatched++
	case has("hit"):
		s.Hits++
	case has("collapsed"):
		s.Collapsed++
	case has("stored"):
		s.Stored++
	case has("fwd=bypass"):
		s.Bypassed[detail]++
	default:
		s.Unstored[detail]++
	}
}

// memberOf finds chatcache's member of Cache-Status, and gives its parameters.
func memberOf(fields []string) (parameters []string, ok bool) {
	for _, field := range fields {
		for member := range strings.SplitSeq(field, ",") {
			parts := strings.Split(member, ";")
			for i := range parts {
				parts[i] = strings.TrimSpace(parts[i])
			}
			if parts[0] == "chatcache" {
				return parts[1:], true
			}
		}
	}
	return nil, false
}

func (s warmSummary) print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name string, n int, note string) {
		if n > 0 || note == "" {
			fmt.Fprintf(table, "%s\t%d\t%s\n", name, n, note)
		}
	}
	line("sent", s.Sent, fmt.Sprintf("of %d, in %.1f s", s.Reads, s.Seconds))
	line("stored", s.Stored, "")
	line("hits", s.Hits, "")
	line("collapsed", s.Collapsed, "stored by another request meanwhile")
	for _, reason := range slices.Sorted(maps.Keys(s.Unstored)) {
		line("not stored", s.Unstored[reason], reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Bypassed)) {
		line("bypassed", s.Bypassed[reason], reason)
	}
	line("unmatched", s.Unmatched, "no cache of the proxy's policy has them")
	line("left out", s.LeftOut, "lines with other methods than GET")
	line("errors", s.Errors, "")
	table.Flush()
	if s.Stopped != "" {
		fmt.Fprintf(out, "stopped: %s; go on with --from %d\n", s.Stopped, s.NextLine)
	}
}
