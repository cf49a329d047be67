package stack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ScratchValkey is a Redis server of one test alone, reached by a Unix socket. Its methods fail the test where they can't do
// what they say.
type ScratchValkey struct {
	Socket string

	t       testing.TB
	process *Process
}

// ScratchValkeyT starts a server with its data in a directory of its own, and with more
// arguments; it keeps nothing on disk unless they say so. Without a server the
// test is skipped with the reason; with CHATCACHE_REQUIRE=1 that is a failure.
func ScratchValkeyT(t testing.TB, more ...string) *ScratchValkey {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := ValkeyPath(root)
	Require(t, err)
	dir, err := os.MkdirTemp("", "vk") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	v := &ScratchValkey{Socket: filepath.Join(dir, "s"), t: t}
	args := append([]string{"--port", "0", "--unixsocket", v.Socket, "--dir", dir, "--save", "", "--io-threads", "1"}, more...)
	v.process = NewProcess("valkey", filepath.Join(dir, "valkey.log"),
		func(int) *exec.Cmd { return exec.Command(binary, args...) },
		func(ctx context.Context) error { return ping(ctx, "unix", v.Socket) })
	t.Cleanup(func() { v.check(v.process.Kill()) })
	v.check(v.process.Start(t.Context()))
	return v
}

// Restart kills the server and starts it again with the data that it finds.
func (v *ScratchValkey) Restart() {
	v.t.Helper()
	v.check(v.process.Restart(v.t.Context()))
}

// Pause stops the server from running: nothing answers until Resume.
func (v *ScratchValkey) Pause() {
	v.t.Helper()
	v.check(v.process.Pause())
}

// Resume undoes Pause.
func (v *ScratchValkey) Resume() {
	v.t.Helper()
	v.check(v.process.Resume())
}

func (v *ScratchValkey) check(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}
