package gowasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The tests of Go's own packages have the same outcomes in an optimized module as in one as it is compiled.
func TestStandardLibrary(t *testing.T) {
	if os.Getenv("CHATCACHE_LONG") == "" {
		t.Skip("takes six minutes: set CHATCACHE_LONG=1")
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := 0
	for _, name := range strings.Fields(`strings bytes sort strconv regexp encoding/json math/big fmt reflect text/template sync context
		internal/runtime/maps math crypto/sha256 slices container/heap bufio io errors compress/flate go/parser`) {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(strings.TrimSpace(string(root)), "src", filepath.FromSlash(name))
			module := read(t, build(t, dir, true, "test", "-c"))
			plain, plainCode := run(t, module, dir, "-test.short", "-test.v")
			faster, code := run(t, optimized(t, module), dir, "-test.short", "-test.v")
			want, got := outcomes(plain), outcomes(faster)
			if code != plainCode || !slices.Equal(got, want) {
				t.Errorf("exit code %d and %d outcomes, as it is compiled %d and %d", code, len(got), plainCode, len(want))
			}
			tests += len(got)
		})
	}
	t.Logf("%d tests", tests)
}

// outcomes are the lines of `go test -v` that say what has become of each test, without how long it took.
func outcomes(output string) (list []string) {
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "--- ") {
			outcome, _, _ := strings.Cut(line, " (")
			list = append(list, outcome)
		}
	}
	slices.Sort(list)
	return list
}
