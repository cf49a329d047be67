package e2e

import (
	"maps"
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

// namedIn collects what a pattern's first group finds in files of the filter's packages.
func namedIn(t *testing.T, file, pattern string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(document(t, filepath.FromSlash(file)), -1) {
		found[m[1]] = true
	}
	if len(found) == 0 {
		t.Fatalf("nothing in %s looks like %s", file, pattern)
	}
	return found
}

// reasons are those that the filter has.
func reasons(t *testing.T) map[string]bool {
	t.Helper()
	list := namedIn(t, "filter/internal/exchange/status.go", `httpcache\.Reason += "([a-z0-9-]+)"`)
	maps.Copy(list, namedIn(t, "filter/internal/httpcache/storable.go", `Reason += "([a-z0-9-]+)"`))
	return list
}

// Pages that the README leads to.
var (
	statusPage  = []string{"redisbridge", "CACHE-STATUS.md"}
	metricsPage = []string{"envoy", "monitoring", "README.md"}
)

// CACHE-STATUS.md explains every reason that the filter has, and no other; those of metrics alone
// stand with these.
func TestReadmeNamesTheReasons(t *testing.T) {
	page, known := document(t, statusPage...), reasons(t)
	for reason := range known {
		if !strings.Contains(page+document(t, metricsPage...), "`"+reason+"`") {
			t.Errorf("no page names the reason %s", reason)
		}
	}
	section, _, _ := strings.Cut(page, "\nAccess logs have")
	explained := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (?:… |[^|]*detail=…`: |`detail=…`: )((?:`[a-z-]+`(?:, )?)+)").FindAllStringSubmatch(section, -1) {
		for _, word := range regexp.MustCompile("`([a-z-]+)`").FindAllStringSubmatch(row[1], -1) {
			if explained++; !known[word[1]] {
				t.Errorf("CACHE-STATUS.md explains the reason %s, which the filter doesn't have", word[1])
			}
		}
	}
	for _, m := range regexp.MustCompile("detail=([a-z-]{3,})[`;]").FindAllStringSubmatch(section, -1) {
		if !known[m[1]] {
			t.Errorf("CACHE-STATUS.md has detail=%s, which the filter doesn't say", m[1])
		}
	}
	if explained < len(known)-5 { // upload-failed, incomplete and those of single rows stand elsewhere
		t.Errorf("CACHE-STATUS.md's table has %d reasons, the filter %d: does the table look otherwise now?", explained, len(known))
	}
}

// envoy/monitoring/README.md names every metric of the filter, and no other.
func TestReadmeNamesTheFiltersMetrics(t *testing.T) {
	const file = "filter/internal/exchange/metrics.go"
	want := namedIn(t, file, `"chatcache\.([a-z0-9_]+)"`)
	maps.Copy(want, namedIn(t, file, ` of\("(?:tier\.l.\.)?([a-z_]+)"\)`))
	maps.Copy(want, namedIn(t, file, `newByReason\(prefix, "\.([a-z]+)"\)`))
	got := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`chatcache_[^|]+)\\|").FindAllStringSubmatch(document(t, metricsPage...), -1) {
		for _, m := range regexp.MustCompile("`chatcache_([a-z0-9_]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.HasPrefix(m[1], "bridge_") {
				got[m[1]] = true
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the filter's metrics (-), and envoy/monitoring/README.md's (+):\n%s", diff)
	}
}

// filter/counters.txt has every counter that the filter may define, for scenarios: with UPDATE=1 it is written anew.
func TestCountersAreListed(t *testing.T) {
	const metrics = "filter/internal/exchange/metrics.go"
	counters := namedIn(t, metrics, `"(chatcache\.[a-z0-9_]+)"`)
	for gauge := range namedIn(t, metrics, `"(chatcache\.[a-z0-9_]+)" +// gauge`) {
		delete(counters, gauge)
	}
	of := namedIn(t, metrics, ` of\("((?:tier\.l.\.)?[a-z_]+)"\)`)
	delete(of, "latency_us") // a histogram
	for name := range of {
		counters["chatcache.cache.*."+name] = true
	}
	for kind := range namedIn(t, metrics, `newByReason\(prefix, "\.([a-z]+)"\)`) {
		for reason := range reasons(t) {
			counters["chatcache.cache.*.reason."+reason+"."+kind] = true
		}
	}
	want := "# The counters that the filter may define, * being a cache: for `hostsim test --counters`. `UPDATE=1 go test -run Listed ./test/e2e` writes it.\n" +
		strings.Join(slices.Sorted(maps.Keys(counters)), "\n") + "\n"
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "filter", "counters.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, document(t, "filter", "counters.txt")); diff != "" {
		t.Errorf("the filter's counters (-), and filter/counters.txt's (+):\n%s", diff)
	}
}

// CACHE-STATUS.md names everything that access logs show, and nothing else.
func TestReadmeNamesWhatAccessLogsShow(t *testing.T) {
	_, text, _ := strings.Cut(document(t, statusPage...), "the name of the cache or the invalidation and, behind a space, ")
	text, _, _ = strings.Cut(text, "\n\n")
	got := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9:-]+)…?`").FindAllStringSubmatch(text, -1) {
		got[m[1]] = true
	}
	want := namedIn(t, "filter/internal/exchange/accesslog.go", `(?m)^\tresult\w+ += "([a-z0-9:]+)"(?: |$)`)
	delete(want, "write:") // with its two reasons:
	want["write:invalidation-pending"], want["write:no-identity"] = true, true
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what access logs show (-), and CACHE-STATUS.md (+):\n%s", diff)
	}
}

// envoy/monitoring/README.md names every metric of the bridge with its labels, and no other: as its golden
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
	for _, row := range regexp.MustCompile("(?m)^\\| (`chatcache_bridge_[^|]+)\\| ([^|]*)\\|").FindAllStringSubmatch(document(t, metricsPage...), -1) {
		labels := regexp.MustCompile("[a-z]+").FindAllString(row[2], -1)
		slices.Sort(labels)
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			readme[name[1]] = strings.Join(labels, " ")
		}
	}
	if diff := cmp.Diff(golden, readme); diff != "" {
		t.Errorf("the bridge's metrics and their labels (-), and envoy/monitoring/README.md's (+):\n%s", diff)
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
