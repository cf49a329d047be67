package gowasm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"

	"chatcache/gowasm"
	"chatcache/test/mesh"
)

// build compiles the package in a directory for WebAssembly, or natively.
func build(t testing.TB, dir string, wasm bool, arguments ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.Command("go", append(arguments, "-o", out, ".")...)
	cmd.Dir, cmd.Env = dir, os.Environ()
	if wasm {
		cmd.Env = append(cmd.Env, "GOOS=wasip1", "GOARCH=wasm")
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, text)
	}
	return out
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func optimized(t testing.TB, module []byte) []byte {
	t.Helper()
	out, _, err := gowasm.Optimize(module)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run runs a command in a directory as wazero does, and gives what it prints and its exit code.
func run(t testing.TB, module []byte, dir string, arguments ...string) (output string, code uint32) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	var out bytes.Buffer
	_, err := r.InstantiateWithConfig(ctx, module, wazero.NewModuleConfig().WithStdout(&out).WithStderr(&out).WithSysNanosleep().WithSysNanotime().WithSysWalltime().
		WithArgs(append([]string{"program"}, arguments...)...).WithEnv("PWD", dir).WithFSConfig(wazero.NewFSConfig().WithDirMount("/", "/")))
	var exit *sys.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.ExitCode()
	}
	return out.String(), code
}

// A program that has all of the language and the runtime in it does the same natively, as it is compiled and optimized: to the lines of a crash.
func TestProgram(t *testing.T) {
	const dir = "testdata/program"
	native, err := exec.Command(build(t, dir, false, "build")).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Fatalf("natively: %v, want exit code 7\n%s", err, native)
	}
	module := read(t, build(t, dir, true, "build"))
	first, err := mesh.HotFunctions()
	if err != nil {
		t.Fatal(err)
	}
	ordered, s, err := gowasm.Optimize(module, first...)
	if err != nil || s.First < 100 { // most of the runtime's
		t.Fatalf("%d functions in front, %v, want 100", s.First, err)
	}
	for name, module := range map[string][]byte{"as it is compiled": module, "optimized": optimized(t, module), "in another order": ordered} {
		if got, code := run(t, module, "/"); got != string(native) || code != 7 {
			t.Errorf("%s: exit code %d, %s", name, code, difference(got, string(native)))
		}
	}
}

// difference shows the first line that differs.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got " + g[i] + "\nwant " + w[i]
		}
	}
	return got[min(len(got), len(want)):] + " more than, or cut short of, what is wanted"
}

// What is compiled into the filter passes its own tests as an optimized module, too.
func TestOwnTests(t *testing.T) {
	for _, dir := range []string{"../../policy", "../../filter/internal/httpcache", "../../filter/internal/l1", "../../redisbridge/wire"} {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			module := optimized(t, read(t, build(t, dir, true, "test", "-c")))
			there, err := filepath.Abs(dir)
			if err != nil {
				t.Fatal(err)
			}
			if out, code := run(t, module, there, "-test.short"); code != 0 || !strings.HasSuffix(out, "PASS\n") {
				t.Errorf("exit code %d: %s", code, out[max(0, len(out)-4000):])
			}
		})
	}
}
