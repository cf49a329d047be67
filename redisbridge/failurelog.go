package redisbridge

import (
	"log/slog"
	"sync"
	"time"
)

// failureInterval is the time between two lines about failed calls.
const failureInterval = time.Second

// failureLog logs failed calls, at most one a second: while Redis is down every
// call fails.
type failureLog struct {
	mu      sync.Mutex
	last    time.Time
	omitted int
}

func (f *failureLog) log(log *slog.Logger, now time.Time, path, trace string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.IsZero() && now.Sub(f.last) < failureInterval {
		f.omitted++
		return
	}
	line := []any{"path", path, "error", err, "omitted", f.omitted}
	if trace != "" {
		line = append(line, "trace", trace)
	}
	log.Warn("call failed", line...)
	f.last, f.omitted = now, 0
}
