package hostsim

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tableOf are the names in the first column of a section's table, and those
// that the second column says yes to.
func tableOf(t *testing.T, section string) (all, yes []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (yes|no) \\|").FindAllStringSubmatch(rest, -1) {
		all = append(all, m[1])
		if m[2] == "yes" {
			yes = append(yes, m[1])
		}
	}
	return all, yes
}

func TestTheReadmesHostCallsAreTheCodes(t *testing.T) {
	all, yes := tableOf(t, "Host calls")
	var want []string
	for _, h := range hostcalls {
		want = append(want, h.name)
	}
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		t.Errorf("README.md lists %v\nthe code has %v", all, want)
	}
	for _, h := range hostcalls {
		if simulated := !strings.HasPrefix(h.name, "proxy_grpc_"); simulated != slices.Contains(yes, h.name) {
			t.Errorf("%s: simulated is %v, README.md says otherwise", h.name, simulated)
		}
	}
}

func TestTheReadmesCallbacksAreTheCodes(t *testing.T) {
	_, yes := tableOf(t, "Callbacks")
	files, _ := filepath.Glob("*.go")
	made := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`"(proxy_on_\w+)"`).FindAllStringSubmatch(string(text), -1) {
			made[m[1]] = true
		}
	}
	want := slices.Sorted(maps.Keys(made))
	slices.Sort(yes)
	if !slices.Equal(yes, want) {
		t.Errorf("README.md says yes to %v\nthe code calls %v", yes, want)
	}
}
