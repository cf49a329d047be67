package hostsim

import "fmt"

// Reconfigure gives the plugin another configuration, as a listener update
// does in Envoy: the VMs and their heaps stay, each gets a new root context;
// the old one lives on beside it, with its streams, ticks and calls, until
// Options.DrainTime has passed and proxy_on_done lets it go.
//
// A configuration that the module refuses (tried in a VM of its own first)
// changes nothing; the error then matches ErrConfig.
func (s *Sim) Reconfigure(config []byte) error {
	if err := s.canary(s.code, config); err != nil {
		return err
	}
	s.opts.PluginConfig = config
	for _, w := range s.threads() {
		if err := w.reconfigure(config); err != nil {
			return err
		}
	}
	s.clock.Settle()
	return nil
}

// Replace runs another module: new VMs take the new streams, the old ones
// drain as Reconfigure describes and are closed.
func (s *Sim) Replace(module, config []byte) error {
	code, err := compileModule(module, s.opts.MemoryLimit)
	if err != nil {
		return err
	}
	if err := s.canary(code, config); err != nil {
		return err
	}
	s.code, s.opts.PluginConfig = code, config
	for _, w := range s.threads() {
		old := w.vm
		if err := w.start(); err != nil {
			return fmt.Errorf("worker %d: %w", w.index, err)
		}
		w.old = append(w.old, old)
		old.drain(old.root)
	}
	s.clock.Settle()
	return nil
}

// canary tries module and configuration in a VM that sees nothing else.
func (s *Sim) canary(code *compiled, config []byte) error {
	w := &worker{sim: s}
	v, err := w.newVM(code)
	if err != nil {
		return err
	}
	defer v.close()
	return v.configureVM(config)
}

func (s *Sim) threads() []*worker { return append([]*worker{s.main}, s.workers...) }

func (w *worker) reconfigure(config []byte) error {
	v := w.vm
	if v.failed {
		return w.start()
	}
	old := v.root
	v.root = v.newContext(nil, nil)
	v.callback(v.root, "proxy_on_context_create", nil, uint64(v.root.id), 0)
	if err := v.configurePlugin(config); err != nil {
		return err
	}
	v.drain(old)
	return nil
}

// drain ends a root context when the drain time has passed.
func (v *vm) drain(root *vmContext) {
	v.worker.sim.clock.after(v.worker.sim.opts.DrainTime, func() {
		v.worker.sim.dropStreams(root)
		finished := true
		v.callback(root, "proxy_on_done", func(r uint32) { finished = r != 0 }, uint64(root.id))
		if root.doneLater = !finished; finished {
			v.deleteRoot(root)
		}
	})
}

// callDone is the module's word that it has finished what proxy_on_done put off.
func callDone(a *callArgs) status {
	root := a.ctx.rootContext()
	if !root.doneLater {
		return statusNotFound
	}
	root.doneLater = false
	a.vm.deferred = append(a.vm.deferred, func() { a.vm.deleteRoot(root) })
	return statusOK
}

// deleteRoot forgets a drained root context; a VM whose last it was is closed.
func (v *vm) deleteRoot(root *vmContext) {
	v.callback(root, "proxy_on_delete", nil, uint64(root.id))
	v.worker.sim.clock.stop(root.tick)
	root.tickPeriod = 0
	for _, k := range root.calls {
		k.cancel()
	}
	delete(v.contexts, root.id)
	if root == v.root && v != v.worker.vm {
		v.worker.forget(v)
	}
}

// dropStreams ends what still runs on a root context whose listener has drained.
func (s *Sim) dropStreams(root *vmContext) {
	for _, st := range s.Streams() {
		if st.ctx != nil && st.ctx.parent == root {
			st.reset("listener_drained")
		}
	}
}
