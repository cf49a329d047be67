package httpcache_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRequirements sees that each requirement of the package's documentation names what shows it, and that
// these tests and scenarios are there.
func TestRequirements(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]map[string]bool{
		"": testsIn(t, "."), "exchange": testsIn(t, "../exchange"), "e2e": testsIn(t, "../../../test/e2e"),
	}
	required, left := 0, 0
	for line := range strings.SplitSeq(file.Doc.Text(), "\n") {
		item, found := strings.CutPrefix(line, "  - §")
		if !found {
			continue
		}
		required++
		shown := item[strings.LastIndex(item, ": ")+2:]
		if shown == "not done" {
			left++
			continue
		}
		for name := range strings.SplitSeq(shown, ", ") {
			if !exists(name, packages) {
				t.Errorf("§%s: there is no %q", item, name)
			}
		}
	}
	if required < 60 || left > 2 {
		t.Errorf("%d requirements, %d of them not met", required, left)
	}
}

func exists(name string, packages map[string]map[string]bool) bool {
	if scenario, ok := strings.CutPrefix(name, "scenario "); ok {
		_, err := os.Stat(filepath.Join("../../../test/scenarios", scenario+".scenario"))
		return err == nil
	}
	in, test, ok := strings.Cut(name, ".")
	if !ok {
		in, test = "", name
	}
	return packages[in][test]
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsIn lists the tests of a directory.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	tests := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
	}
	return tests
}
