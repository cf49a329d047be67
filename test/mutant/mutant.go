// Package mutant breaks the product for a test, without a switch in it: a mutant is
// a small change of text that `go build -overlay` or `go test -overlay` compiles
// in place of the real files, embedded scripts included.
package mutant

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"chatcache/test/stack"
)

// Mutant is a broken product.
type Mutant struct {
	Name  string
	Edits []Edit
	// ModelOnly: package test/model shows it, and a hundred thousand random schedules don't. It takes two
	// polls in a row that are late, with a raise and a read at the right moments between.
	ModelOnly bool
}

// Edit replaces a text that stands exactly once in a file.
type Edit struct {
	File     string // from the repository's root on, with slashes
	Old, New string
}

// Apply gives the files that a mutant changes, by their names from the root on. It
// is an error if an edit's text isn't there exactly once: then the product has moved
// on, and the mutant has to follow.
func (m Mutant) Apply() (map[string]string, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	changed := map[string]string{}
	for _, e := range m.Edits {
		text, ok := changed[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
			if err != nil {
				return nil, fmt.Errorf("mutant %q: %w", m.Name, err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			return nil, fmt.Errorf("mutant %q: %s: found %d times, want once: %q", m.Name, e.File, n, e.Old)
		}
		changed[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return changed, nil
}

// Overlay writes the changed files into dir, and gives the name of the file that the
// flag -overlay of the go command takes.
func (m Mutant) Overlay(dir string) (string, error) {
	root, err := stack.Root()
	if err != nil {
		return "", err
	}
	changed, err := m.Apply()
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range changed {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(file))] = path
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o600)
}
