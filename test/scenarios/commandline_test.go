package scenarios

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// TestCommandLine runs some of the files as the package's documentation shows,
// twice against one bridge: what it remembers of the first must not show.
func TestCommandLine(t *testing.T) {
	root, err := stack.Root()
	if err == nil {
		err = stack.Build(t.Context(), root, "build/chatcache.wasm", "build/redisbridge", "build/hostsim")
	}
	if err != nil {
		t.Fatal(err)
	}
	sim, err := stack.StartSimulator(t.Context(), stack.Options{Dir: t.TempDir(), BridgeArgs: []string{"--timeout", mesh.BridgePatience.String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	args := []string{"test", "--wasm", "build/chatcache.wasm", "--config", "envoy/chat.policy.json",
		"--env", "CHATCACHE_PARTITION_SECRET=sample-partition-secret", "--allow-on-headers-stop-iteration", "--normalize-path",
		"--cluster", "redis-bridge=" + sim.BridgeURL(), "--counters", "filter/counters.txt"}
	for _, pattern := range []string{"models-*", "path-*", "write-answered-50*", "write-rejected-*", "purge-*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no file %s (%v)", pattern, err)
		}
		for _, file := range files {
			args = append(args, "test/scenarios/"+file)
		}
	}
	for range 2 {
		cmd := exec.Command(filepath.Join(root, "build", "hostsim"), args...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range []string{
			"ok    test/scenarios/models-are-shared.scenario (6 steps)\n",
			"ok    test/scenarios/models-expire-after-3600s.scenario (2 steps; 4 left out, they need virtual time)\n",
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	}
}
