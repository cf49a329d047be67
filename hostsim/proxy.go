package hostsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// proxy is what the plugins of one simulated Envoy have in common: statistics,
// shared data and queues, and on each thread the VMs.
//
// A plugin's worker takes part in a VM as Envoy's does (wasm.cc of
// proxy-wasm-cpp-host and of Envoy):
//
//  1. It looks for its thread's VM of its VM key, and starts one where there is
//     none or where that has died.
//  2. It looks in the VM for a root context of its plugin key. An equal plugin's
//     is its own, too, without any callback; else it makes one, with
//     proxy_on_context_create, proxy_on_vm_start and proxy_on_configure.
//  3. A root context ends with the last plugin that uses it, a VM with its last
//     root context, and shared data and queues with the last VM of their vm_id.
//  4. A VM that dies is dead for all of them. The plugins that reload find, or
//     start, one new VM, each with its own next stream.
type proxy struct {
	shared  *shared
	metrics map[metricKey]*metric
	vms     map[vmKey]*vm
	holds   map[string]int // plugins and VMs by vm_id: what keeps its shared data
}

func newProxy() *proxy {
	return &proxy{shared: newShared(), metrics: map[metricKey]*metric{}, vms: map[vmKey]*vm{}, holds: map[string]int{}}
}

// vmKey is a thread with what Envoy makes the VM key of. Environment variables
// are part of it (measured). MemoryLimit, which is compiled into the code, is, too.
type vmKey struct {
	thread         int
	code           *compiled
	vmID, vmConfig string
	environment    string
}

// pluginKey tells whether plugins of one VM share a root context.
type pluginKey struct{ name, rootID, config string }

func (w *worker) vmKey() vmKey {
	o := &w.sim.opts
	var env strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		fmt.Fprintf(&env, "%q=%q ", name, o.Env[name])
	}
	return vmKey{w.index, w.sim.code, o.VMID, string(o.VMConfig), env.String()}
}

func (w *worker) pluginKey() pluginKey {
	o := &w.sim.opts
	return pluginKey{o.PluginName, o.RootID, string(o.PluginConfig)}
}

// vmFor gives the VM that the worker's plugin takes part in.
func (p *proxy) vmFor(w *worker) (*vm, error) {
	key := w.vmKey()
	if v := p.vms[key]; v != nil && !v.failed {
		return v, nil
	}
	v, err := w.newVM(w.sim.code)
	if err == nil {
		p.vms[key] = v
	}
	return v, err
}

// hold keeps what the VMs of a vm_id share, until as many calls of drop.
func (p *proxy) hold(vmID string) { p.holds[vmID]++ }

func (p *proxy) drop(vmID string) {
	if p.holds[vmID]--; p.holds[vmID] == 0 {
		p.shared.forget(vmID)
	}
}
