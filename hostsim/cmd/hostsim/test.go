package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/scenario"
)

// test runs scenario files, each on a proxy of its own.
func test(args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("test", flag.ContinueOnError)
	var m moduleFlags
	m.register(f)
	asJSON := f.Bool("json", false, "print what wasn't as expected as JSON")
	seed := f.Uint64("seed", 0, "choose at random, by this seed, among events that can happen in any order")
	if code := parse(f, args, stdout, stderr); code >= 0 {
		return code
	}
	files, err := expand(f.Args())
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no scenario file is given")
	}
	var o hostsim.Options
	if err == nil {
		o, err = m.options()
	}
	if err != nil {
		fmt.Fprintf(stderr, "hostsim test: %v\n", err)
		return exitUsage
	}
	t := &tester{flags: m, options: o, seed: *seed, quiet: *asJSON, out: stdout}
	for _, file := range files {
		if err := t.run(file); err != nil {
			fmt.Fprintf(stderr, "hostsim test: %v\n", err)
			return exitUsage
		}
	}
	return t.report(*asJSON, len(files))
}

// expand replaces directories by the *.scenario files in them.
func expand(args []string) ([]string, error) {
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
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

type tester struct {
	flags   moduleFlags
	options hostsim.Options
	seed    uint64
	quiet   bool
	out     io.Writer
	found   []scenario.Mismatch
}

// run runs one file. Only what keeps it from running at all is an error.
func (t *tester) run(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s, err := scenario.Parse(file, string(text))
	if err != nil {
		return err
	}
	o := t.options
	o.Clock, o.Seed = hostsim.NewClock(time.Time{}), t.seed
	if t.seed != 0 {
		o.Clock.Shuffle(t.seed)
	}
	if o.Clusters, err = t.flags.handlers(o.Clock, make(chan struct{}, 1), patience); err != nil {
		return err
	}
	rest := 0
	if len(o.Clusters) > 0 { // real servers: they remember, and their time can't be moved
		s = s.Isolated(runID(file))
		s, rest = s.Real()
		o.Seed = uint64(time.Now().UnixNano()) // ids that the module draws must be new to them, too
	}
	target, origin, sim, err := scenario.OnSim(o)
	if err != nil {
		return err
	}
	defer sim.Close()
	if len(o.Clusters) > 0 {
		target = slowly{target}
	}
	found := scenario.Run(s, target, origin)
	for _, f := range sim.TakeFailures() {
		found = append(found, scenario.Mismatch{File: file, Step: "the module", Want: "nothing that Envoy wouldn't survive", Got: f.Error()})
	}
	t.found = append(t.found, found...)
	t.print(file, len(s.Steps), rest, found, sim)
	return nil
}

// runID tells this run of the file from every other, in the letters of a host name.
func runID(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), ".scenario")
	return fmt.Sprintf("%s-%x", name, time.Now().UnixNano())
}

// patience is how long real servers get to answer before virtual time passes.
const patience = 150 * time.Millisecond

// slowly lets a little real time pass with virtual time, so that what real
// servers have to say (a feed, after a purge) arrives.
type slowly struct{ scenario.Target }

func (s slowly) Advance(d time.Duration) {
	time.Sleep(min(max(d, 0), patience))
	s.Target.Advance(d)
}

func (t *tester) print(file string, steps, rest int, found []scenario.Mismatch, sim *hostsim.Sim) {
	if t.quiet {
		return
	}
	if len(found) == 0 && rest > 0 {
		fmt.Fprintf(t.out, "ok    %s (%d steps; %d left out, they need virtual time)\n", file, steps, rest)
	} else if len(found) == 0 {
		fmt.Fprintf(t.out, "ok    %s (%d steps)\n", file, steps)
	} else {
		fmt.Fprintf(t.out, "FAIL  %s\n", file)
	}
	for _, m := range found {
		fmt.Fprintln(t.out, m)
	}
	if t.flags.verbose {
		for _, l := range sim.TakeLogs() {
			fmt.Fprintf(t.out, "  %s\n", l)
		}
	}
}

func (t *tester) report(asJSON bool, files int) int {
	if asJSON {
		if t.found == nil {
			t.found = []scenario.Mismatch{}
		}
		out := json.NewEncoder(t.out)
		out.SetIndent("", "  ")
		out.Encode(t.found)
	}
	if len(t.found) == 0 {
		return exitOK
	}
	if !asJSON {
		fmt.Fprintf(t.out, "%d expectation(s) not met in %d file(s)", len(t.found), files)
		if t.seed != 0 {
			fmt.Fprintf(t.out, ", seed %d", t.seed)
		}
		fmt.Fprintln(t.out)
	}
	return exitNo
}
