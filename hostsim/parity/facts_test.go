package parity_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFacts holds FACTS.md to the cases: each that it names exists.
func TestFacts(t *testing.T) {
	known := map[string]bool{}
	for _, c := range allCases() {
		if known[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		known[c.name] = true
	}
	for _, c := range sharingCases {
		known[c.name] = true
	}
	files, _ := filepath.Glob("*_test.go")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			known[string(m[1])] = true
		}
	}
	text, err := os.ReadFile("FACTS.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		shown := strings.TrimSpace(cells[len(cells)-1])
		if len(cells) < 2 || shown == "shown by" {
			continue
		}
		rows++
		for name := range strings.SplitSeq(shown, "; ") {
			if !known[name] {
				t.Errorf("FACTS.md names %q; there is no such case or test", name)
			}
		}
	}
	if rows < 60 {
		t.Errorf("FACTS.md has %d facts, want at least 60", rows)
	}
}
