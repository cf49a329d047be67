package stack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chatcache/test/stack"
)

var update = flag.Bool("update", false, "put envoy/chat.policy.json into envoy/envoy.yaml")

// The policy stands in envoy.yaml as a text, for Envoy reads it from nowhere else.
func TestShippedConfigurationHoldsTheChatPolicy(t *testing.T) {
	root := repositoryRoot(t)
	path := filepath.Join(root, "envoy", "envoy.yaml")
	shipped, policy := readFile(t, path), readFile(t, filepath.Join(root, "envoy", "chat.policy.json"))
	if *update {
		shipped = withPolicy(t, shipped, policy)
		if err := os.WriteFile(path, shipped, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := stack.ShippedPolicy(shipped)
	if err != nil {
		t.Fatal(err)
	}
	if !sameJSON(t, held, policy) {
		t.Error("envoy/envoy.yaml holds another policy than envoy/chat.policy.json;\n" +
			"run: go test ./test/stack -run TestShippedConfigurationHoldsTheChatPolicy -update")
	}
}

// withPolicy replaces the lines of the block "value: |" by the policy.
func withPolicy(t *testing.T, shipped, policy []byte) []byte {
	const opening = "                  value: |\n"
	const indent = "                    "
	before, after, ok := bytes.Cut(shipped, []byte(opening))
	if !ok {
		t.Fatalf("envoy.yaml has no line %q", opening)
	}
	for bytes.HasPrefix(after, []byte(indent)) {
		_, after, _ = bytes.Cut(after, []byte("\n"))
	}
	block := indent + strings.ReplaceAll(strings.TrimSpace(string(policy)), "\n", "\n"+indent) + "\n"
	return []byte(string(before) + opening + block + string(after))
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func TestEnvoyAcceptsTheShippedConfiguration(t *testing.T) {
	stack.RequireT(t)
	root := repositoryRoot(t)
	if err := stack.Build(t.Context(), root, "build/chatcache.wasm"); err != nil {
		t.Fatal(err)
	}
	validate(t, root, readFile(t, filepath.Join(root, "envoy", "envoy.yaml")))
}

func repositoryRoot(t *testing.T) string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
