package parity_test

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chatcache/hostsim"
)

// sharingCase is what happens to plugins of one proxy, each with a listener of
// its own; whether they share a VM is told by their VM keys.
type sharingCase struct {
	name    string
	plugins []variant // named a, b, …
	steps   []step
	dies    string // the plugin whose stream kills the VM
}

// step does one thing, and tells what a client saw of it.
type step func(r *sharingRun) string

// plugins are those of a real Envoy, or of a simulated proxy.
type plugins interface {
	// proxy is the one that the plugin's requests go to, and their listener.
	proxy(plugin string) (proxy, string)
	add(v variant)
	configure(plugin, config string)
	remove(plugin string)
	// drained waits until what was replaced or removed has ended.
	drained()
	// takeLog are the modules' lines since it was last asked.
	takeLog() []string
}

// ask is a request in whose headers callback the commands run.
func ask(plugin, commands string) step { return request(plugin, onRequest, commands) }

// ending is one that runs them when it is over.
func ending(plugin, commands string) step { return request(plugin, onDone, commands) }

func request(plugin, callback, commands string) step {
	return func(r *sharingRun) string {
		to, listener := r.proxy(plugin)
		a := exchange(to, parityCase{listener: listener, script: []string{quiet, "1", callback, commands}})
		return fmt.Sprintf("%s answered %d %s", plugin, a.Status, a.Body)
	}
}

// open is a request that is under way until answered or hanging is its step.
func open(plugin string, c parityCase) step {
	return func(r *sharingRun) string {
		to, listener := r.proxy(plugin)
		c.listener = listener
		r.open[plugin] = begin(to, c)
		return plugin + " is under way"
	}
}

func answered(plugin string) step {
	return func(r *sharingRun) string {
		a := r.open[plugin].answer()
		return fmt.Sprintf("%s answered at last %d %s %v", plugin, a.Status, a.Body, a.Complete)
	}
}

// opened lets the plugin's upstream answer.
func opened(plugin string) step {
	return func(r *sharingRun) string {
		to, _ := r.proxy(plugin)
		to.open()
		return "the upstream of " + plugin + " answers"
	}
}

func hanging(plugin string) step {
	return func(r *sharingRun) string {
		to, _ := r.proxy(plugin)
		to.pass(200 * time.Millisecond)
		hung := !r.open[plugin].answered()
		r.open[plugin].leave()
		return fmt.Sprintf("%s hangs: %v", plugin, hung)
	}
}

func configure(plugin, config string) step {
	return func(r *sharingRun) string { r.configure(plugin, config); return plugin + " configured" }
}

func add(v variant) step {
	return func(r *sharingRun) string { r.add(v); return v.name + " added" }
}

func remove(plugin string) step {
	return func(r *sharingRun) string { r.remove(plugin); return plugin + " removed" }
}

const hasDrained = "drained"

func drained(r *sharingRun) string { r.drained(); return hasDrained }

// sharingRun is a case on its way.
type sharingRun struct {
	plugins
	open map[string]client
	ends []string // lines of plugins that ended: when, a real proxy's drain decides
	now  []string // the other lines of the step
}

// settling is how long a step waits for what should not come.
const settling = 50 * time.Millisecond

// seenIn is what was seen of one step: the client's view, and the modules'
// lines, sorted, for in which thread's order they come is chance.
type seenIn struct {
	Client string
	Log    []string
}

// run does the steps. like is what another proxy's modules logged: as many
// lines are waited for.
func (c sharingCase) run(p plugins, like []seenIn) []seenIn {
	r := &sharingRun{plugins: p, open: map[string]client{}}
	var seen []seenIn
	p.takeLog()
	for i, do := range c.steps {
		s := seenIn{Client: do(r)}
		to, _ := p.proxy("b")
		for range clientPatience / settling {
			if r.read(s.Client == hasDrained); like == nil || len(r.now) >= len(like[i].Log) {
				break
			}
			to.pass(settling)
		}
		to.pass(settling) // for what should not come
		r.read(s.Client == hasDrained)
		sort.Strings(r.now)
		s.Log, r.now = r.now, nil
		seen = append(seen, s)
	}
	return seen
}

