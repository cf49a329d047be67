package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"

	"chatcache/policy"
)

const checkUsage = `usage: policy check [--json] [--strict] [--for envoy|istio|envoy-gateway] FILE…

Reports every problem of each policy: file:line:column, the line with a caret, what was
found, what is wanted, and a hint. Warnings, those of --for too, leave the exit code 0;
with --strict it is 1.

`

// finding is one problem or warning of a file.
type finding struct {
	File     string    `json:"file"`
	Line     int       `json:"line"`
	Column   int       `json:"column"`
	Severity string    `json:"severity"` // error or warning
	ID       policy.ID `json:"id"`
	Path     string    `json:"path"` // JSON pointer
	Rule     string    `json:"rule,omitempty"`
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"`

	excerpt string
}

func check(args []string, s streams) int {
	flags := newFlags("check", checkUsage, s.err)
	asJSON := flags.Bool("json", false, "print the findings as a JSON array")
	strict := flags.Bool("strict", false, "exit with 1 for warnings, too")
	var to target
	flags.Var(&to, "for", "warn also of what doesn't fit this `target`: envoy, istio or envoy-gateway")
	files, code := parseArgs(flags, args)
	if code >= 0 {
		return code
	}
	if len(files) == 0 {
		flags.Usage()
		return exitUsage
	}
	findings, unreadable := []finding{}, false
	for _, name := range files {
		d, err := readDocument(name, s.in)
		if err != nil {
			fmt.Fprintln(s.err, "policy:", err)
			unreadable = true
			continue
		}
		p, problems := policy.Parse(d.text)
		findings = append(findings, d.findings("error", problems)...)
		if p != nil {
			findings = append(findings, d.warnings(p, to.warnings(p)...)...)
		}
		if p != nil && !*asJSON {
			fmt.Fprintf(s.out, "%s: ok: %s\n", d.name, summary(p))
		}
	}
	if *asJSON {
		writeJSON(s.out, findings)
	} else {
		writeFindings(s.err, findings)
	}
	if unreadable {
		return exitUsage
	}
	for _, f := range findings {
		if f.Severity == "error" || *strict {
			return exitNo
		}
	}
	return exitOK
}

func summary(p *policy.Policy) string {
	return fmt.Sprintf("policy %s, %d caches, %d invalidations", p.Name, len(p.Caches), len(p.Invalidations))
}

// warnings lists those of the policy itself and more, by position.
func (d document) warnings(p *policy.Policy, more ...policy.Problem) []finding {
	list := slices.Concat(p.Warnings(), d.locate(more))
	slices.SortStableFunc(list, func(a, b policy.Problem) int { return a.Offset - b.Offset })
	return d.findings("warning", list)
}

func (d document) findings(severity string, problems policy.Problems) (list []finding) {
	shown := d.withoutSecrets()
	for _, p := range problems {
		at := d.position(p.Offset)
		list = append(list, finding{
			File: d.name, Line: at.line, Column: at.column, Severity: severity,
			ID: p.ID, Path: p.Path, Rule: p.Rule, Message: p.Message(), Hint: p.Hint,
			excerpt: shown.excerpt(p.Offset),
		})
	}
	return list
}

func writeFindings(w io.Writer, findings []finding) {
	for i, f := range findings {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s:%d:%d: %s: %s [%s]\n", f.File, f.Line, f.Column, f.Severity, f.Message, f.ID)
		fmt.Fprintln(w, f.excerpt)
		fmt.Fprint(w, "at ", orDocument(f.Path))
		if f.Rule != "" {
			fmt.Fprintf(w, " (%s)", f.Rule)
		}
		if f.Hint != "" {
			fmt.Fprint(w, "; ", f.Hint)
		}
		fmt.Fprintln(w)
	}
}

func orDocument(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(v)
}

func newFlags(name, text string, w io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(w)
	flags.Usage = func() {
		fmt.Fprint(w, text)
		flags.PrintDefaults()
	}
	return flags
}

// parseArgs reads flags that may stand before, between and after the other arguments. code is
// the exit code where there is nothing left to do, otherwise -1.
func parseArgs(flags *flag.FlagSet, args []string) (rest []string, code int) {
	for {
		if err := flags.Parse(args); err == flag.ErrHelp {
			return nil, exitOK
		} else if err != nil {
			return nil, exitUsage
		}
		if args = flags.Args(); len(args) == 0 {
			return rest, -1
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}
