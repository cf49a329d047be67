package stack

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// bind makes a child that the kernel kills with its parent, and that a terminal's
// Ctrl-C doesn't reach: the parent stops its children in order.
func bind(child *syscall.SysProcAttr) {
	child.Pdeathsig, child.Setpgid = syscall.SIGKILL, true
}

type spawnRequest struct {
	cmd  *exec.Cmd
	done chan<- error
}

// spawner starts commands on one thread that lives as long as this process:
// Pdeathsig fires when the *thread* that forked ends, and Go may end any thread
// that isn't locked.
var spawner = sync.OnceValue(func() chan<- spawnRequest {
	requests := make(chan spawnRequest)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

func startOnLastingThread(cmd *exec.Cmd) error {
	done := make(chan error)
	spawner() <- spawnRequest{cmd, done}
	return <-done
}
