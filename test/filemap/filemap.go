// Package filemap holds the maps of files that large packages have in their documentation to what is there: a section
// "# Files", in which each line that is indented names files, a gap, and what they are about.
package filemap

import (
	"fmt"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// CheckT fails where the package in the test's directory has a file, but for tests and doc.go itself, that the map in its
// doc.go doesn't name once, or the map names one that isn't there.
func CheckT(t testing.TB) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(name string) bool { return name == "doc.go" || strings.HasSuffix(name, "_test.go") })
	for _, problem := range compare(file.Doc.Text(), files) {
		t.Error(problem)
	}
}

// compare says how the map in a package's documentation differs from its files.
func compare(doc string, files []string) (problems []string) {
	_, section, _ := strings.Cut(doc, "# Files\n")
	section, _, _ = strings.Cut(section, "\n# ")
	named := map[string]int{}
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		names, _, _ := strings.Cut(strings.TrimSpace(line), "  ")
		for name := range strings.SplitSeq(names, ", ") {
			named[name+".go"]++
		}
	}
	for _, name := range files {
		if named[name] != 1 {
			problems = append(problems, fmt.Sprintf("doc.go names %s %d times under # Files, want once", name, named[name]))
		}
		delete(named, name)
	}
	for name := range named {
		problems = append(problems, fmt.Sprintf("doc.go names %s, which isn't there", name))
	}
	return problems
}
