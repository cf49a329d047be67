package mesh_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chatcache/hostsim"
	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// TestHotFunctions tells whether the list of functions that come first in the module still has those that a request calls, a few apart. With
// CHATCACHE_HOT=1 (make hot) it writes the list: of a request without a rule, a hit in L1, a miss with its fill and a hit in Redis, in the order in which they are called.
func TestHotFunctions(t *testing.T) {
	var called []string
	sim := onWasm(t, mesh.FilterModuleWithNames, func(function string) { called = append(called, function) })
	ask := func(path string) (functions []string) {
		called = nil
		sim.Do(1, hostsim.Get(path, "authorization", "Bearer ann"))
		sim.Settle()
		for _, name := range called {
			// ".name", the module having none; calls of the host's and of what has no name have other forms.
			if name, ok := strings.CutPrefix(name, "."); ok && !strings.HasPrefix(name, "$") {
				functions = with(functions, name)
			}
		}
		return functions
	}
	ask("/stats/1/1")
	byRedis := ask("/stats/1/1") // the VM wasn't registered when it was stored
	hit, noRule := ask("/stats/1/1"), ask("/elsewhere")
	ask("/stats/1/2")
	miss := ask("/stats/1/3")
	if os.Getenv("CHATCACHE_HOT") != "" {
		write(t, with(nil, slices.Concat(noRule, hit, miss, byRedis)...))
	}
	names, err := mesh.HotFunctions()
	if err != nil {
		t.Fatal(err)
	}
	for of, functions := range map[string][]string{"a hit in L1": hit, "a request without a rule": noRule, "a miss": miss, "a hit in Redis": byRedis} {
		missing := slices.DeleteFunc(slices.Clone(functions), func(name string) bool { return slices.Contains(names, name) })
		if len(functions) < 40 || len(missing) > len(functions)/10 {
			t.Errorf("%s calls %d functions, of which %s hasn't %d; `make hot` writes it anew: %q", of, len(functions), mesh.HotFile, len(missing), missing)
		}
	}
}

// with gives the names and those of more that aren't among them.
func with(names []string, more ...string) []string {
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func write(t *testing.T, names []string) {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	text := "# The functions of the module that requests call, which package gowasm puts in front of the others. `make hot` writes this.\n" + strings.Join(names, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(root, mesh.HotFile), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
