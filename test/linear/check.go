package linear

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Bounds of what is shown of a history that isn't as claimed.
const (
	maxListed  = 10              // stale reads by name
	around     = 2 * time.Second // of the first one, in the picture
	maxPicture = 60              // reads in it
	patience   = time.Minute     // of porcupine with one register
)

// Violation says that a history isn't as claimed.
type Violation struct {
	Register Register
	Stale    []Stale // of all registers, in the order in which they were answered
	Result   porcupine.CheckResult
	info     porcupine.LinearizationInfo
}

func (v *Violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "not linearizable (porcupine: %s, %s)", v.Result, v.Register)
	for i, s := range v.Stale {
		if i == maxListed {
			fmt.Fprintf(&b, "\nand %d more", len(v.Stale)-i)
			break
		}
		fmt.Fprintf(&b, "\n%s", s)
	}
	return b.String()
}

// Save draws the first stale read's surroundings and writes down the history, into dir.
func (v *Violation) Save(dir string, h *History) (picture, history string, err error) {
	picture, history = filepath.Join(dir, "linear.html"), filepath.Join(dir, "linear.jsonl")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	if err := porcupine.VisualizePath(register, v.info, picture); err != nil {
		return "", "", err
	}
	return picture, history, h.Save(history)
}

// Check lets porcupine judge each register. groups names the groups that a stored response
// of a register belongs to. The error is a *Violation.
//
// Since writes are points, a read can be judged alone, too (see stale): that names the
// culprits, and spares porcupine the search through every order of a long history that has
// none. That both judge alike is tested.
func Check(h *History, c Claim, groups func(Register) []string) error {
	lines := h.timelines(c, groups)
	if stale := h.stale(c, lines); len(stale) > 0 {
		return h.violation(c, lines, stale)
	}
	for r, t := range lines {
		result, info := porcupine.CheckOperationsVerbose(register, operations(c, t, h.readsOf(r)), patience)
		if result != porcupine.Ok {
			return &Violation{Register: r, Result: result, info: info}
		}
	}
	return nil
}

// violation asks porcupine about the first stale read and what happened around it.
func (h *History) violation(c Claim, lines map[Register]*timeline, stale []Stale) *Violation {
	first := stale[0]
	t := lines[first.Register]
	if t == nil {
		t = &timeline{}
	}
	reads := []Read{first.Read}
	for _, r := range h.readsOf(first.Register) {
		near := r.Return > first.Call-int64(around) && r.Call < first.Return+int64(around)
		if near && r != first.Read && len(reads) < maxPicture {
			reads = append(reads, r)
		}
	}
	result, info := porcupine.CheckOperationsVerbose(register, operations(c, t, reads), patience)
	return &Violation{first.Register, stale, result, info}
}

func (h *History) readsOf(register Register) (reads []Read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.reads {
		if r.Register == register {
			reads = append(reads, r)
		}
	}
	return reads
}
