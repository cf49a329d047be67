package hostsim

import (
	"fmt"
	"slices"
)

// rootState is what only root contexts have: one for each plugin key in a VM.
type rootState struct {
	key   pluginKey
	users []*worker // that use it, one of them several times where it replaces itself

	tick       *timer
	tickPeriod uint32
	configure  bool // in proxy_on_configure: the configuration is readable
	doneLater  bool // ended, and proxy_on_done asked to wait for proxy_done
	response   *callResponse
	calls      map[uint32]*call
	statusCode uint32
	statusText string
}

// rootFor gives the root context of the worker's plugin key, one more time.
func (v *vm) rootFor(w *worker) (*vmContext, error) {
	key := w.pluginKey()
	root := v.roots[key]
	if root == nil {
		root = v.newContext(nil, nil)
		root.owner, root.key = w, key
		v.roots[key] = root
	}
	root.users = append(root.users, w)
	if len(root.users) > 1 {
		return root, nil
	}
	if err := root.start(); err != nil {
		root.release(w)
		return nil, err
	}
	return root, nil
}

// start tells the module of the root context. proxy_on_vm_start comes with each
// one, not once a VM (measured).
func (c *vmContext) start() error {
	v, id := c.vm, uint64(c.id)
	v.callback(c, "proxy_on_context_create", nil, id, 0)
	if err := c.ask("proxy_on_vm_start", id, uint64(len(v.opts.VMConfig))); err != nil {
		return err
	}
	c.configure = true
	defer func() { c.configure = false }()
	return c.ask("proxy_on_configure", id, uint64(len(c.key.config)))
}

// ask makes a callback that the module may refuse by 0.
func (c *vmContext) ask(callback string, args ...uint64) error {
	refused := false
	c.vm.callback(c, callback, func(r uint32) { refused = r == 0 }, args...)
	switch {
	case c.vm.failed:
		return fmt.Errorf("%w: %s%s", ErrConfig, c.vm.cause, c.sim().lastWarnings())
	case refused:
		return fmt.Errorf("%w: %s refused it%s", ErrConfig, callback, c.sim().lastWarnings())
	}
	return nil
}

// leave takes the worker off, and reports whether nobody uses the root context any more.
func (c *vmContext) leave(w *worker) bool {
	if i := slices.Index(c.users, w); i >= 0 {
		c.users = slices.Delete(c.users, i, i+1)
	}
	if len(c.users) > 0 {
		c.owner = c.users[0]
		return false
	}
	delete(c.vm.roots, c.key)
	return true
}

// release is leave without a word to the module.
func (c *vmContext) release(w *worker) {
	if c.leave(w) {
		c.forget()
		c.vm.closeUnused()
	}
}

// retire is leave at the end of a drain: proxy_on_done, and proxy_on_delete,
// which comes with proxy_done where proxy_on_done said so. A VM whose last root
// context it was waits for nothing.
func (c *vmContext) retire(w *worker) {
	if !c.leave(w) {
		return
	}
	finished := true
	c.vm.callback(c, "proxy_on_done", func(r uint32) { finished = r != 0 }, uint64(c.id))
	if c.doneLater = !finished; finished {
		c.delete()
	}
	c.vm.closeUnused()
}

// callDone is the module's word that it has finished what proxy_on_done put off.
func callDone(a *callArgs) status {
	root := a.ctx.rootContext()
	if !root.doneLater {
		return statusNotFound
	}
	root.doneLater = false
	a.vm.deferred = append(a.vm.deferred, root.delete)
	return statusOK
}

func (c *vmContext) delete() {
	c.vm.callback(c, "proxy_on_delete", nil, uint64(c.id))
	c.forget()
}

// forget takes a context out of its VM, a root context with its calls and its tick.
func (c *vmContext) forget() {
	for _, k := range c.calls {
		k.cancel()
	}
	c.vm.clock.stop(c.tick)
	c.tickPeriod = 0
	delete(c.vm.contexts, c.id)
}
