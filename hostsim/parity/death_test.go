package parity_test

import (
	"testing"

	"chatcache/hostsim"
)

// TestWhatEnvoyDiesOf: the whole process ends by a signal, where the simulator
// fails the test. Each has an Envoy of its own.
func TestWhatEnvoyDiesOf(t *testing.T) {
	for name, script := range map[string][]string{
		"resume of a response that hasn't come":                  {onRequest, lookup, onCall, "resume-response"},
		"resume of a response in the request's headers callback": {onRequest, "resume-response"},
	} {
		t.Run(name, func(t *testing.T) {
			c := parityCase{script: script, fresh: true}.over(false)
			v := variantNamed("default")
			v.name = c.listener
			envoy := startEnvoy(t, probeModule(t), v)
			envoy.forCase(t).start(c).answer()
			if !envoy.signalled() {
				t.Errorf("Envoy lives: %v", envoy.cmd.ProcessState)
			}
			sim := simulate(t, probeModule(t), c)
			sim.start(c).answer()
			sim.Expect(hostsim.ResumeWithoutPause)
			sim.TakeFailures() // what comes of going on is no longer Envoy's
		})
	}
}
