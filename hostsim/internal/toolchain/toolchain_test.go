package toolchain

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestAMissingToolChainIsASkipOrAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		err               error
		alone, inMakeTest bool // skipped
	}{
		"it is there":                   {nil, false, false},
		"make toolchains has not run":   {ErrNotFetched, true, false},
		"nothing here could fetch it":   {ErrNotInstalled, true, true},
		"the module has a syntax error": {errors.New("exit status 1"), false, false},
	} {
		if got := skippable(c.err, false); got != c.alone {
			t.Errorf("%s: skipped is %v", name, got)
		}
		if got := skippable(c.err, true); got != c.inMakeTest {
			t.Errorf("%s: skipped with CHATCACHE_REQUIRE=1 is %v", name, got)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	t.Setenv("PATH", "")
	root, out := t.TempDir(), filepath.Join(t.TempDir(), "module.wasm")
	for name, c := range map[string]struct {
		compile compiler
		is      error
		want    string
	}{
		"C":              {c, ErrNotFetched, "no C compiler for WebAssembly: run `make toolchains`"},
		"AssemblyScript": {assemblyScript, ErrNotInstalled, "AssemblyScript needs Node.js with npm: not installed"},
		"Rust":           {rust, ErrNotInstalled, "no Rust with a standard library for WebAssembly (rustup target add wasm32-wasip1, then `make toolchains`): not installed"},
	} {
		_, err := c.compile(root, root, out)
		if !errors.Is(err, c.is) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}
