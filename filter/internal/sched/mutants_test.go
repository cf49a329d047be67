//go:build !wasip1

package sched

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"chatcache/test/mutant"
	"chatcache/test/stack"
)

// TestMutantsStillApply sees that each mutant's texts are in the product, and so that
// it would be tried.
func TestMutantsStillApply(t *testing.T) {
	for _, m := range mutant.Consistency {
		if _, err := m.Apply(); err != nil {
			t.Error(err)
		}
	}
}

// TestMutants runs the schedules on each broken product: they must break, too. It takes
// minutes.
func TestMutants(t *testing.T) {
	only := os.Getenv("CHATCACHE_MUTANTS")
	if only == "" {
		t.Skip("takes minutes: set CHATCACHE_MUTANTS=all, or to a mutant's name")
	}
	for _, m := range mutant.Consistency {
		if only == "all" || only == m.Name {
			t.Run(m.Name, func(t *testing.T) {
				if m.ModelOnly && only == "all" {
					t.Skip("the model shows it, schedules hardly ever do")
				}
				t.Logf("%-45s %s", m.Name, caught(t, m))
			})
		}
	}
}

var verdict = regexp.MustCompile(`broken by schedule \d+: [^\n]*`)

// caught runs the schedules on a mutant, and says what breaks.
func caught(t *testing.T, m mutant.Mutant) string {
	dir := t.TempDir()
	overlay, err := m.Overlay(dir)
	if err != nil {
		t.Fatal(err)
	}
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "sched.test")
	build := exec.Command("go", "test", "-overlay", overlay, "-c", "-o", binary, "./filter/internal/sched")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(binary, "-test.run", "^TestSchedules$", "-test.timeout", "20m")
	run.Dir = root
	run.Env = append(os.Environ(), "CHATCACHE_MUTANTS=", "CHATCACHE_FIRST_SEED=", "CHATCACHE_SCHEDULES=100000")
	for _, e := range m.Edits {
		if strings.HasSuffix(e.File, ".lua") { // package redisfake knows the real scripts alone
			run.Env = append(run.Env, "CHATCACHE_SCHEDULES_REDIS=miniredis", "CHATCACHE_SCHEDULES=5000")
		}
	}
	out, err := run.CombinedOutput()
	found := verdict.FindString(string(out))
	if err == nil || found == "" {
		t.Fatalf("not caught (%v):\n%s", err, out)
	}
	if os.Getenv("CHATCACHE_TRACES") != "" {
		found = fmt.Sprintf("%s\n%s", found, out)
	}
	return found
}
