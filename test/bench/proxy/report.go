package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chatcache/test/bench"
	"chatcache/test/stack"
)

// report is what a run has shown.
type report struct {
	bench.Run
	Rows   []line  `json:"rows"`
	Start  start   `json:"start,omitzero"` // seconds from the start to the first answer; not measured with -rows
	Module float64 `json:"module"`         // MB of chatcache.wasm
	// Disturbed is how many measurements were repeated, see mostDisturbed.
	Disturbed int               `json:"disturbed,omitempty"`
	Missing   map[string]string `json:"missing,omitempty"` // peers that the machine hasn't, and why
}

// line is what a row has shown. Times are in µs, CPU is per request.
type line struct {
	Name   string            `json:"name"`
	Rate   spread            `json:"requestsPerSecond"`
	P50    spread            `json:"p50"`
	P99    spread            `json:"p99"`
	CPU    map[string]spread `json:"cpu"`
	Total  spread            `json:"totalCPU"`
	RSS    float64           `json:"rssMiB"` // of the proxy, in the end
	Ratios []ratio           `json:"ratios,omitempty"`
}

// ratio compares a row with another of the same run, round by round.
type ratio struct {
	Metric metric  `json:"metric"`
	Base   string  `json:"base"`
	Value  spread  `json:"value"`
	Limit  float64 `json:"limit,omitempty"` // 0: there is no target
}

func (r ratio) met() bool { return r.Value.Median <= r.Limit }

// start is how long an Envoy needs.
type start struct {
	Without spread `json:"withoutFilter"`
	Idle    spread `json:"noopFilter"`
	With    spread `json:"withFilter"`
	// As Go's compiler writes the modules.
	IdleAsCompiled spread `json:"noopFilterAsCompiled"`
	AsCompiled     spread `json:"withFilterAsCompiled"`
}

// spread is the median of several values, the least and the greatest.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	if n == 0 {
		return spread{}
	}
	return spread{Median: (values[(n-1)/2] + values[n/2]) / 2, Min: values[0], Max: values[n-1]}
}

func newReport(s settings) report {
	command := fmt.Sprintf("go run ./test/bench/proxy -rounds %d -each %s", s.rounds, s.each)
	if s.peers {
		command += " -peers"
	}
	if s.only != "" {
		command += fmt.Sprintf(" -rows %q", s.only)
	}
	return report{Run: bench.Begin(command)}
}

// conclude makes the line of a row of all that was measured.
func (m *mesh) conclude(w row, shown map[string][]measurement) (l line, err error) {
	of := func(value func(measurement) float64) spread {
		var values []float64
		for _, got := range shown[w.name] {
			values = append(values, value(got))
		}
		return spreadOf(values)
	}
	l = line{
		Name: w.name, CPU: map[string]spread{}, Total: of(measurement.total),
		Rate: of(func(m measurement) float64 { return m.rate }),
		P50:  of(func(m measurement) float64 { return m.p50 }), P99: of(func(m measurement) float64 { return m.p99 }),
	}
	for name := range shown[w.name][0].cpu {
		l.CPU[name] = of(func(m measurement) float64 { return m.cpu[name] })
	}
	for _, b := range w.bounds {
		var bases [][]measurement
		for _, name := range b.bases() {
			if len(shown[name]) > 0 { // not measured where this row is only what another is compared with
				bases = append(bases, shown[name])
			}
		}
		if len(bases) == len(b.bases()) {
			l.Ratios = append(l.Ratios, compare(b, shown[w.name], bases...))
		}
	}
	pids, err := m.pids(w)
	if err != nil {
		return l, err
	}
	for _, pid := range pids[w.server()] {
		mib, err := bench.ResidentMiB(pid)
		if err != nil {
			return l, err
		}
		l.RSS += mib
	}
	return l, nil
}

// compare gives the ratio of each round to all bases together, or what is more a MiB.
func compare(b bound, row []measurement, bases ...[]measurement) ratio {
	var values []float64
	for round := range row {
		is, sum := row[round].of(b.metric), 0.0
		for _, base := range bases {
			sum += base[round].of(b.metric)
		}
		if b.mib > 0 {
			values = append(values, (is-sum)/b.mib)
		} else {
			values = append(values, is/sum)
		}
	}
	r := ratio{Metric: b.metric, Base: strings.Join(b.bases(), " + "), Value: spreadOf(values), Limit: b.limit}
	if b.mib > 0 {
		r.Metric = "µs a MiB more " + b.metric
	}
	return r
}