func (r *sharingRun) read(drained bool) {
	for _, line := range r.takeLog() {
		if strings.HasPrefix(line, "plugin done") {
			r.ends = append(r.ends, line)
		} else {
			r.now = append(r.now, line)
		}
	}
	if drained {
		r.now = append(r.now, r.ends...)
		r.ends = nil
	}
}

func TestVMSharing(t *testing.T) {
	envoy := startEnvoy(t, probeModule(t))
	var before []variant // of the cases before: they stay
	for i, c := range sharingCases {
		t.Run(c.name, func(t *testing.T) {
			sim := &simPlugins{t: t, sims: map[string]*simProxy{}}
			for _, v := range c.plugins {
				sim.add(v)
			}
			simulated := c.run(sim, nil)
			if c.dies != "" {
				sim.sims[c.dies].Expect(hostsim.VMDied)
			}
			p := &realPlugins{realProxy: envoy.forCase(t), prefix: fmt.Sprint(i), before: before}
			p.have(c.plugins...)
			real := c.run(p, simulated)
			before = p.listeners()
			if diff := cmp.Diff(real, simulated); diff != "" {
				t.Errorf("real Envoy (-) and the simulator (+) differ:\n%s", diff)
			}
		})
	}
}

// realPlugins are the plugins of a case in a real Envoy, which has those of the cases before, too.
type realPlugins struct {
	*realProxy
	prefix string // of listeners and vm_ids
	before []variant
	now    []variant
	read   int // lines of the log
}

func (p *realPlugins) proxy(plugin string) (proxy, string) { return p.realProxy, p.prefix + plugin }

func (p *realPlugins) takeLog() []string {
	all := p.log()
	taken := all[p.read:]
	p.read = len(all)
	return taken
}

func (p *realPlugins) add(v variant) { p.have(append(slices.Clone(p.now), v)...) }

func (p *realPlugins) remove(plugin string) {
	p.have(slices.DeleteFunc(slices.Clone(p.now), func(v variant) bool { return v.name == plugin })...)
}

func (p *realPlugins) configure(plugin, config string) {
	now := slices.Clone(p.now)
	for i := range now {
		if now[i].name == plugin {
			now[i].config = config
		}
	}
	p.have(now...)
}

// have gives Envoy these plugins, and waits until it has them.
func (p *realPlugins) have(vs ...variant) {
	changed := slices.DeleteFunc(slices.Clone(vs), func(v variant) bool {
		return slices.ContainsFunc(p.now, func(old variant) bool { return reflect.DeepEqual(old, v) })
	})
	p.now = vs
	listeners := p.listeners()
	for _, v := range listeners {
		if p.ports[v.name] == 0 {
			p.ports[v.name] = freePort()
		}
	}
	p.update(listeners, len(changed))
}

// listeners are all of Envoy's.
func (p *realPlugins) listeners() []variant {
	all := slices.Clone(p.before)
	for _, v := range p.now {
		v.name, v.vmID = p.prefix+v.name, p.prefix+v.vmID
		all = append(all, v)
	}
	return all
}

func (p *realPlugins) drained() {
	p.await("the drain", func() bool {
		return p.stat("listener_manager.total_filter_chains_draining") == 0 && p.stat("listener_manager.total_listeners_draining") == 0
	})
}

// simPlugins are simulated.
type simPlugins struct {
	t     *testing.T
	sims  map[string]*simProxy
	first *hostsim.Sim
}

func (p *simPlugins) proxy(plugin string) (proxy, string) { return p.sims[plugin], plugin }

func (p *simPlugins) add(v variant) {
	v.vmID = or(v.vmID, "shared")
	s := simulatePlugin(p.t, probeModule(p.t), v, p.first)
	p.sims[v.name] = s
	if p.first == nil {
		p.first = s.Sim
	}
}

func (p *simPlugins) configure(plugin, config string) {
	if err := p.sims[plugin].Reconfigure([]byte(config)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *simPlugins) remove(plugin string) { p.sims[plugin].Remove() }

func (p *simPlugins) drained() { p.first.Advance(drainTime + time.Second) }

func (p *simPlugins) takeLog() []string {
	var all []string
	for _, s := range p.sims {
		all = append(all, s.log()...)
		s.forCase()
	}
	return all
}
