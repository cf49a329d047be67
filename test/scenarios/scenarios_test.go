package scenarios

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chatcache/hostsim/scenario"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// load reads every scenario of this folder and of rfc9111.
func load(t *testing.T) []*scenario.Scenario {
	t.Helper()
	files, err := filepath.Glob("*.scenario")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("rfc9111/*.scenario")
	if err != nil || len(more) == 0 {
		t.Fatalf("no scenario in rfc9111: %v", err)
	}
	files = append(files, more...)
	documented, err := os.ReadFile("doc.go")
	if want := fmt.Sprintf(" %d files here", len(files)); err != nil || !strings.Contains(string(documented), want) {
		t.Errorf("the package's documentation doesn't say%q (%v)", want, err)
	}
	list, err := os.ReadFile("../../filter/counters.txt")
	if err != nil {
		t.Fatal(err)
	}
	counters := scenario.Counters(string(list), bothPolicies(t))
	var all []*scenario.Scenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := scenario.Parse(file, string(text))
		if err != nil {
			t.Fatal(err)
		}
		s.Counters = counters
		all = append(all, s)
	}
	return all
}

var protocols = []struct {
	name  string
	http2 bool
}{{"http1", false}, {"http2", true}}

func TestOnTheSimulator(t *testing.T) {
	for _, s := range load(t) {
		for _, p := range protocols {
			t.Run(name(s)+"/"+p.name, func(t *testing.T) { simulateOnce(t, s, p.http2) })
		}
	}
}

// bothPolicies is the chat policy with the caches, rules and group_headers of rfc9111/policy.json.
func bothPolicies(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("rfc9111/policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var more map[string]any
	if err := json.Unmarshal(text, &more); err != nil {
		t.Fatal(err)
	}
	return mesh.ChatPolicy(t, func(document map[string]any) {
		document["group_headers"] = more["group_headers"]
		document["stream_above"] = more["stream_above"]
		maps.Copy(document["caches"].(map[string]any), more["caches"].(map[string]any))
		document["invalidations"] = append(document["invalidations"].([]any), more["invalidations"].([]any)...)
	})
}

// TestSimulatorAndEnvoyAgree needs Envoy and Valkey.
func TestSimulatorAndEnvoyAgree(t *testing.T) {
	stack.RequireT(t)
	envoy := startReal(t)
	left, partly := 0, 0
	for _, whole := range load(t) {
		s, rest := whole.Real()
		left += rest
		if rest > 0 {
			partly++
		}
		for _, p := range protocols {
			t.Run(name(s)+"/"+p.name, func(t *testing.T) {
				got := run(t, envoy, s, p.http2)
				want := simulateOnce(t, s, p.http2)
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("Envoy (-) and the simulator (+) differ:\n%s", diff)
				}
			})
		}
	}
	t.Logf("%d steps of %d files need virtual time and ran on the simulator only", left, partly)
}

// outcomes are those on the simulator, by file, protocol and number of steps.
var outcomes = map[string]outcome{}

// simulateOnce runs a scenario on the simulator if it hasn't run yet.
func simulateOnce(t *testing.T, s *scenario.Scenario, http2 bool) outcome {
	t.Helper()
	key := fmt.Sprint(s.Name, len(s.Steps), http2)
	o, ok := outcomes[key]
	if !ok {
		o = simulate(t, s, http2)
		outcomes[key] = o
	}
	return o
}

func name(s *scenario.Scenario) string { return strings.TrimSuffix(s.Name, ".scenario") }
