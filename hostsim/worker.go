package hostsim

import (
	"fmt"
	"slices"
	"time"
)

// worker is a plugin's part of one thread of the proxy; index 0 is the main thread.
type worker struct {
	sim      *Sim
	index    int
	root     *vmContext   // the plugin's root context, in a VM that other plugins may have, too
	old      []*vmContext // replaced, draining
	version  int          // of the plugin's configuration: streams know theirs
	loadedAt time.Time    // when root was made, or its replacement last tried
}

// start gives the worker a root context of the plugin's configuration, in its
// VM key's VM. Where that fails, the one before stays.
func (w *worker) start() error {
	w.loadedAt = w.sim.clock.Now()
	v, err := w.sim.proxy.vmFor(w)
	if err != nil {
		return err
	}
	root, err := v.rootFor(w)
	if err != nil {
		return err
	}
	w.root = root
	w.version++
	return nil
}

// streamContext creates the stream's context in the VM, reloading a dead VM
// where the policy says so. nil: the module doesn't see the stream.
func (w *worker) streamContext(st *Stream) *vmContext {
	if w.root.vm.failed && w.sim.opts.Policy == FailReload && w.sim.clock.Now().Sub(w.loadedAt) >= w.sim.opts.ReloadBackoff {
		w.reload()
	}
	st.version = w.version
	v := w.root.vm
	if v.failed {
		if w.sim.opts.Policy == FailOpen {
			return nil
		}
		return &vmContext{vm: v, stream: st, parent: w.root} // the first callback answers 503
	}
	c := v.newContext(w.root, st)
	v.callback(c, "proxy_on_context_create", nil, uint64(c.id), uint64(w.root.id))
	return c
}

// reload gives the plugin a VM in the place of the dead one; where that fails
// the back-off starts anew.
func (w *worker) reload() {
	if old := w.root; w.start() == nil {
		old.release(w)
	}
}

// roots are the root contexts that the worker uses, the current one first.
func (w *worker) roots() []*vmContext {
	switch {
	case w == nil:
		return nil
	case w.root == nil:
		return w.old
	}
	return append([]*vmContext{w.root}, w.old...)
}

// pendingCalls names the calls that may still be answered.
func (w *worker) pendingCalls() []string {
	var names []string
	for _, root := range w.roots() {
		for token, k := range root.calls {
			if !root.vm.failed {
				names = append(names, fmt.Sprintf("worker %d: call %d to %s", w.index, token, k.cluster))
			}
		}
	}
	slices.Sort(names)
	return names
}

// close lets go of everything without a word to the module.
func (w *worker) close() {
	for _, root := range w.roots() {
		root.release(w)
	}
	if w != nil {
		w.root, w.old = nil, nil
	}
}
