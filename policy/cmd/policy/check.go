package main

import (
	"fmt"

	"chatcache/policy"
)

const checkUsage = `usage: policy check [--json] [--strict] [--for envoy|istio|envoy-gateway] FILE…

Reports every problem of each policy: file:line:column, the line with a caret, what was
found, what is wanted, and a hint. Warnings, those of --for too, leave the exit code 0;
with --strict it is 1.

`

func check(args []string, s streams) int {
	flags := newFlags("check")
	asJSON := flags.Bool("json", false, "print the findings as a JSON array")
	strict := flags.Bool("strict", false, "exit with 1 for warnings, too")
	var to target
	flags.Var(&to, "for", "warn also of what doesn't fit this `target`: envoy, istio or envoy-gateway")
	files, code := parseArgs(flags, checkUsage, args, s)
	if code >= 0 {
		return code
	}
	if len(files) == 0 {
		return misused(flags, s, wrongNumber(files, "FILE…"))
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
