package e2e

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// Which packages may reach which. What is compiled into the filter stays small and pure:
// each of the forbidden packages costs 0.3 to 3 MB of wasm.
func TestDependencies(t *testing.T) {
	heavy := []string{"net", "net/http", "net/url", "encoding/json", "regexp", "log/slog"}
	for _, rule := range []struct {
		pattern string
		wasm    bool
		never   []string
	}{
		{"./filter/...", true, append([]string{"github.com/redis/", "github.com/tetratelabs/wazero"}, heavy...)},
		{"./policy", true, append([]string{"github.com/proxy-wasm/"}, heavy...)},
		{"./redisbridge/wire", true, append([]string{"github.com/"}, heavy...)},
		{"./filter/internal/...", true, []string{"github.com/proxy-wasm/"}},
		{"./hostsim", false, []string{"chatcache/filter", "chatcache/policy", "chatcache/redisbridge"}},
		{"./gowasm/...", false, []string{"chatcache/filter", "chatcache/policy", "chatcache/redisbridge", "chatcache/hostsim", "github.com/"}},
		{"./redisbridge", false, []string{"chatcache/filter", "chatcache/hostsim", "github.com/proxy-wasm/"}},
	} {
		for _, reached := range dependencies(t, rule.pattern, rule.wasm) {
			if slices.ContainsFunc(rule.never, func(never string) bool {
				return reached == never || strings.HasSuffix(never, "/") && strings.HasPrefix(reached, never) ||
					strings.HasPrefix(reached, never+"/") && strings.HasPrefix(never, "chatcache/")
			}) {
				t.Errorf("%s reaches %s", rule.pattern, reached)
			}
		}
	}
}

// dependencies lists everything that the packages import, directly or not.
func dependencies(t *testing.T, pattern string, wasm bool) []string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", pattern)
	cmd.Dir, cmd.Env, cmd.Stderr = root, os.Environ(), os.Stderr
	if wasm {
		cmd.Env = append(cmd.Env, "GOOS=wasip1", "GOARCH=wasm")
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pattern, err)
	}
	return strings.Fields(string(out))
}
