package mutant

import (
	"os/exec"
	"strings"
	"testing"

	"chatcache/test/stack"
)

func TestOverlayIsCompiledIn(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	m := Mutant{Name: "another name", Edits: []Edit{
		{"test/mutant/mutant.go", "// Edit replaces", "func init() { panic(\"the mutant runs\") }\n\n// Edit replaces"},
	}}
	overlay, err := m.Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-overlay", overlay, "-run", "TestTextThatIsThereTwice", "./test/mutant")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "the mutant runs") {
		t.Errorf("the overlay did nothing (%v):\n%s", err, out)
	}
}

func TestTextThatIsThereTwice(t *testing.T) {
	for old, want := range map[string]string{"no such " + "text": "found 0 times", "return": "want once"} {
		m := Mutant{Name: "m", Edits: []Edit{{"test/mutant/mutant.go", old, ""}}}
		if _, err := m.Apply(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error that says %q", old, err, want)
		}
	}
}
