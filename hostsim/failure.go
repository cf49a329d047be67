package hostsim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// FailureKind names a way in which the module under test would have hurt a real Envoy.
type FailureKind string

// Kinds of failures.
const (
	// ResumeWithoutPause: a stream was resumed in a direction that isn't
	// paused. Before the module has paused response headers, Envoy segfaults.
	ResumeWithoutPause FailureKind = "resume with nothing paused"
	// SecondReply: a local reply on a stream that has a complete answer, or a second one.
	// In the stream's own proxy_on_log it kills Envoy as ClosedAtEnd does.
	SecondReply FailureKind = "local reply on a stream that was already answered"
	// ClosedAtEnd: a stream was closed in its own proxy_on_log. Envoy ends it anew, and
	// calls that again, until its stack is full and the process dies.
	ClosedAtEnd FailureKind = "stream closed at its end"
	// NeverResumed: the client would wait for ever.
	NeverResumed FailureKind = "pause never resumed"
	// NeverSettles: callbacks cause each other without time passing (a queue that fills
	// itself, a call from each call's answer); Envoy's worker would do nothing else.
	NeverSettles FailureKind = "events without end"
	// VMDied: a panic, trap or exit inside the module; the failure policy applies from then on.
	VMDied FailureKind = "VM died"
	// MapOutOfPhase: a header map was read when Envoy no longer, or not yet, has it.
	MapOutOfPhase FailureKind = "header map used outside its phase"
	// BodyLength: a body doesn't have the length that its content-length says;
	// the module changed the one without the other, and connections break.
	BodyLength FailureKind = "body of another length than its content-length"
	// HandlerStuck: a cluster's handler neither finished nor waited on the clock within the watchdog's real time.
	HandlerStuck FailureKind = "handler stuck"
	// HandlerPanicked: a cluster's handler panicked; its connection was cut.
	HandlerPanicked FailureKind = "handler panicked"
)

// Failure is one thing that went wrong, with what led to it.
type Failure struct {
	Kind   FailureKind
	Detail string
	Stream uint64   // 0 when no stream was concerned
	Trace  []string // the stream's, or else the VM's, last host calls and callbacks
}

func (f Failure) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "hostsim: %s", f.Kind)
	if f.Stream != 0 {
		fmt.Fprintf(&b, " (stream %d)", f.Stream)
	}
	if f.Detail != "" {
		fmt.Fprintf(&b, ": %s", f.Detail)
	}
	if len(f.Trace) > 0 {
		b.WriteString("\ncall trace:\n  " + strings.Join(f.Trace, "\n  "))
	}
	return b.String()
}

func (s *Sim) fail(kind FailureKind, st *Stream, trace []string, format string, args ...any) {
	f := Failure{Kind: kind, Detail: fmt.Sprintf(format, args...), Trace: trace}
	if st != nil {
		f.Stream, f.Trace = st.ID, st.Trace()
	}
	s.failures = append(s.failures, f)
}

func (s *Sim) handlerStuck(j *job) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	s.fail(HandlerStuck, nil, nil, "%s: neither finished nor waited on the clock within %v of real time\n%s", j.name, s.opts.HandlerTimeout, stacks)
}

func (s *Sim) neverSettles() {
	var trace []string // the longest
	for _, w := range s.threads() {
		for _, root := range w.roots() {
			if lines := root.vm.trace.lines(); len(lines) > len(trace) {
				trace = lines
			}
		}
	}
	s.fail(NeverSettles, nil, trace, "more than %d events at one moment of virtual time, each caused by another", maxSteps)
}

func (s *Sim) failPanic(st *Stream, cluster string, value any) {
	s.fail(HandlerPanicked, st, nil, "cluster %s: %v", cluster, value)
}

// Failures are those recorded so far that Expect has not taken.
func (s *Sim) Failures() []Failure { return slices.Clone(s.failures) }

// Expect takes every recorded failure of the kind, so that it doesn't fail the
// test, and returns them. None at all is itself an error of the test.
func (s *Sim) Expect(kind FailureKind) []Failure {
	var taken, kept []Failure
	for _, f := range s.failures {
		if f.Kind == kind {
			taken = append(taken, f)
		} else {
			kept = append(kept, f)
		}
	}
	s.failures = kept
	if len(taken) == 0 && s.t != nil {
		s.t.Helper()
		s.t.Errorf("hostsim: expected a failure %q, there was none", kind)
	}
	return taken
}

// TakeFailures returns those recorded so far and forgets them.
func (s *Sim) TakeFailures() []Failure {
	taken := s.failures
	s.failures = nil
	return taken
}
