package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// write prints the explanation for people.
func (e explanation) write(w io.Writer) {
	switch {
	case e.Kind == "none":
		fmt.Fprintf(w, "%s %s matches no rule: it passes untouched\n", e.Method, e.URL)
		if e.Hint != "" {
			line(w, "hint", e.Hint)
		}
		return
	case e.Kind == "read":
		fmt.Fprintf(w, "%s %s is a read of the cache %s\n", e.Method, e.URL, e.Rule)
	case len(e.Patterns) == 0:
		fmt.Fprintf(w, "%s %s is a write without a rule\n", e.Method, e.URL)
	default:
		fmt.Fprintf(w, "%s %s is a write by the rule %q\n", e.Method, e.URL, e.Rule)
	}
	if e.Bypass != "" {
		line(w, "bypass", e.Bypass)
	}
	if len(e.Patterns) > 0 {
		line(w, "patterns", strings.Join(e.Patterns, ", "))
	}
	e.writePartition(w)
	if r := e.Read; r != nil {
		line(w, "ttl", r.TTL)
		line(w, "l1", yesNo(r.L1))
		line(w, "collapse", collapse(r.MaxWait))
		line(w, "definition", r.Definition)
		for _, f := range r.Key {
			line(w, "key: "+f.Name, f.Value)
		}
	}
	if d := e.Write; d != nil {
		if len(d.Invalidates) > 0 {
			line(w, "invalidates", strings.Join(d.Invalidates, ", "))
		}
		if d.URIOf != "" {
			line(w, "invalidates", "what "+d.URIOf+" has stored for its URI")
		}
		line(w, "scope", d.Scope)
		line(w, "deadline", d.Deadline+", settle "+d.Settle)
		if d.AlsoAfter != "" {
			line(w, "also after", d.AlsoAfter)
		}
		line(w, "unreachable", d.Unreachable)
		line(w, "raise on 4xx", yesNo(d.RaiseOn4xx))
		if len(d.UnchangedOn) > 0 {
			line(w, "unchanged on", strings.Trim(fmt.Sprint(d.UnchangedOn), "[]"))
		}
	}
	for _, g := range e.Groups {
		line(w, "group", g)
	}
}

func (e explanation) writePartition(w io.Writer) {
	switch p := e.Partition; {
	case p != nil:
		line(w, "partition", p.ID)
		line(w, "from", strings.Join(p.Sources, ", "))
		if p.Expires != 0 {
			line(w, "expires", time.Unix(p.Expires, 0).UTC().Format(time.RFC3339))
		}
	case e.Read != nil && e.Read.Shared:
		line(w, "partition", "none: the cache is shared")
	default:
		line(w, "partition", "none: no identity in the request")
	}
}

func line(w io.Writer, name, value string) {
	if value == "" {
		value = "(empty)"
	}
	fmt.Fprintf(w, "  %-16s %s\n", name, value)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func collapse(maxWait string) string {
	if maxWait == "" {
		return "no: each miss asks the origin"
	}
	return "misses wait up to " + maxWait + " for one fetch"
}

// writeJSON prints what a command found for programs.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(v)
}
