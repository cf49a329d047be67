package policy

import (
	"go/parser"
	gotoken "go/token"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentation: the package documentation describes exactly the fields that the parser accepts.
func TestDocumentation(t *testing.T) {
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	heading := regexp.MustCompile(`^# Fields of (\S+)$`)
	item := regexp.MustCompile(`^  - (\w+): `)
	kind := ""
	for line := range strings.SplitSeq(file.Doc.Text(), "\n") {
		if strings.HasPrefix(line, "# ") {
			kind = ""
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			kind = m[1]
		} else if m := item.FindStringSubmatch(line); m != nil && kind != "" {
			documented[kind] = append(documented[kind], m[1])
		}
	}
	for kind, fields := range language {
		if !slices.Equal(slices.Sorted(slices.Values(documented[kind])), slices.Sorted(slices.Values(fields))) {
			t.Errorf("%s: documented %q, accepted %q", kind, documented[kind], fields)
		}
		delete(documented, kind)
	}
	if len(documented) > 0 {
		t.Errorf("documented, but unknown: %q", documented)
	}
}

// TestDocumentedExample: the example of the documentation is a policy.
func TestDocumentedExample(t *testing.T) {
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	text := file.Doc.Text()
	start, end := strings.Index(text, "\t{\n"), strings.Index(text, "\t}\n")
	if _, problems := Parse([]byte(text[start : end+2])); problems != nil {
		t.Error(problems)
	}
}

// TestDependencies: what costs the compiled filter megabytes stays out.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Skip("go list:", err)
	}
	for _, heavy := range []string{"net/http", "net/url", "encoding/json", "regexp", "log/slog", "net"} {
		if slices.Contains(strings.Fields(string(out)), heavy) {
			t.Errorf("the package depends on %s", heavy)
		}
	}
}
