package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessorTime is how long a process has run on a processor, in user and kernel mode, all
// threads together: the kernel's own clock of that process (CPUCLOCK_SCHED, clock_getcpuclockid(3)).
func ProcessorTime(pid int) (time.Duration, error) {
	const schedule = 2
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedule), &at); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}

// WithChildren gives a process and those that it has started: some servers answer in a child.
func WithChildren(pid int) ([]int, error) {
	pids := []int{pid}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// ResidentMiB is how much memory of a process is in use.
func ResidentMiB(pid int) (float64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return float64(kib) / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d: /proc tells no VmRSS", pid)
}

// Processors lists those that this process may use.
func Processors() ([]int, error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return nil, err
	}
	var allowed []int
	for cpu := 0; len(allowed) < all.Count(); cpu++ {
		if all.IsSet(cpu) {
			allowed = append(allowed, cpu)
		}
	}
	return allowed, nil
}

// Pin moves every thread of a process onto one processor; those that it starts later follow.
func Pin(pid, cpu int) error {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, thread := range threads {
		tid, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("thread %d of process %d onto processor %d: %w", tid, pid, cpu, err)
		}
	}
	return nil
}
