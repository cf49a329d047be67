// Package toolchain builds the modules under hostsim/internal/testdata for
// tests, each with the tool chain of its language. What the machine has not
// got is fetched by `make toolchains`, or the test is skipped with the reason.
package toolchain

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var (
	// ErrNotFetched says that `make toolchains` has to run first.
	ErrNotFetched = errors.New("run `make toolchains`")
	// ErrNotInstalled says that the machine lacks what nothing here can fetch.
	ErrNotInstalled = errors.New("not installed")
)

// Module gives the bytes of the module in a folder of hostsim/internal/testdata
// ("probe", "sample/c"), built once a process. Without its tool chain the test is
// skipped; where CHATCACHE_REQUIRE=1 and `make toolchains` would bring it, it fails.
func Module(t testing.TB, name string) []byte {
	t.Helper()
	build, _ := built.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) { return build(name) }))
	code, err := build.(func() ([]byte, error))()
	if skippable(err, os.Getenv("CHATCACHE_REQUIRE") == "1") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// skippable reports whether a test that can't have its module is skipped, or else fails.
func skippable(err error, require bool) bool {
	return errors.Is(err, ErrNotInstalled) || errors.Is(err, ErrNotFetched) && !require
}

var built sync.Map // name → func() ([]byte, error)

// A compiler makes the module out of a folder's sources.
type compiler func(root, dir, out string) (*exec.Cmd, error)

// compilers by the file that is in the folder of each language.
var compilers = map[string]compiler{
	"main.go":    golang,
	"index.ts":   assemblyScript,
	"filter.c":   c,
	"Cargo.toml": rust,
}

func build(name string) ([]byte, error) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the repository: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(gomod)))
	dir := filepath.Join(root, "hostsim/internal/testdata", filepath.FromSlash(name))
	work, err := os.MkdirTemp("", "toolchain")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	for file, compile := range compilers {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			continue
		}
		out := filepath.Join(work, "module.wasm")
		cmd, err := compile(root, dir, out)
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", name, err)
		}
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s: %w\n%s\n%s", name, err, cmd, text)
		}
		return os.ReadFile(out)
	}
	return nil, fmt.Errorf("building %s: %s has no source of a known language", name, dir)
}

func golang(_, dir, out string) (*exec.Cmd, error) {
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", out, ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	return cmd, nil
}

// c compiles with the clang and the WASI libc of Zig.
func c(root, dir, out string) (*exec.Cmd, error) {
	zig := filepath.Join(root, ".tools", "zig", "ziglang", "zig")
	if _, err := os.Stat(zig); err != nil {
		return nil, fmt.Errorf("no C compiler for WebAssembly: %w", ErrNotFetched)
	}
	cmd := exec.Command(zig, "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-Wl,--export=malloc",
		"-O1", "-s", "-Wall", "-Werror", "-o", out, "filter.c")
	cache := filepath.Join(root, ".tools", "zig-cache")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "ZIG_GLOBAL_CACHE_DIR="+cache, "ZIG_LOCAL_CACHE_DIR="+cache)
	return cmd, nil
}

func assemblyScript(root, dir, out string) (*exec.Cmd, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("AssemblyScript needs Node.js with npm: %w", ErrNotInstalled)
	}
	packages := filepath.Join(root, ".tools", "assemblyscript", "node_modules")
	asc := filepath.Join(packages, "assemblyscript", "bin", "asc")
	if _, err := os.Stat(asc); err != nil {
		return nil, fmt.Errorf("no AssemblyScript compiler: %w", ErrNotFetched)
	}
	cmd := exec.Command(node, asc, "index.ts", "--path", packages, "-b", out, "--use", "abort=abort_proc_exit")
	cmd.Dir = dir
	return cmd, nil
}

// rust builds with the Rust that `make toolchains` found, or installed, and with the crates that it fetched.
func rust(root, dir, out string) (*exec.Cmd, error) {
	tools := filepath.Join(root, ".tools", "rust")
	rustc, cargo := filepath.Join(tools, "rustc"), filepath.Join(tools, "cargo")
	target, ok := rustTarget(rustc)
	if !ok {
		return nil, fmt.Errorf("no Rust with a standard library for WebAssembly (rustup target add wasm32-wasip1, then `make toolchains`): %w", ErrNotInstalled)
	}
	built := filepath.Join(tools, "target") // kept: the crates are compiled once
	cmd := exec.Command("sh", "-c", `"$0" build --quiet --release --locked --offline --target "$1" && cp "$2/$1/release/sample.wasm" "$3"`, cargo, target, built, out)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "RUSTC="+rustc, "CARGO_HOME="+filepath.Join(tools, "home"), "CARGO_TARGET_DIR="+built,
		"RUSTC_BOOTSTRAP=1", "CARGO_UNSTABLE_SPARSE_REGISTRY=true") // as the crates were fetched
	return cmd, nil
}

// rustTarget is WASI's name in the standard library that a rustc has, which Rust 1.78 has changed.
func rustTarget(rustc string) (string, bool) {
	for _, target := range []string{"wasm32-wasip1", "wasm32-wasi"} {
		lib, err := exec.Command(rustc, "--print", "target-libdir", "--target", target).Output()
		if err != nil {
			continue
		}
		if _, err := os.Stat(strings.TrimSpace(string(lib))); err == nil {
			return target, true
		}
	}
	return "", false
}