func (r *report) markdown(w io.Writer) { r.print(w, nil) }

// print writes the report as Markdown; before is that of an earlier run, or nil.
func (r *report) print(w io.Writer, before *report) {
	r.Run.Print(w)
	fmt.Fprintf(w, "| µs, medians (least–greatest) | CPU a request | of it | p50 | p99 | requests/s | RSS of the proxy, MiB |\n|---|---|---|---|---|---|---|\n")
	for _, l := range r.Rows {
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.0f | %.0f |\n", l.Name, l.Total.text(1), parts(l.CPU), l.P50.text(0), l.P99.text(0), l.Rate.Median, l.RSS)
	}
	fmt.Fprintf(w, "\n| ratio | to | | least–greatest | target |%s\n|---|---|---|---|---|%s\n", header(before, " before |"), header(before, "---|"))
	for _, l := range r.Rows {
		for _, q := range l.Ratios {
			fmt.Fprintf(w, "| %s of %s | %s | **%.2f** | %.2f–%.2f | %s |%s\n", q.Metric, l.Name, q.Base, q.Value.Median, q.Value.Min, q.Value.Max, q.target(), before.find(l.Name, q))
		}
	}
	fmt.Fprintln(w)
	if r.Start != (start{}) {
		fmt.Fprintf(w, "From start to first answer: %s s with the filter (%s s as Go's compiler writes it), %s s with the no-op filter (%s s), %s s without (target: 1.2 s: %s). ",
			r.Start.With.text(2), r.Start.AsCompiled.text(2), r.Start.Idle.text(2), r.Start.IdleAsCompiled.text(2), r.Start.Without.text(2), bench.Verdict(r.Start.With.Median <= 1.2))
	}
	fmt.Fprintf(w, "chatcache.wasm: %.2f MB (target: 3.5 MB: %s).\n", r.Module, bench.Verdict(r.Module <= 3.5))
	if full, plain := r.row(hitFull), r.row(floor); full != nil && plain != nil {
		more := full.RSS - plain.RSS
		fmt.Fprintf(w, "\nAn Envoy whose worker's L1 is full takes %.0f MiB more than one without the filter (target: 16 MiB beside the L1 of %d MiB, V8 and compiled code included: %s).\n",
			more, fullBytes>>20, bench.Verdict(more <= 16+fullBytes>>20))
	}
	if r.Disturbed > 0 {
		fmt.Fprintf(w, "\nMeasured again, since calls timed out on a machine that others use, too: %d measurements.\n", r.Disturbed)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Missing)) {
		fmt.Fprintf(w, "\n%s isn't measured: %s\n", name, r.Missing[name])
	}
}

// row finds a row by its name; nil if it wasn't measured.
func (r *report) row(name string) *line {
	i := slices.IndexFunc(r.Rows, func(l line) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

func (s spread) text(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// parts tells how processor time divides among processes; nothing where there is one.
func parts(cpu map[string]spread) string {
	if len(cpu) < 2 {
		return ""
	}
	var list []string
	behind := []string{processBridge, processRedis}
	for _, name := range slices.SortedStableFunc(maps.Keys(cpu), func(a, b string) int {
		return slices.Index(behind, a) - slices.Index(behind, b)
	}) {
		list = append(list, fmt.Sprintf("%s %.1f", name, cpu[name].Median))
	}
	return strings.Join(list, ", ")
}

func (r ratio) target() string {
	if r.Limit == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f: %s", r.Limit, bench.Verdict(r.met()))
}

func header(before *report, text string) string {
	if before == nil {
		return ""
	}
	return text
}

// find gives the cell with the same ratio of an earlier run.
func (r *report) find(name string, q ratio) string {
	if r == nil {
		return ""
	}
	if l := r.row(name); l != nil {
		for _, old := range l.Ratios {
			if old.Metric == q.Metric && old.Base == q.Base {
				return fmt.Sprintf(" %.2f |", old.Value.Median)
			}
		}
	}
	return " |"
}

// readReport reads the report of an earlier run; nil where there is none.
func readReport(file string) (*report, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r report
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &r, nil
}

func moduleSize() (float64, error) {
	root, err := stack.Root()
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(filepath.Join(root, "build", "chatcache.wasm"))
	if err != nil {
		return 0, err
	}
	return float64(info.Size()) / 1e6, nil
}
