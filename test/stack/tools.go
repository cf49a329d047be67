package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// ErrNoTool says that Envoy or a Redis server is not there.
var ErrNoTool = errors.New("program not found")

// Root gives the repository's root directory: the nearest one above the working
// directory that holds chatcache's go.mod.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module chatcache\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod of module chatcache in %s or above it", start)
		}
	}
}

// EnvoyPath gives the Envoy to run, or an error that wraps [ErrNoTool].
func EnvoyPath(root string) (string, error) { return toolPath(root, "ENVOY", "envoy") }

// ValkeyPath gives the Redis server to run, or an error that wraps [ErrNoTool].
func ValkeyPath(root string) (string, error) { return toolPath(root, "VALKEY", "valkey-server") }

func toolPath(root, variable, name string) (string, error) {
	path := os.Getenv(variable)
	if path == "" {
		path = filepath.Join(root, ".tools", name)
	}
	if path, err := exec.LookPath(path); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: %s is not an executable file: run `make tools`, or name yours with %s=", ErrNoTool, path, variable)
}

// Build runs `make` for the named targets ("build/chatcache.wasm"). Processes
// that build at the same time wait for each other.
func Build(ctx context.Context, root string, targets ...string) error {
	if err := os.MkdirAll(filepath.Join(root, "build"), 0o755); err != nil {
		return err
	}
	lock, err := os.Create(filepath.Join(root, "build", ".lock"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	cmd := exec.CommandContext(ctx, "make", append([]string{"--silent"}, targets...)...)
	cmd.Dir = root
	// A make that runs this process has options of its own.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=")
	})
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s (%s/%s): %w\n%s", strings.Join(targets, " "), runtime.GOOS, runtime.GOARCH, err, out)
	}
	return nil
}
