package hostsim

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// worker is a thread of the proxy with its VM; index 0 is the main thread.
type worker struct {
	sim      *Sim
	index    int
	vm       *vm
	old      []*vm     // replaced, draining
	loadedAt time.Time // when the VM was started, or its replacement last tried
}

func (w *worker) start() error {
	w.loadedAt = w.sim.clock.Now()
	v, err := w.newVM(w.sim.code)
	if err != nil {
		return err
	}
	w.vm = v
	return v.configureVM(w.sim.opts.PluginConfig)
}

// streamContext creates the stream's context in the VM, reloading a dead VM
// where the policy says so. nil: the module doesn't see the stream.
func (w *worker) streamContext(st *Stream) *vmContext {
	if w.vm.failed && w.sim.opts.Policy == FailReload && w.sim.clock.Now().Sub(w.loadedAt) >= w.sim.opts.ReloadBackoff {
		w.reload()
	}
	v := w.vm
	if v.failed {
		if w.sim.opts.Policy == FailOpen {
			return nil
		}
		return &vmContext{vm: v, stream: st, parent: v.root} // the first callback answers 503
	}
	c := v.newContext(v.root, st)
	v.callback(c, "proxy_on_context_create", nil, uint64(c.id), uint64(v.root.id))
	return c
}

// reload replaces the dead VM; where that fails the old one stays and the back-off starts anew.
func (w *worker) reload() {
	old := w.vm
	if err := w.start(); err != nil {
		w.vm = old
		return
	}
	old.close()
}

func (w *worker) vms() []*vm {
	if w == nil || w.vm == nil {
		return nil
	}
	return append([]*vm{w.vm}, w.old...)
}

// forget closes a replaced VM that has drained.
func (w *worker) forget(v *vm) {
	w.old = slices.DeleteFunc(w.old, func(o *vm) bool { return o == v })
	v.close()
}

func (w *worker) hasCalls() bool { return len(w.pendingCalls()) > 0 }

// pendingCalls names the calls that may still be answered.
func (w *worker) pendingCalls() []string {
	var names []string
	for _, v := range w.vms() {
		for _, c := range v.contexts {
			for token, k := range c.calls {
				if !v.failed {
					names = append(names, fmt.Sprintf("worker %d: call %d to %s", w.index, token, k.cluster))
				}
			}
		}
	}
	sort.Strings(names)
	return names
}

func (w *worker) close() {
	for _, v := range w.vms() {
		v.close()
	}
}
