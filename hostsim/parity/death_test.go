package parity_test

import (
	"testing"

	"chatcache/hostsim"
)

// TestWhatEnvoyDiesOf: the whole process ends by a signal, where the simulator
// fails the test. Each has an Envoy of its own.
func TestWhatEnvoyDiesOf(t *testing.T) {
	for name, deadly := range map[string]struct {
		failure hostsim.FailureKind
		script  []string
	}{
		"resume of a response that hasn't come":                  {hostsim.ResumeWithoutPause, []string{onRequest, lookup, onCall, "resume-response"}},
		"resume of a response in the request's headers callback": {hostsim.ResumeWithoutPause, []string{onRequest, "resume-response"}},
		"a stream answered at its end":                           {hostsim.SecondReply, []string{quiet, "1", onDone, "reply 200 hello"}},
		"a stream closed at its end":                             {hostsim.ClosedAtEnd, []string{quiet, "1", onDone, "close"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := parityCase{script: deadly.script, fresh: true}.over(false)
			v := variantNamed("default")
			v.name = c.listener
			envoy := startEnvoy(t, probeModule(t), v)
			envoy.forCase(t).start(c).answer()
			if !envoy.signalled() {
				t.Errorf("Envoy lives: %v", envoy.cmd.ProcessState)
			}
			sim := simulate(t, probeModule(t), c)
			sim.start(c).answer()
			sim.Expect(deadly.failure)
			sim.TakeFailures() // what comes of going on is no longer Envoy's
		})
	}
}
