//go:build !linux

package stack

import (
	"os/exec"
	"syscall"
)

// bind keeps a terminal's Ctrl-C from the child: the parent stops its children
// in order.
func bind(child *syscall.SysProcAttr) { child.Setpgid = true }

func startOnLastingThread(cmd *exec.Cmd) error { return cmd.Start() }
