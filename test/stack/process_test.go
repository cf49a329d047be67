package stack

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/test/loopback"
)

// script makes a process of a shell script; it can serve once the file "ready" is there.
func script(t *testing.T, text string) (*Process, <-chan *Process) {
	t.Helper()
	dir := t.TempDir()
	died := make(chan *Process, 1)
	p := &Process{
		Name: "script", Log: filepath.Join(dir, "script.log"), died: died,
		command: func(start int) *exec.Cmd {
			cmd := exec.Command("sh", "-c", text)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "START="+strconv.Itoa(start))
			return cmd
		},
		probe: func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, "ready"))
			return err
		},
	}
	t.Cleanup(func() { p.Kill() })
	return p, died
}

func TestProcessStartsStopsAndStartsAgain(t *testing.T) {
	p, died := script(t, `trap 'rm ready; echo ended $START; exit 0' TERM; echo began $START; touch ready; while :; do sleep 0.01; done`)
	for range 2 {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.LogTail(10), "began 0\nended 0\nbegan 1\nended 1"; got != want {
		t.Errorf("log:\n%s", got)
	}
	if len(died) > 0 {
		t.Error("a stopped process is said to have died")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stopping what doesn't run: %v", err)
	}
}

func TestProcessThatRunsIsNotStartedTwice(t *testing.T) {
	p, _ := script(t, `touch ready; exec sleep 60`)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err == nil || err.Error() != "script: runs already" {
		t.Errorf("second start: %v", err)
	}
}

func TestProcessThatEndsWhileItStarts(t *testing.T) {
	p, _ := script(t, `echo no memory; exit 3`)
	err := p.Start(t.Context())
	want := "script: process ended while it started: exit status 3; its log says:\nno memory"
	if !errors.Is(err, ErrExited) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestProcessThatIsNeverReady(t *testing.T) {
	p, died := script(t, `exec sleep 60`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := p.Start(ctx)
	if err == nil || !strings.HasPrefix(err.Error(), "script: not ready") || !strings.Contains(err.Error(), "ready: no such file") {
		t.Errorf("got %v", err)
	}
	if p.running() || len(died) > 0 {
		t.Error("it was left running, or is said to have died")
	}
}

func TestInterruptedStartIsSaid(t *testing.T) {
	p, _ := script(t, `exec sleep 60`)
	ctx, interrupt := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, interrupt)
	err := p.Start(ctx)
	if !errors.Is(err, ErrInterrupted) || !strings.HasPrefix(err.Error(), "script: interrupted after ") || strings.Contains(err.Error(), "not ready") {
		t.Errorf("got %v", err)
	}
	if p.running() {
		t.Error("it was left running")
	}
}

func TestDeathIsReportedWithTheLog(t *testing.T) {
	p, died := script(t, `touch ready; read line < fifo; echo "last words"; exit 7`)
	fifo := filepath.Join(filepath.Dir(p.Log), "fifo")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	s := &Stack{died: make(chan *Process, 1)}
	s.died <- <-died
	err := s.Wait(t.Context())
	want := "script: process ended: exit status 7; the end of its log (" + p.Log + "):\nlast words"
	if !errors.Is(err, ErrExited) || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestPausedProcessIsStoppedInOrder(t *testing.T) {
	p, _ := script(t, `trap 'echo ended; exit 0' TERM; touch ready; while :; do sleep 0.01; done`)
	if err := errors.Join(p.Start(t.Context()), p.Pause(), p.Stop()); err != nil {
		t.Fatal(err)
	}
	if got := p.LogTail(1); got != "ended" {
		t.Errorf("log: %q", got)
	}
}

func TestTakenPortIsNamedWithItsOwner(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ports := Ports{Envoy: l.Addr().(*net.TCPAddr).Port}
	err = ports.fill()
	if !errors.Is(err, loopback.ErrPortTaken) || !strings.HasPrefix(err.Error(), "port is taken: "+l.Addr().String()+" is in use") {
		t.Fatalf("got %v", err)
	}
	if _, noProc := os.Stat("/proc/net/tcp"); noProc == nil && !strings.HasSuffix(err.Error(), " by stack.test (pid "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("the owner is missing: %v", err)
	}
}
