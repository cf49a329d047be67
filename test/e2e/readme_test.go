package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chatcache/policy"
	"chatcache/test/stack"
)

// document reads a file of the repository.
func document(t *testing.T, path ...string) string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The README names every reason and every metric that the filter has, and no other.
func TestReadmeNamesReasonsAndMetrics(t *testing.T) {
	readme := document(t, "README.md")
	for _, source := range []struct{ file, pattern string }{
		{"filter/internal/exchange/status.go", `httpcache\.Reason += "([a-z0-9-]+)"`},
		{"filter/internal/httpcache/storable.go", `Reason += "([a-z0-9-]+)"`},
		{"filter/internal/exchange/metrics.go", `"chatcache\.([a-z0-9_]+)"`},
		{"filter/internal/exchange/metrics.go", `prefix \+ "(?:tier\.l.\.)?([a-z_]+)"`},
	} {
		found := regexp.MustCompile(source.pattern).FindAllStringSubmatch(document(t, filepath.FromSlash(source.file)), -1)
		if len(found) == 0 {
			t.Fatalf("nothing in %s looks like %s", source.file, source.pattern)
		}
		for _, m := range found {
			if !strings.Contains(readme, "`"+m[1]+"`") && !strings.Contains(readme, "`chatcache_"+m[1]+"`") {
				t.Errorf("README.md doesn't name %s (%s)", m[1], source.file)
			}
		}
	}
	metrics := document(t, "filter", "internal", "exchange", "metrics.go")
	for _, m := range regexp.MustCompile("`chatcache_([a-z0-9_]+)`").FindAllStringSubmatch(readme, -1) {
		if !strings.HasPrefix(m[1], "bridge_") && !strings.Contains(metrics, m[1]) {
			t.Errorf("README.md names the metric %s, which the filter doesn't have", m[0])
		}
	}
}

// The README names every metric of the bridge with its labels, and no other: as its golden
// answer has them, which the bridge's own test compares with the code.
func TestReadmeNamesTheBridgesMetrics(t *testing.T) {
	golden := map[string]string{}
	text := document(t, "redisbridge", "testdata", "metrics.txt")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		golden[m[1]] = ""
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)\{([^}]+)\}`).FindAllStringSubmatch(text, -1) {
		if _, ok := golden[m[1]]; ok { // not a bucket of a histogram
			golden[m[1]] = strings.ReplaceAll(strings.Join(regexp.MustCompile(`[a-z]+=`).FindAllString(m[2], -1), " "), "=", "")
		}
	}
	readme := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`chatcache_bridge_[^|]+)\\| ([^|]*)\\|").FindAllStringSubmatch(document(t, "README.md"), -1) {
		labels := regexp.MustCompile("[a-z]+").FindAllString(row[2], -1)
		slices.Sort(labels)
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			readme[name[1]] = strings.Join(labels, " ")
		}
	}
	if diff := cmp.Diff(golden, readme); diff != "" {
		t.Errorf("the bridge's metrics and their labels (-), and README.md's (+):\n%s", diff)
	}
}

func TestReadmePolicyIsOne(t *testing.T) {
	_, rest, _ := strings.Cut(document(t, "README.md"), "```json\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("README.md has no policy")
	}
	if _, problems := policy.Parse([]byte(example)); len(problems) > 0 {
		t.Error(problems)
	}
}

// The tests that the README names exist.
func TestReadmeNamesRealTests(t *testing.T) {
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", filepath.Join("..", "mesh", "*_test.go"), filepath.Join("..", "failover", "*_test.go"), filepath.Join("..", "..", "policy", "*_test.go")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)(?:…)?`").FindAllStringSubmatch(document(t, "README.md"), -1) {
		if !strings.Contains(tests.String(), "func "+m[1]) {
			t.Errorf("README.md names %s, which doesn't exist", m[1])
		}
	}
}
