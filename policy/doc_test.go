package policy

import (
	"encoding/json"
	"go/parser"
	gotoken "go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/test/filemap"
)

func TestFiles(t *testing.T) { filemap.CheckT(t) }

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

// around are documents in which a field of a kind of object can be put.
var around = map[string]string{
	"policy":       `%s, "caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}`,
	"bridge":       `"bridge": {"cluster": "b", %s}, "caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}`,
	"breaker":      `"bridge": {"cluster": "b", "breaker": {%s}}, "caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}`,
	"l1":           `"l1": {%s}, "caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}`,
	"collapse":     `"collapse": {%s}, "caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}`,
	"cache":        `"caches": {"c": {"match": ["GET /c"], "ttl": "origin", %s}}`,
	"cache ttl":    `"caches": {"c": {"match": ["GET /c"], %s}}`,
	"body":         `"host": {"allow_on_headers_stop_iteration": true}, "caches": {"c": {"match": ["POST /c"], "ttl": "1m", "body": {%s}}}`,
	"prefetch":     `"caches": {"c": {"match": ["GET /c"], "ttl": "1m", "prefetch": {"parameter": "page", "more": "/more", %s}}}`,
	"invalidation": `"caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}, "invalidations": [{"name": "w", "match": ["POST /w"], "invalidate": ["c"], %s}]`,
	// A deadline is at least as long as settle.
	"invalidation settle":   `"caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}, "invalidations": [{"name": "w", "match": ["POST /w"], "invalidate": ["c"], "deadline": "60s", %s}]`,
	"invalidation deadline": `"caches": {"c": {"match": ["GET /c"], "ttl": "1m"}}, "invalidations": [{"name": "w", "match": ["POST /w"], "invalidate": ["c"], "settle": "1s", %s}]`,
}

// documentedField is a field as the package documentation describes it.
type documentedField struct{ kind, name, text string }

func documentedFields(t *testing.T) (list []documentedField) {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(file.Doc.Text(), "\n# ") {
		title, body, _ := strings.Cut(section, "\n")
		kind, ok := strings.CutPrefix(title, "Fields of ")
		if !ok {
			continue
		}
		for item := range strings.SplitSeq(body+"\n", "\n  - ") {
			if name, text, ok := strings.Cut(item, ": "); ok && !strings.Contains(name, " ") {
				text, _, _ = strings.Cut(text, "\n\n")
				list = append(list, documentedField{kind, name, strings.Join(strings.Fields(text), " ")})
			}
		}
	}
	return list
}

// parse reads a policy in which the field has the value, or isn't there where that is empty.
func (f documentedField) parse(t *testing.T, value string) (*Policy, Problems) {
	t.Helper()
	document := around[f.kind]
	if more, ok := around[f.kind+" "+f.name]; ok {
		document = more
	}
	member := `"name": "x"`
	if value != "" {
		member = strconv.Quote(f.name) + ": " + value
	}
	text := strings.Replace(document, "%s", member, 1)
	if value == "" {
		text = strings.Replace(strings.Replace(document, ", %s", "", 1), "%s", "", 1)
		text = strings.TrimPrefix(text, ", ")
	}
	text = `{"version": 1, "name": "x", "identity": [{"header": "authorization"}], ` + text
	if !strings.Contains(text, `"bridge":`) {
		text += `, "bridge": {"cluster": "b"}`
	}
	p, problems := Parse([]byte(text + "}"))
	for _, problem := range problems {
		if !strings.HasSuffix(problem.Path, "/"+f.name) {
			t.Fatalf("%s.%s: %v in %s", f.kind, f.name, problem, text)
		}
	}
	return p, problems
}

// TestDocumentedBounds: what the package documentation gives as bounds of a field is accepted, and nothing beyond.
func TestDocumentedBounds(t *testing.T) {
	tested := 0
	for _, f := range documentedFields(t) {
		bounds := regexp.MustCompile(`[,:] "?([0-9]+[a-zA-Z%]*)"? to "?([0-9]+[a-zA-Z%]*)"?[.,]`).FindStringSubmatch(", " + f.text)
		if bounds == nil || around[f.kind] == "" {
			continue
		}
		tested++
		refused := func(value string) bool {
			if strings.Trim(value, "0123456789") != "" {
				value = strconv.Quote(value)
			}
			_, problems := f.parse(t, value)
			return len(problems) > 0
		}
		if refused(bounds[1]) && f.name != "deadline" || refused(bounds[2]) {
			t.Errorf("%s.%s: documented are %s to %s, which is refused", f.kind, f.name, bounds[1], bounds[2])
		}
		if below := beside(t, bounds[1], -1); below != "" && !refused(below) {
			t.Errorf("%s.%s: documented is %s at least, but %s is accepted", f.kind, f.name, bounds[1], below)
		}
		if above := beside(t, bounds[2], 1); !refused(above) {
			t.Errorf("%s.%s: documented is %s at most, but %s is accepted", f.kind, f.name, bounds[2], above)
		}
	}
	if tested < 19 {
		t.Errorf("bounds of %d fields only: does the documentation look otherwise now?", tested)
	}
}

// TestDocumentedDefaults: a field with its documented default says what its absence says.
func TestDocumentedDefaults(t *testing.T) {
	tested := 0
	for _, f := range documentedFields(t) {
		found := regexp.MustCompile(`Default ("[^"]+"|[0-9]+|true|false|\["[^"]+"\])[.,]`).FindStringSubmatch(f.text)
		if found == nil || around[f.kind] == "" || strings.Contains(f.text, found[0]+` with "ttl"`) {
			continue
		}
		tested++
		without, problems := f.parse(t, "")
		with, more := f.parse(t, found[1])
		if len(problems)+len(more) > 0 {
			t.Errorf("%s.%s: %v %v", f.kind, f.name, problems, more)
		} else if a, b := exported(t, without), exported(t, with); a != b {
			t.Errorf("%s.%s: with its documented default %s the policy is another one:\n%s\n%s", f.kind, f.name, found[1], a, b)
		}
	}
	if tested < 20 {
		t.Errorf("defaults of %d fields only: does the documentation look otherwise now?", tested)
	}
}

// exported is everything that a policy shows.
func exported(t *testing.T, p *Policy) string {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// beside gives the value next to a bound: less where by is negative, or "" where there is none.
func beside(t *testing.T, bound string, by int) string {
	t.Helper()
	digits := strings.TrimRight(bound, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%")
	n, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatal(err)
	}
	unit := bound[len(digits):]
	if size, ok := ParseSize(bound); ok && unit != "" {
		n, unit = size, "B"
	} else if d, err := time.ParseDuration(bound); err == nil && unit != "" {
		n, unit = int(d/time.Millisecond), "ms"
	}
	if n+by < 0 {
		return ""
	}
	return strconv.Itoa(n+by) + unit
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
