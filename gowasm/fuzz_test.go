package gowasm

import (
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"
)

// Whatever the bytes are, there is an error or a module, and what is valid stays valid.
func FuzzOptimize(f *testing.F) {
	f.Add(testModule(f))
	f.Add(numbered("one", "two", "three", "four"))
	f.Add([]byte(header))
	f.Add(alone(assemble(f, "br_table 0 0\n end").code))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, first := range [][]string{nil, {"three", "two"}} {
			out, _, err := Optimize(in, first...)
			if err != nil {
				if !errors.Is(err, ErrModule) {
					t.Fatal(err)
				}
				continue
			}
			if valid(t, in) == nil {
				if err := valid(t, out); err != nil {
					t.Fatalf("%q first: what is made of a valid module isn't: %v", first, err)
				}
			}
		}
	})
}

func valid(t *testing.T, module []byte) error {
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	_, err := r.CompileModule(t.Context(), module)
	return err
}

// The module that the fuzzing begins with is valid, and what is made of it.
func TestValid(t *testing.T) {
	in := testModule(t)
	out, _, err := Optimize(in)
	if err != nil {
		t.Fatal(err)
	}
	for name, module := range map[string][]byte{"as it is": in, "optimized": out} {
		if err := valid(t, module); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
