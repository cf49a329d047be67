package main

import (
	"fmt"
	"io"
	"slices"

	"chatcache/policy"
)

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
