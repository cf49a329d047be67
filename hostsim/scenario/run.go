package scenario

import (
	"fmt"
	"strings"
	"time"

	"chatcache/hostsim"
)

// Target is a proxy on which scenarios run, with an Origin behind it.
type Target interface {
	// Do sends a request through the proxy. The trace tells how the proxy came
	// to its answer; it may be nil.
	Do(worker int, r *hostsim.Request) (resp *hostsim.Response, trace []string)
	// Call sends a request to a cluster beside the proxy.
	Call(cluster string, r *hostsim.Request) (*hostsim.Response, error)
	Advance(d time.Duration)
	// SetCluster changes how a cluster answers: up, refusing, no-hosts or hanging. The error says that there is no such cluster.
	SetCluster(name, state string) error
	// Counters are those that the module has defined so far, by name.
	Counters() map[string]uint64
}

// Mismatch is an expectation that wasn't met.
type Mismatch struct {
	File  string   `json:"file"`
	Line  int      `json:"line"`
	Step  string   `json:"step"`
	Want  string   `json:"want"`
	Got   string   `json:"got"`
	Trace []string `json:"trace,omitempty"`
}

func (m Mismatch) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: %s\n  want  %s\n  got   %s", m.File, m.Line, m.Step, m.Want, m.Got)
	if len(m.Trace) > 0 {
		b.WriteString("\n  trace\n    " + strings.Join(m.Trace, "\n    "))
	}
	return b.String()
}

// Isolated gives the scenario an authority and users of its own, told apart by
// id, for a target that remembers what earlier scenarios did.
func (s *Scenario) Isolated(id string) *Scenario {
	alone := *s
	alone.id = id
	return &alone
}

// Real is the scenario up to its "virtual time only" line, for a target whose
// time, or that of a cluster behind it, can't be moved; rest is the number of
// steps that it leaves out.
func (s *Scenario) Real() (real *Scenario, rest int) {
	for i, step := range s.Steps {
		if step.virtual {
			head := *s
			head.Steps = s.Steps[:i]
			return &head, len(s.Steps) - i - 1
		}
	}
	return s, 0
}

// Run runs a scenario and returns what wasn't as expected.
func Run(s *Scenario, target Target, origin *Origin) []Mismatch {
	r := &runner{scenario: s, target: target, origin: origin}
	for i := range s.Steps {
		s.Steps[i].do(r, &s.Steps[i])
	}
	return r.found
}

type runner struct {
	scenario *Scenario
	target   Target
	origin   *Origin
	user     string
	found    []Mismatch
}

// result is what a request came to.
type result struct {
	*hostsim.Response
	origin   int
	counters func() map[string]uint64
	listed   []string // counters that the module may define yet
}

func (r *runner) request(s *Step) {
	req := *s.request
	req.Headers = req.Headers.Clone()
	token := "Bearer " + r.user
	if r.scenario.id != "" {
		req.Authority = r.scenario.id + ".example.com"
		token += "-" + r.scenario.id
	}
	if r.user != "" && r.user != "-" && !req.Headers.Has("authorization") {
		req.Headers.Add("authorization", token)
	}
	before := r.origin.Count()
	resp, trace := r.target.Do(s.worker, &req)
	r.check(s, &result{resp, r.origin.Count() - before, r.target.Counters, r.scenario.Counters}, trace)
}

func (r *runner) call(s *Step, cluster string) {
	resp, err := r.target.Call(cluster, s.request)
	if err != nil {
		r.found = append(r.found, Mismatch{r.scenario.Name, s.Line, s.Text, "an answer", err.Error(), nil})
		return
	}
	r.check(s, &result{resp, 0, r.target.Counters, r.scenario.Counters}, nil)
}

func (r *runner) setCluster(s *Step, name, state string) {
	if err := r.target.SetCluster(name, state); err != nil {
		r.found = append(r.found, Mismatch{r.scenario.Name, s.Line, s.Text, "a cluster that the module can call", err.Error(), nil})
	}
}

func (r *runner) check(s *Step, res *result, trace []string) {
	for _, e := range s.expects {
		if got, ok := e.check(res); !ok {
			r.found = append(r.found, Mismatch{r.scenario.Name, e.line, s.Text, e.text, got, trace})
		}
	}
	if res.Complete == s.cut {
		want, got := "a complete response", "one that was cut, "+res.Details
		if s.cut {
			want, got = "a response that is cut", "a complete one"
		}
		r.found = append(r.found, Mismatch{r.scenario.Name, s.Line, s.Text, want, got, trace})
	}
}
