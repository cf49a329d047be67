package linear

import (
	"os"
	"testing"
)

// report fails the test with a violation and says where its files are.
func report(t *testing.T, seed uint64, v *Violation, h *History) {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("CHATCACHE_OUT"), "linear-")
	if err != nil {
		t.Fatal(err)
	}
	picture, history, err := v.Save(dir, h)
	t.Errorf("seed %d: %v\npicture: %s\nhistory: %s", seed, v, picture, history)
	if err != nil {
		t.Error(err)
	}
}
