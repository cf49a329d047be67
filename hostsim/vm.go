package hostsim

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"
)

// vm is one instance of the module, on a worker thread or on the main thread,
// with the root contexts of one or more plugins.
type vm struct {
	proxy *proxy
	key   vmKey
	opts  *Options // of the plugin that started it
	clock *Clock
	mod   api.Module
	funcs map[string]api.Function
	inner context.Context // for calls into the module from inside a host call

	base     *vmContext // of the start functions
	contexts map[uint32]*vmContext
	nextID   uint32
	roots    map[pluginKey]*vmContext // that plugins use

	// Of the callback that is running (thread-local in Envoy):
	current       *vmContext
	effective     uint32  // 0: current
	answering     *Stream // that the call being answered was made for
	stopIteration bool    // set by a local reply; changes the result of whatever callback runs
	deferred      []func()

	hostCalls int   // of the running callback
	taken     int64 // bytes that they took from the module

	metrics    map[uint32]*metric // by the id that the module knows
	lastMetric uint32             // id of the last metric, without its kind
	lastCall   uint32             // token of the last call
	restricted string             // what runs that may call nothing but proxy_log; "" else
	failed     bool
	closed     bool
	cause      string // of the failure
	printed    string // what the module printed before it died
	trace      ring
}

// vmContext is a root or stream context inside a VM.
type vmContext struct {
	vm     *vm
	id     uint32
	parent *vmContext // nil for a root
	stream *Stream    // nil for a root
	owner  *worker    // of a root: the one of its users that it speaks for

	// What the module may touch now; nil when Envoy has none.
	requestHeaders, requestTrailers   *Headers
	responseHeaders, responseTrailers *Headers
	requestBody, responseBody         *[]byte
	end                               bool // what the last callback was told of the end of its message
	logging                           bool // in proxy_on_log: maps can be read again

	rootState
}

func (c *vmContext) rootContext() *vmContext {
	if c.parent != nil {
		return c.parent
	}
	return c
}

// worker is the part of a thread that the context belongs to.
func (c *vmContext) worker() *worker {
	if c.stream != nil {
		return c.stream.worker
	}
	return c.owner
}

// sim is the plugin that the context belongs to.
func (c *vmContext) sim() *Sim { return c.worker().sim }

func (v *vm) newContext(parent *vmContext, st *Stream) *vmContext {
	v.nextID++
	c := &vmContext{vm: v, id: v.nextID, parent: parent, stream: st}
	if parent == nil {
		c.calls = map[uint32]*call{}
	}
	v.contexts[c.id] = c
	return c
}

// active is the context that host calls concern.
func (v *vm) active() *vmContext {
	if v.effective != 0 {
		if c := v.contexts[v.effective]; c != nil {
			return c
		}
	}
	if v.current != nil {
		return v.current
	}
	return v.base
}

func (v *vm) exports(name string) bool { return v.function(name) != nil }

func (v *vm) function(name string) api.Function {
	f, ok := v.funcs[name]
	if !ok {
		f = v.mod.ExportedFunction(name)
		v.funcs[name] = f
	}
	return f
}

type runningVM struct{}

// callback calls an exported proxy_on_… function for context c and then does
// what the module's host calls deferred: resumes, replies, resets. done, if
// not nil, sees the result before that, while the stop flag of a local reply
// still stands, as in Envoy. ok is false where the function isn't exported, or the
// VM was dead or has died.
func (v *vm) callback(c *vmContext, name string, done func(result uint32), args ...uint64) (ok bool) {
	if v.failed || !v.exports(name) {
		return false
	}
	of := v.traced(c)
	v.traceCall(of, "==> %s(%s)", name, joinArgs(args))
	result, ok := v.enter(c, name, args)
	if ok {
		v.traceCall(of, "<== %s = %d", name, result)
		if done != nil {
			done(result)
		}
	}
	v.stopIteration = false
	if v.failed { // in the allocator: the rest of the callback was made in vain
		v.deferred = nil
	}
	v.runDeferred()
	return ok && !v.failed
}

// enter calls the module with c as the current context.
func (v *vm) enter(c *vmContext, name string, args []uint64) (uint32, bool) {
	savedCurrent, savedEffective := v.current, v.effective
	v.current, v.effective, v.hostCalls, v.taken = c, 0, 0, 0
	defer func() { v.current, v.effective = savedCurrent, savedEffective }()
	out, err := v.call(name, args...)
	if err != nil {
		v.die(c, fmt.Errorf("%s: %w", name, err))
		return 0, false
	}
	if len(out) == 0 {
		return 0, true
	}
	return uint32(out[0]), true
}

// call calls a function of the module, bounded in real time.
func (v *vm) call(name string, args ...uint64) (out []uint64, err error) {
	ctx, cancel := context.WithTimeout(v.inner, v.opts.CallbackTimeout)
	defer cancel()
	out, err = v.function(name).Call(ctx, args...)
	return out, v.explain(err)
}

// explain says what it means that wazero cut the module off.
func (v *vm) explain(err error) error {
	if cut, ok := errors.AsType[*sys.ExitError](err); ok && cut.ExitCode() == sys.ExitCodeDeadlineExceeded {
		return fmt.Errorf("endless loop: still running after %v of real time", v.opts.CallbackTimeout)
	}
	return err
}

func (v *vm) runDeferred() {
	for len(v.deferred) > 0 {
		f := v.deferred[0]
		v.deferred = v.deferred[1:]
		f()
	}
}

// die marks the VM as failed: no callback enters it any more.
func (v *vm) die(c *vmContext, err error) {
	if v.failed {
		return
	}
	v.failed = true
	v.deferred = nil
	if v.printed != "" {
		err = fmt.Errorf("%s: %w", v.printed, err)
	}
	v.cause = firstLines(err.Error(), 4)
	c.sim().fail(VMDied, c.stream, v.trace.lines(), "worker %d: %s", v.key.thread, v.cause)
}

func firstLines(s string, n int) string {
	lines := strings.SplitN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

func (v *vm) traceCall(c *vmContext, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if c != nil && c.stream != nil {
		c.stream.trace.add(line)
		return
	}
	v.trace.add(line)
}

// traced is the context in whose trace a line about c belongs: a call's answer
// is the root's callback, but part of the story of the stream it was made for.
func (v *vm) traced(c *vmContext) *vmContext {
	if c != nil && c.stream == nil && v.answering != nil && v.answering.ctx != nil {
		return v.answering.ctx
	}
	return c
}

func joinArgs(args []uint64) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = fmt.Sprint(int32(a))
	}
	return strings.Join(parts, ", ")
}

func boolArg(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// closeUnused closes a VM that no plugin uses any more.
func (v *vm) closeUnused() {
	if len(v.roots) == 0 {
		v.close()
	}
}

// close releases the instance; no callback enters it any more.
func (v *vm) close() {
	if v.closed {
		return
	}
	v.failed, v.closed = true, true
	for _, c := range v.contexts {
		c.forget()
	}
	if v.proxy.vms[v.key] == v {
		delete(v.proxy.vms, v.key)
	}
	v.mod.Close(context.Background())
	v.proxy.drop(v.key.vmID)
}
