package parity_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatcache/hostsim"
)

// TestConfigurationChange: another configuration keeps the VM and its heap, and
// ends the old root context after the drain; another vm_id makes a new VM.
func TestConfigurationChange(t *testing.T) {
	v := variantNamed("default")
	envoy := startEnvoy(t, probeModule(t), v).forCase(t)
	set := func() { envoy.update([]variant{v}, 1) }
	real := changed(envoy, time.Now, func() { v.config = "log two"; set() }, func() { v.vmID = "another"; set() })
	sim := simulate(t, probeModule(t), parityCase{})
	simulated := changed(sim, sim.Clock().Now, func() {
		if err := sim.Reconfigure([]byte("log two")); err != nil {
			t.Fatal(err)
		}
	}, func() {
		rebuilt := append(slices.Clone(probeModule(t)), 0, 3, 1, 'x', 0) // with a custom section more
		if err := sim.Replace(rebuilt, []byte("log two")); err != nil {
			t.Fatal(err)
		}
	})
	if diff := cmp.Diff(real, simulated); diff != "" {
		t.Errorf("real Envoy (-) and the simulator (+) differ:\n%s", diff)
	}
	if want := []string{"kept 1, kept 1, 2 plugins done, before the drain's end: false", "kept 1, kept 1, kept 0, 4 plugins done, before the drain's end: false"}; !slices.Equal(real, want) {
		t.Errorf("got %q, want %q", real, want)
	}
}

// clockTick is how much too early a timer of Envoy's may fire: its event loop reads
// CLOCK_MONOTONIC_COARSE, which a kernel of 100 Hz moves on every 10 ms.
const clockTick = 10 * time.Millisecond

// changed runs a stream before and after each change, and gives after each what the
// module has logged of streams, and of plugins that are done: when, only the drain's end bounds.
func changed(p proxy, now func() time.Time, changes ...func()) (seen []string) {
	kept := func(commands string) {
		exchange(p, parityCase{listener: "default", script: []string{quiet, "1", onRequest, commands}})
	}
	done := func() (n int, others []string) {
		for _, line := range p.log() {
			if line == "plugin done" {
				n++
			} else {
				others = append(others, line)
			}
		}
		return n, others
	}
	kept("grow 1; kept")
	for i, change := range changes {
		began := now()
		change()
		kept("kept")
		await(p, func() bool { n, _ := done(); return n == 2*(i+1) })
		early := now().Sub(began) < drainTime-clockTick
		n, others := done()
		seen = append(seen, fmt.Sprintf("%s, %d plugins done, before the drain's end: %v", strings.Join(others, ", "), n, early))
	}
	return seen
}

// TestConfigurationAsTheModuleSeesIt compares the bytes and the environment
// that a module gets. A google.protobuf.Struct comes as the serialised message
// that it is, not as JSON.
func TestConfigurationAsTheModuleSeesIt(t *testing.T) {
	for name, c := range map[string]struct {
		v      variant
		config string // of the simulator
	}{
		"a string":    {variant{name: "default", config: "log two", env: map[string]string{"PROBE": "yes"}}, "log two"},
		"nothing":     {variant{name: "default"}, ""},
		"a structure": {variant{name: "default", structure: `{"a": true}`}, "\n\a\n\x01a\x12\x02 \x01"},
	} {
		t.Run(name, func(t *testing.T) {
			envoy := startEnvoy(t, probeModule(t), c.v)
			sim := hostsim.RunT(t, hostsim.Options{Module: probeModule(t), PluginConfig: []byte(c.config), Env: c.v.env})
			real := started(tail(envoy.logs(), 0))
			if simulated := started(fmt.Sprint(sim.Logs())); simulated != real || real == "" {
				t.Errorf("real Envoy's module saw\n%s\nthe simulator's\n%s", real, simulated)
			}
		})
	}
}

// started is what the module says of its configuration at its start.
func started(log string) string {
	_, line, _ := strings.Cut(log, "start ")
	line, _, _ = strings.Cut(line, "\n")
	line, _, _ = strings.Cut(line, " [1][info]")
	return strings.TrimSpace(line)
}
