package bench

import (
	"os"
	"strconv"
	"strings"
)

// ticks are those of all processors since the system has started.
type ticks struct{ all, stolen uint64 }

// readTicks reads those until now; none where the system doesn't tell.
func readTicks() ticks {
	text, _ := os.ReadFile("/proc/stat")
	return parseTicks(string(text))
}

// parseTicks reads the line "cpu" of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, and then
// the part of user and nice that was for guests of this system (proc_stat(5)).
func parseTicks(text string) (t ticks) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return ticks{}
	}
	for i, field := range fields[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return ticks{}
		}
		if t.all += n; i == 7 {
			t.stolen = n
		}
	}
	return t
}

// stolenUntil gives the share of a host's other guests in the time since, in percent.
func (t ticks) stolenUntil(later ticks) float64 {
	if later.all <= t.all || later.stolen < t.stolen {
		return 0
	}
	return 100 * float64(later.stolen-t.stolen) / float64(later.all-t.all)
}
