package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 120 * time.Second      // until a process must answer its probe; compiling the filter takes long on a busy machine
	stopTimeout  = 10 * time.Second       // from SIGTERM to SIGKILL
	probeEvery   = 20 * time.Millisecond  // between two probes of a starting process
	probeTimeout = 500 * time.Millisecond // for one probe
)

// ErrExited says that a process ended although nobody stopped it.
var ErrExited = errors.New("process ended")

// ErrInterrupted says that nobody wants any more that a process starts.
var ErrInterrupted = errors.New("interrupted")

// Process is one program of the mesh. Its methods may be called from any
// goroutine, but not at the same time as each other.
type Process struct {
	// Name as in the log and in errors, for example "envoy-0".
	Name string
	// Log is the file that the process writes to, over all its starts.
	Log string

	command func(start int) *exec.Cmd       // start counts from 0
	probe   func(ctx context.Context) error // nil once the process can serve
	died    chan<- *Process                 // told when it ends on its own

	mu       sync.Mutex
	starts   int
	cmd      *exec.Cmd
	exited   chan struct{} // closed when cmd has ended
	ending   string        // how cmd ended: "exit status 1"
	expected bool          // somebody asked it to end
}

// NewProcess makes a process that belongs to no [Stack]. Command gives what to run at
// each start, counted from 0; its output goes to log. Probe gives nil once the
// process can serve; it is asked again and again while the process starts.
func NewProcess(name, log string, command func(start int) *exec.Cmd, probe func(context.Context) error) *Process {
	return &Process{Name: name, Log: log, command: command, probe: probe}
}

// Start starts the process and returns once it can serve. It is an error if it
// runs already, or one that wraps [ErrInterrupted] if ctx is cancelled. A probe that fails with [ErrRefused] gives up at once.
func (p *Process) Start(ctx context.Context) error {
	began := time.Now()
	whole := ctx
	ctx, cancel := context.WithTimeout(whole, startTimeout)
	defer cancel()
	exited, err := p.spawn()
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	var last error
	for {
		if last = p.probeOnce(ctx); last == nil {
			return nil
		}
		if errors.Is(last, ErrRefused) {
			_ = p.Kill()
			return fmt.Errorf("%s: %w; its log says:\n%s", p.Name, last, p.LogTail(20))
		}
		select {
		case <-exited:
			return fmt.Errorf("%s: %w while it started: %s; its log says:\n%s", p.Name, ErrExited, p.ending, p.LogTail(20))
		case <-ctx.Done():
			_ = p.Kill()
			took := time.Since(began).Round(100 * time.Millisecond)
			if errors.Is(whole.Err(), context.Canceled) {
				return fmt.Errorf("%s: %w after %s, before it was ready", p.Name, ErrInterrupted, took)
			}
			return fmt.Errorf("%s: not ready after %s: %w; its log says:\n%s", p.Name, took, last, p.LogTail(20))
		case <-time.After(probeEvery):
		}
	}
}

func (p *Process) probeOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return p.probe(ctx)
}

func (p *Process) spawn() (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return nil, errors.New("runs already")
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := p.command(p.starts)
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	bind(cmd.SysProcAttr)
	if err := startOnLastingThread(cmd); err != nil {
		return nil, err
	}
	p.starts++
	p.cmd, p.expected, p.exited = cmd, false, make(chan struct{})
	go p.reap(cmd, p.exited)
	return p.exited, nil
}

func (p *Process) reap(cmd *exec.Cmd, exited chan<- struct{}) {
	cmd.Wait()
	p.mu.Lock()
	p.ending = cmd.ProcessState.String()
	unexpected := !p.expected
	p.mu.Unlock()
	close(exited)
	if unexpected && p.died != nil {
		select {
		case p.died <- p:
		default: // nobody listens any more, or enough deaths are reported
		}
	}
}

// running tells whether the process was started and has not ended; p.mu is held.
func (p *Process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// PID is the id of the running process, 0 if it doesn't run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// signal sends a signal; ends tells that the process is meant to end by it. It
// gives the channel that is closed at the end, or nil if it doesn't run.
func (p *Process) signal(s syscall.Signal, ends bool) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, nil
	}
	p.expected = p.expected || ends
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return p.exited, nil
}

// Stop ends the process in order (SIGTERM, then SIGKILL after 10 s) and returns
// when it has ended. A process that doesn't run is left alone.
func (p *Process) Stop() error {
	if err := p.Resume(); err != nil {
		return err
	}
	exited, err := p.signal(syscall.SIGTERM, true)
	if err != nil || exited == nil {
		return err
	}
	select {
	case <-exited:
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("%s: did not end within %s of SIGTERM", p.Name, stopTimeout), p.Kill())
	}
}

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() error {
	exited, err := p.signal(syscall.SIGKILL, true)
	if err != nil || exited == nil {
		return err
	}
	<-exited
	return nil
}

// Pause stops the process from running (SIGSTOP): its sockets stay open and
// nothing answers.
func (p *Process) Pause() error {
	_, err := p.signal(syscall.SIGSTOP, false)
	return err
}

// Resume undoes Pause.
func (p *Process) Resume() error {
	_, err := p.signal(syscall.SIGCONT, false)
	return err
}

// Restart kills the process and starts it again on the same port.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Kill(); err != nil {
		return err
	}
	return p.Start(ctx)
}

// LogTail gives the last lines of the process's log.
func (p *Process) LogTail(lines int) string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return fmt.Sprintf("(%s: no log: %v)", filepath.Base(p.Log), err)
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
