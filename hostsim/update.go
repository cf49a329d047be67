package hostsim

import (
	"fmt"
	"slices"
)

// Reconfigure gives the plugin another configuration, as a listener update
// does in Envoy: the VMs and their heaps stay, each gets a new root context;
// the old one lives on beside it, with its streams, ticks and calls, until
// Options.DrainTime has passed; then comes proxy_on_done.
//
// A configuration that the module refuses (tried in a VM of its own first)
// changes nothing; the error then matches ErrConfig.
func (s *Sim) Reconfigure(config []byte) error { return s.update(s.code, config) }

// Replace runs another module: new VMs take the new streams, the old ones
// drain as Reconfigure describes and are closed. The same bytes are no other
// module: that is Reconfigure.
func (s *Sim) Replace(module, config []byte) error {
	code, err := compileModule(module, s.opts.MemoryLimit, s.opts.OnCall)
	if err != nil {
		return err
	}
	return s.update(code, config)
}

func (s *Sim) update(code *compiled, config []byte) error {
	oldCode, oldConfig := s.code, s.opts.PluginConfig
	s.code, s.opts.PluginConfig = code, config
	if err := s.canary(); err != nil {
		s.code, s.opts.PluginConfig = oldCode, oldConfig
		return err
	}
	for _, w := range s.threads() {
		root, version := w.root, w.version
		if err := w.start(); err != nil {
			return fmt.Errorf("worker %d: %w", w.index, err)
		}
		w.drain(root, version)
	}
	s.clock.Settle()
	return nil
}

// Remove takes the plugin's listener away: there can be no new streams, and the
// root contexts drain as Reconfigure describes. VMs that no other plugin shares
// are then closed, and wait for nothing that proxy_on_done put off.
func (s *Sim) Remove() {
	s.clock.Settle()
	for _, w := range s.threads() {
		root := w.root
		w.root = nil
		w.drain(root, w.version)
	}
	s.clock.after(s.opts.DrainTime, s.end)
}

// canary tries module and configuration in a VM that sees nothing else.
func (s *Sim) canary() error {
	w := &worker{sim: s}
	v, err := w.newVM(s.code)
	if err != nil {
		return err
	}
	defer v.close()
	_, err = v.rootFor(w)
	return err
}

func (s *Sim) threads() []*worker { return append([]*worker{s.main}, s.workers...) }

// drain ends the use of a root context, and the streams of the configuration
// that it was for, when the drain time has passed.
func (w *worker) drain(root *vmContext, version int) {
	w.old = append(w.old, root)
	w.sim.clock.after(w.sim.opts.DrainTime, func() {
		i := slices.Index(w.old, root)
		if i < 0 {
			return // closed meanwhile
		}
		w.old = slices.Delete(w.old, i, i+1)
		w.sim.dropStreams(w, version)
		root.retire(w)
	})
}

// dropStreams ends what still runs on a listener that has drained.
func (s *Sim) dropStreams(w *worker, version int) {
	for _, st := range s.Streams() {
		if st.worker == w && st.version <= version {
			st.reset("listener_drained")
		}
	}
}
