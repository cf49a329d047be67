package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
)

const testUsage = `usage: hostsim test --wasm FILE [flags] SCENARIO…

Runs scenario files, each on a proxy of its own, and compares what comes with
what they expect. SCENARIO is a file, or a directory with *.scenario files.
`

// test runs scenario files, each on a proxy of its own.
func test(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("test", flag.ContinueOnError)
	var m moduleFlags
	m.register(f)
	counters := f.String("counters", "", "`FILE` with names of counters that the module may define only when it first counts, one a line; * is each object of the configuration")
	asJSON := f.Bool("json", false, "print the results as JSON")
	seed := f.Uint64("seed", 0, "choose at random, by this `NUMBER`, among events that can happen in any order")
	rest, code := parse(f, testUsage, args, stdout, stderr)
	if code >= 0 {
		return code
	}
	o, err := m.options()
	if err != nil {
		return misused(f, stderr, err)
	}
	listed, err := readCounters(*counters, o.PluginConfig)
	if err != nil {
		return misused(f, stderr, err)
	}
	files, err := expand(rest)
	if err != nil {
		return misused(f, stderr, err)
	}
	scenarios, err := parseFiles(files)
	if err != nil {
		fmt.Fprintf(stderr, "hostsim test: %v\n", err)
		return exitUsage
	}
	t := &tester{flags: m, options: o, seed: *seed, errors: &syncWriter{w: stderr}}
	for _, s := range scenarios {
		s.Counters = listed
		r, err := t.run(s)
		if err != nil {
			fmt.Fprintf(stderr, "hostsim test: %v\n", err)
			return exitNo
		}
		if !*asJSON {
			fmt.Fprint(stdout, r)
		}
		t.results = append(t.results, r)
	}
	return t.report(stdout, *asJSON)
}

// readCounters reads the list of --counters, if there is one.
func readCounters(file string, config []byte) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	list, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--counters: %w", err)
	}
	return scenario.Counters(string(list), string(config)), nil
}

// expand replaces directories by the *.scenario files in them.
func expand(args []string) ([]string, error) {
	if len(args) == 0 {
		return nil, errors.New("no scenario file is given")
	}
	var files []string
	for _, a := range args {
		info, err := os.Stat(a)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, a)
			continue
		}
		found, err := filepath.Glob(filepath.Join(a, "*.scenario"))
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("%s has no *.scenario file", a)
		}
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

// parseFiles reads all of them; the error tells of each that is wrong.
func parseFiles(files []string) ([]*scenario.Scenario, error) {
	var all []*scenario.Scenario
	var wrong []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		s, err := scenario.Parse(file, string(text))
		if err != nil {
			wrong = append(wrong, err)
		}
		all = append(all, s)
	}
	return all, errors.Join(wrong...)
}

type tester struct {
	flags   moduleFlags
	options hostsim.Options
	seed    uint64
	errors  *syncWriter // clusters that don't answer
	results []result
}

// result is what became of one file.
type result struct {
	File       string              `json:"file"`
	OK         bool                `json:"ok"`
	Steps      int                 `json:"steps"`
	LeftOut    int                 `json:"left_out,omitempty"` // steps that need virtual time
	Mismatches []scenario.Mismatch `json:"mismatches"`
	Logs       []string            `json:"logs,omitempty"` // with -v
}

// run runs one file. Only what keeps the module from running at all is an error.
func (t *tester) run(s *scenario.Scenario) (result, error) {
	o := t.options
	o.Clock, o.Seed = hostsim.NewClock(time.Time{}), t.seed
	if t.seed != 0 {
		o.Clock.Shuffle(t.seed)
	}
	r := result{File: s.Name}
	o.Clusters = t.flags.handlers(o.Clock, make(chan struct{}, 1), patience, t.errors)
	if len(o.Clusters) > 0 { // real servers: they remember, and their time can't be moved
		s = s.Isolated(runID(s.Name))
		s, r.LeftOut = s.Real()
		o.Seed = uint64(time.Now().UnixNano()) // ids that the module draws must be new to them, too
	}
	target, origin, sim, err := scenario.OnSim(o)
	if err != nil {
		return r, err
	}
	defer sim.Close()
	if len(o.Clusters) > 0 {
		target = slowly{target}
	}
	r.Steps, r.Mismatches = len(s.Steps), append([]scenario.Mismatch{}, scenario.Run(s, target, origin)...)
	for _, f := range sim.TakeFailures() {
		r.Mismatches = append(r.Mismatches, scenario.Mismatch{File: s.Name, Step: "the module", Want: "nothing that Envoy wouldn't survive", Got: f.Error()})
	}
	r.OK = len(r.Mismatches) == 0
	if t.flags.verbose {
		for _, l := range sim.TakeLogs() {
			r.Logs = append(r.Logs, l.String())
		}
	}
	return r, nil
}

// runID tells this run of the file from every other, in the letters of a host name.
func runID(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".scenario")
	return fmt.Sprintf("%s-%x", name, time.Now().UnixNano())
}

// patience is how long real servers get to answer before virtual time passes, on a busy
// machine; a long poll costs it once a file.
const patience = 500 * time.Millisecond

// slowly lets real time pass with virtual time, more of it where that is short, so that
// what real servers have to say (a feed, after a purge) arrives.
type slowly struct{ scenario.Target }

func (s slowly) Advance(d time.Duration) {
	time.Sleep(10 * min(max(d, 0), patience/10))
	s.Target.Advance(d)
}

func (r result) String() string {
	var b strings.Builder
	switch {
	case !r.OK:
		fmt.Fprintf(&b, "FAIL  %s\n", r.File)
	case r.LeftOut > 0:
		fmt.Fprintf(&b, "ok    %s (%d steps; %d left out, they need virtual time)\n", r.File, r.Steps, r.LeftOut)
	default:
		fmt.Fprintf(&b, "ok    %s (%d steps)\n", r.File, r.Steps)
	}
	for i, m := range r.Mismatches {
		if i > 0 && len(m.Trace) > 0 && slices.Equal(m.Trace, r.Mismatches[i-1].Trace) {
			m.Trace = []string{"as above"}
		}
		fmt.Fprintln(&b, m)
	}
	for _, l := range r.Logs {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}

// report ends the output and gives the exit code.
func (t *tester) report(out io.Writer, asJSON bool) int {
	mismatches, failed := 0, 0
	for _, r := range t.results {
		if mismatches += len(r.Mismatches); !r.OK {
			failed++
		}
	}
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		e.Encode(t.results)
	} else if failed > 0 {
		fmt.Fprintf(out, "%d expectation(s) not met in %d of %d file(s)", mismatches, failed, len(t.results))
		if t.seed != 0 {
			fmt.Fprintf(out, ", seed %d", t.seed)
		}
		fmt.Fprintln(out)
	}
	if failed > 0 {
		return exitNo
	}
	return exitOK
}
