package hostsim

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// LogLevel is a level of proxy_log.
type LogLevel int

// Levels of proxy_log. In Options, 0 means LevelInfo and -1 LevelTrace.
const (
	LevelTrace LogLevel = iota
	LevelDebug
	LevelInfo
	LevelWarn
	LevelError
	LevelCritical
)

var levelNames = [...]string{"trace", "debug", "info", "warn", "error", "critical"}

func (l LogLevel) String() string {
	if l >= 0 && int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", int(l))
}

// LogLine is one line that the module logged.
type LogLine struct {
	Time    time.Time
	Worker  int // 0 is the main thread
	Level   LogLevel
	Message string
}

func (l LogLine) String() string { return fmt.Sprintf("[%d][%s] %s", l.Worker, l.Level, l.Message) }

// maxLogs bounds what is kept; older lines go first.
const maxLogs = 10_000

func (w *worker) log(level LogLevel, message string) {
	s := w.sim
	if level < s.opts.LogLevel {
		return
	}
	if len(s.logs) >= maxLogs {
		s.logs = s.logs[1:]
	}
	s.logs = append(s.logs, LogLine{s.clock.Now(), w.index, level, message})
}

// Logs are the lines logged at Options.LogLevel and above, in order.
func (s *Sim) Logs() []LogLine { return slices.Clone(s.logs) }

// TakeLogs returns the lines logged so far and forgets them.
func (s *Sim) TakeLogs() []LogLine {
	taken := s.logs
	s.logs = nil
	return taken
}

// lastWarnings are the last lines logged as warnings or worse, for an error message.
func (s *Sim) lastWarnings() string {
	var b strings.Builder
	for _, l := range s.logs[max(0, len(s.logs)-200):] {
		if l.Level >= LevelWarn {
			b.WriteString("\n  " + l.String())
		}
	}
	return b.String()
}

// logWriter is the module's stdout or stderr, which Envoy logs. Envoy makes a
// line of every write; here lines are put together first, for Go's panics come
// in a write a word.
type logWriter struct {
	vm    *vm
	level LogLevel
	line  []byte
}

// maxLine is the longest line that is put together.
const maxLine = 4096

func (w *logWriter) Write(p []byte) (int, error) {
	w.line = append(w.line, p...)
	for {
		line, rest, found := bytes.Cut(w.line, []byte{'\n'})
		if !found && len(w.line) <= maxLine {
			return len(p), nil
		}
		w.line = append([]byte(nil), rest...)
		if len(line) > 0 {
			w.vm.active().worker().log(w.level, string(line))
			w.vm.note(line)
		}
	}
}

// note keeps the beginning of what the module printed last, to explain its death.
func (v *vm) note(line []byte) {
	if v.printed == "" || bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: ")) {
		v.printed = string(line)
	}
}
