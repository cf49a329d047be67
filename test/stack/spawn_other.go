//go:build !linux

package stack

import (
	"os/exec"
	"syscall"
)

// childAttributes keeps a terminal's Ctrl-C from the child: the parent stops
// its children in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

func startOnLastingThread(cmd *exec.Cmd) error { return cmd.Start() }
