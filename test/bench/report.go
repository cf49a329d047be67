// Package bench holds what the benchmarks' reports share. Each benchmark is a program in a
// directory of its own.
package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Run says of a report where it comes from.
type Run struct {
	Command string    `json:"command"`
	Machine string    `json:"machine"`
	Load    float64   `json:"load"`  // load average before the run: what else the machine did
	Steal   float64   `json:"steal"` // % of the processors' time that other guests of the host had during the run
	Go      string    `json:"go"`
	Envoy   string    `json:"envoy,omitempty"` // none has run if empty
	Redis   string    `json:"redis"`
	Started time.Time `json:"started"`

	before ticks
}

// Begin describes a run of a command that begins now.
func Begin(command string) Run {
	return Run{
		Command: command, Machine: Machine(), Load: Load(), Go: runtime.Version(), Started: time.Now().UTC().Truncate(time.Second),
		before: readTicks(),
	}
}

// End is called when everything has been measured.
func (r *Run) End() { r.Steal = r.before.stolenUntil(readTicks()) }

// Print writes it as the head of a Markdown text.
func (r Run) Print(w io.Writer) {
	envoy := ""
	if r.Envoy != "" {
		envoy = "Envoy " + r.Envoy + ", "
	}
	fmt.Fprintf(w, "`%s`  \n%s (load average before the run: %.1f; other guests of its host had %.1f %% of their time), %s, %sValkey %s, %s\n\n",
		r.Command, r.Machine, r.Load, r.Steal, r.Go, envoy, r.Redis, r.Started.Format(time.RFC3339))
}

// Load is the machine's load average over the last minute, as the system tells it: what
// else was running when a measurement began. 0 where it isn't told.
func Load() (average float64) {
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		_, _ = fmt.Sscan(string(text), &average)
	}
	return average
}

// WriteIf writes a report's figures to a file, as JSON; no name: nowhere.
func WriteIf(file string, report any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// WriteTextIf writes a report's text to a file; no name: nowhere.
func WriteTextIf(file string, write func(io.Writer)) error {
	if file == "" {
		return nil
	}
	var text bytes.Buffer
	write(&text)
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// Machine names the processor and how many of it there are.
func Machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d × %s", runtime.NumCPU(), model)
}

// Verdict tells whether a target was met.
func Verdict(met bool) string {
	if met {
		return "met"
	}
	return "not met"
}
