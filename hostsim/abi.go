package hostsim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// hostcall is one function that the module may import from "env".
type hostcall struct {
	name   string
	params string // one letter a parameter: i for i32, I for i64
	run    func(a *callArgs) status
}

// hostcalls is the ABI, filled in by init to break the cycle of a host call
// that enters the module, which makes host calls.
var (
	hostcalls      []hostcall
	hostcallByName map[string]*hostcall
)

func init() {
	hostcalls = slices.Concat(generalCalls, streamCalls, headerCalls, bufferCalls, sharedCalls, metricCalls, callCalls, grpcCalls)
	hostcallByName = make(map[string]*hostcall, len(hostcalls))
	for i := range hostcalls {
		hostcallByName[hostcalls[i].name] = &hostcalls[i]
	}
}

// signature is how many parameters and results a function has, each an i32.
type signature struct{ params, results int }

// callbackSignatures are what the host calls in the module.
var callbackSignatures = map[string]signature{
	"malloc":                      {1, 1},
	"proxy_on_memory_allocate":    {1, 1},
	"proxy_on_context_create":     {2, 0},
	"proxy_on_vm_start":           {2, 1},
	"proxy_on_configure":          {2, 1},
	"proxy_on_tick":               {1, 0},
	"proxy_on_queue_ready":        {2, 0},
	"proxy_on_http_call_response": {5, 0},
	"proxy_on_request_headers":    {3, 1},
	"proxy_on_request_body":       {3, 1},
	"proxy_on_request_trailers":   {2, 1},
	"proxy_on_response_headers":   {3, 1},
	"proxy_on_response_body":      {3, 1},
	"proxy_on_response_trailers":  {2, 1},
	"proxy_on_log":                {1, 0},
	"proxy_on_done":               {1, 1},
	"proxy_on_delete":             {1, 0},
}

const growthNotice = "emscripten_notify_memory_growth"

// exportABI adds every host call to the builder of module "env".
func exportABI(b wazero.HostModuleBuilder) wazero.HostModuleBuilder {
	for i := range hostcalls {
		h := &hostcalls[i]
		params := make([]api.ValueType, len(h.params))
		for k, p := range h.params {
			params[k] = api.ValueTypeI32
			if p == 'I' {
				params[k] = api.ValueTypeI64
			}
		}
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(h.invoke), params, []api.ValueType{api.ValueTypeI32}).Export(h.name)
	}
	// What Emscripten's runtime tells of: nothing to do.
	b.NewFunctionBuilder().WithFunc(func(uint32) {}).Export(growthNotice)
	return b
}

// maxHostCalls bounds the host calls of one callback: what a loop hands to the
// host (metrics, queues, calls) must not fill the memory of the test before the
// callback's time is over.
const maxHostCalls = 1 << 18

// invoke runs the host call for the VM whose code is running.
func (h *hostcall) invoke(ctx context.Context, stack []uint64) {
	v := ctx.Value(runningVM{}).(*vm)
	if v.mod == nil {
		panic(fmt.Errorf("%s was called by the start section, where Envoy has no context yet and crashes", h.name))
	}
	if v.restricted != "" && h.name != "proxy_log" {
		panic(fmt.Errorf("%s was called by %s; Envoy allows only proxy_log there", h.name, v.restricted))
	}
	if v.hostCalls++; v.hostCalls > maxHostCalls {
		panic(fmt.Errorf("endless loop: more than %d host calls in one callback", maxHostCalls))
	}
	a := &callArgs{vm: v, ctx: v.active(), stack: stack}
	result := h.run(a)
	if a.bad {
		result = statusInvalidMemory
	}
	of := v.traced(a.ctx)
	v.traceCall(of, "    %s(%s) = %s%s", h.name, strings.Join(a.in, ", "), result, a.out)
	if of.stream != nil {
		of.stream.hostCalls++
	}
	stack[0] = uint64(result)
}

// callArgs gives a host call its parameters, and notes them for the trace.
type callArgs struct {
	vm    *vm
	ctx   *vmContext // that the call concerns
	stack []uint64
	bad   bool // a pointer leads outside the module's memory
	in    []string
	out   string
}

// quoteMax is how much of a value the trace shows.
const quoteMax = 80

func quote(b []byte) string {
	if len(b) > quoteMax {
		return fmt.Sprintf("%q… (%d bytes)", b[:quoteMax], len(b))
	}
	return fmt.Sprintf("%q", b)
}

func (a *callArgs) num(i int) uint32 {
	n := uint32(a.stack[i])
	a.in = append(a.in, fmt.Sprint(int32(n)))
	return n
}

func (a *callArgs) num64(i int) int64 {
	a.in = append(a.in, fmt.Sprint(int64(a.stack[i])))
	return int64(a.stack[i])
}

// ptr is a parameter that says where to write; the trace leaves it out.
func (a *callArgs) ptr(i int) uint32 { return uint32(a.stack[i]) }

// bytes are the bytes at pointer i and size i+1.
func (a *callArgs) bytes(i int) []byte {
	b, ok := a.vm.read(a.ptr(i), a.ptr(i+1))
	if !ok {
		a.bad = true
		a.in = append(a.in, fmt.Sprintf("%#x+%d?", a.ptr(i), a.ptr(i+1)))
		return nil
	}
	a.in = append(a.in, quote(b))
	return b
}

func (a *callArgs) str(i int) string { return string(a.bytes(i)) }

// pairs are the serialised header fields at pointer i and size i+1.
func (a *callArgs) pairs(i int) Headers {
	b, ok := a.vm.read(a.ptr(i), a.ptr(i+1))
	if !ok {
		a.bad = true
		return nil
	}
	h := decodePairs(b)
	a.in = append(a.in, h.String())
	return h
}

func (a *callArgs) mapType(i int) mapType {
	m := mapType(a.ptr(i))
	a.in = append(a.in, m.String())
	return m
}

// give answers with bytes that the module then owns.
func (a *callArgs) give(b []byte, ptrPtr, sizePtr int) status {
	a.out = " " + quote(b)
	if !a.vm.give(b, a.ptr(ptrPtr), a.ptr(sizePtr)) {
		return statusInvalidMemory
	}
	return statusOK
}

func (a *callArgs) giveUint32(n uint32, ptr int) status {
	a.out = fmt.Sprintf(" %d", n)
	if !a.vm.putUint32(a.ptr(ptr), n) {
		return statusInvalidMemory
	}
	return statusOK
}

func (a *callArgs) giveUint64(n uint64, ptr int) status {
	a.out = fmt.Sprintf(" %d", n)
	if !a.vm.putUint64(a.ptr(ptr), n) {
		return statusInvalidMemory
	}
	return statusOK
}
