package policy

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSize reads a size in bytes: a whole number with the unit B, KiB, MiB or GiB,
// or without one for bytes.
func ParseSize(s string) (int, bool) {
	digits, shift := s, 0
	for _, unit := range [...]struct {
		suffix string
		shift  int
	}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"B", 0}} {
		if number, ok := strings.CutSuffix(s, unit.suffix); ok {
			digits, shift = number, unit.shift
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || n > math.MaxInt32>>shift {
		return 0, false
	}
	return int(n) << shift, true
}

// FormatSize is the inverse of [ParseSize], in the largest unit that leaves a whole number.
func FormatSize(n int) string {
	for _, unit := range [...]struct {
		suffix string
		shift  int
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n != 0 && n%(1<<unit.shift) == 0 {
			return strconv.Itoa(n>>unit.shift) + unit.suffix
		}
	}
	return strconv.Itoa(n) + "B"
}

// FormatDuration writes whole seconds as seconds, as policies do: "600s", not "10m0s".
func FormatDuration(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return d.String()
}
