package stack

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// ScratchValkey is a Redis server of one test alone, reached by a Unix socket.
type ScratchValkey struct {
	Socket string

	t    testing.TB
	args []string
	cmd  *exec.Cmd
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
	v.args = append([]string{binary, "--port", "0", "--unixsocket", v.Socket, "--dir", dir, "--save", "", "--io-threads", "1"}, more...)
	v.start()
	t.Cleanup(v.kill)
	return v
}

// Restart kills the server and starts it again with the data that it finds.
func (v *ScratchValkey) Restart() {
	v.t.Helper()
	v.kill()
	v.start()
}

// Pause stops the server from running: nothing answers until Resume.
func (v *ScratchValkey) Pause() { v.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (v *ScratchValkey) Resume() { v.signal(syscall.SIGCONT) }

func (v *ScratchValkey) signal(s syscall.Signal) {
	if err := v.cmd.Process.Signal(s); err != nil {
		v.t.Error(err)
	}
}

func (v *ScratchValkey) start() {
	v.t.Helper()
	v.cmd = exec.Command(v.args[0], v.args[1:]...)
	if err := v.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	c := redis.NewClient(&redis.Options{Addr: v.Socket, Network: "unix"})
	defer c.Close()
	WaitT(v.t, v.args[0]+" answers on its socket", func(ctx context.Context) error { return c.Ping(ctx).Err() })
}

func (v *ScratchValkey) kill() {
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
}
