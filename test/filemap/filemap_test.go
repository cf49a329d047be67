package filemap

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	const doc = "Package p is one.\n\n# Files\n\nWhat is what:\n\n\ta, b  the beginning\n\tb     again\n\tgone  the end\n\n# More\n\n\tc  isn't of the map\n"
	got := compare(doc, []string{"a.go", "b.go", "c.go"})
	slices.Sort(got)
	want := []string{
		"doc.go names b.go 2 times under # Files, want once",
		"doc.go names c.go 0 times under # Files, want once",
		"doc.go names gone.go, which isn't there",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
