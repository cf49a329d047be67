package hostsim

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bench makes host calls inside a stream of a module that does nothing.
type bench struct {
	t    *testing.T
	sim  *Sim
	st   *Stream
	next uint32 // free memory
	own  *int   // how often the foreign function "own" was called
}

func newBench(t *testing.T) *bench { return newBenchWith(t, Options{}) }

func newBenchWith(t *testing.T, o Options) *bench {
	if o.Module == nil {
		o.Module = good().encode()
	}
	s := RunT(t, o)
	st := s.Start(1, Get("/x"))
	st.ctx = s.workers[0].streamContext(st)
	st.ctx.vm.current = st.ctx
	t.Cleanup(func() { st.ctx.vm.current = nil })
	return &bench{t: t, sim: s, st: st, next: 4096}
}

// put writes b into the module's memory; the result is the call's two arguments.
func (b *bench) put(data string) (ptr, size uint64) {
	at := b.next
	b.next += uint32(len(data)) + 8
	if !b.st.ctx.vm.mod.Memory().Write(at, []byte(data)) {
		b.t.Fatal("out of memory")
	}
	return uint64(at), uint64(len(data))
}

func (b *bench) call(name string, args ...uint64) status {
	h := hostcallByName[name]
	if len(args) != len(h.params) {
		b.t.Fatalf("%s takes %d arguments", name, len(h.params))
	}
	stack := append(slices.Clone(args), 0) // the result needs a place, too
	h.invoke(context.WithValue(context.Background(), runningVM{}, b.st.ctx.vm), stack)
	return status(stack[0])
}

func (b *bench) want(what string, got, want status) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (b *bench) uint32At(ptr uint64) uint32 {
	n, _ := b.st.ctx.vm.mod.Memory().ReadUint32Le(uint32(ptr))
	return n
}

func TestMetricsFollowTheirKinds(t *testing.T) {
	b := newBench(t)
	name, size := b.put("requests")
	id, _ := b.put("\x00\x00\x00\x00")
	define := func(kind uint64) uint64 {
		b.want("define", b.call("proxy_define_metric", kind, name, size, id), statusOK)
		return uint64(b.uint32At(id))
	}
	minus := ^uint64(0)
	c, g, h := define(0), define(1), define(2)
	b.want("a fourth kind", b.call("proxy_define_metric", 3, name, size, id), statusBadArgument)
	b.want("counter + 2", b.call("proxy_increment_metric", c, 2), statusOK)
	b.want("counter - 1", b.call("proxy_increment_metric", c, minus), statusBadArgument)
	b.want("counter + 0", b.call("proxy_increment_metric", c, 0), statusBadArgument)
	b.want("gauge + 5", b.call("proxy_increment_metric", g, 5), statusOK)
	b.want("gauge - 1", b.call("proxy_increment_metric", g, minus), statusOK)
	b.want("histogram + 1", b.call("proxy_increment_metric", h, 1), statusBadArgument)
	b.want("record in a histogram", b.call("proxy_record_metric", h, 7), statusOK)
	b.want("read a histogram", b.call("proxy_get_metric", h, id), statusBadArgument)
	b.want("an unknown counter", b.call("proxy_increment_metric", 4000, 1), statusNotFound)
	b.want("read the counter", b.call("proxy_get_metric", c, id), statusOK)
	if got := b.uint32At(id); got != 2 || b.sim.Counter("requests") != 2 || b.sim.Gauge("requests") != 4 || b.sim.Histogram("requests")[0] != 7 {
		t.Errorf("counter %d, gauge %d, histogram %v", got, b.sim.Gauge("requests"), b.sim.Histogram("requests"))
	}
}

func TestBuffersAreReplacedAtTheirEnds(t *testing.T) {
	for _, c := range []struct {
		start, length uint64
		result        status
		body          string
	}{
		{0, 0, statusOK, "NEWhello"},
		{0, 5, statusOK, "NEW"},
		{0, 1 << 31, statusOK, "NEW"},
		{5, 0, statusOK, "helloNEW"},
		{1 << 31, 0, statusOK, "helloNEW"},
		{0, 2, statusOK, "NEWllo"},
		{2, 2, statusBadArgument, "hello"},
	} {
		b := newBench(t)
		body := []byte("hello")
		b.st.ctx.requestBody = &body
		data, size := b.put("NEW")
		if got := b.call("proxy_set_buffer_bytes", uint64(bufferRequestBody), c.start, c.length, data, size); got != c.result || string(body) != c.body {
			t.Errorf("start %d length %d: %v %q, want %v %q", c.start, c.length, got, body, c.result, c.body)
		}
	}
}

func TestSharedDataComparesOnlyWhatExists(t *testing.T) {
	b := newBench(t)
	key, keySize := b.put("key")
	value, size := b.put("value")
	out, _ := b.put(strings.Repeat("\x00", 12))
	b.want("a new key with a cas", b.call("proxy_set_shared_data", key, keySize, value, size, 77), statusOK)
	b.want("get", b.call("proxy_get_shared_data", key, keySize, out, out+4, out+8), statusOK)
	cas := uint64(b.uint32At(out + 8))
	b.want("another cas", b.call("proxy_set_shared_data", key, keySize, value, size, cas+1), statusCasMismatch)
	b.want("the right cas", b.call("proxy_set_shared_data", key, keySize, value, size, cas), statusOK)
	b.want("the same cas again", b.call("proxy_set_shared_data", key, keySize, value, size, cas), statusCasMismatch)
	b.want("without", b.call("proxy_set_shared_data", key, keySize, value, size, 0), statusOK)
}

func TestGRPCIsRefused(t *testing.T) {
	b := newBench(t)
	for name, want := range map[string]status{
		"proxy_grpc_call": statusInternalFailure, "proxy_grpc_stream": statusInternalFailure,
		"proxy_grpc_cancel": statusBadArgument, "proxy_grpc_close": statusBadArgument, "proxy_grpc_send": statusBadArgument,
	} {
		b.want(name, b.call(name, make([]uint64, len(hostcallByName[name].params))...), want)
	}
}

func TestPairsBeyondTheBoundsAreAnEmptyMap(t *testing.T) {
	many := func(n int) Headers {
		var h Headers
		for range n {
			h = append(h, [2]string{"a", ""})
		}
		return h
	}
	short := encodePairs(many(2))
	binary.LittleEndian.PutUint32(short, 3)
	for name, c := range map[string]struct {
		in   []byte
		want int
	}{
		"1024 fields":       {encodePairs(many(1024)), 1024},
		"1025 fields":       {encodePairs(many(1025)), 0},
		"over a megabyte":   {encodePairs(Headers{{"a", strings.Repeat("x", 1<<20)}}), 0},
		"a wrong count":     {short, 0},
		"no zero at an end": {bytes.Replace(encodePairs(Headers{{"a", "b"}}), []byte("a\x00"), []byte("aa"), 1), 0},
		"bytes after it":    {append(encodePairs(many(1)), 0), 0},
		"no bytes":          {nil, 0},
	} {
		if got := len(decodePairs(c.in)); got != c.want {
			t.Errorf("%s: %d fields, want %d", name, got, c.want)
		}
	}
}

// Arguments of a host call that are pointers: in stands for two, the pointer to
// bytes and their number, out for the address of a result.
type (
	in  string
	out struct{}
)

func TestPointersOutsideTheMemoryAreRefused(t *testing.T) {
	pairs := in(encodePairs(Headers{{":method", "GET"}, {":path", "/x"}, {":authority", "a"}}))
	for name, args := range map[string][]any{
		"proxy_log":                          {2, in("text")},
		"proxy_get_log_level":                {out{}},
		"proxy_get_current_time_nanoseconds": {out{}},
		"proxy_get_status":                   {out{}, out{}, out{}},
		"proxy_get_property":                 {in("plugin_name"), out{}, out{}},
		"proxy_set_property":                 {in("mine"), in("7")},
		"proxy_call_foreign_function":        {in("own"), in("text"), out{}, out{}},
		"proxy_send_local_response":          {200, in("why"), in("body"), pairs, 0},
		"proxy_get_header_map_pairs":         {0, out{}, out{}},
		"proxy_set_header_map_pairs":         {0, pairs},
		"proxy_get_header_map_value":         {0, in("a"), out{}, out{}},
		"proxy_add_header_map_value":         {0, in("b"), in("c")},
		"proxy_replace_header_map_value":     {0, in("b"), in("c")},
		"proxy_remove_header_map_value":      {0, in("b")},
		"proxy_get_header_map_size":          {0, out{}},
		"proxy_get_buffer_bytes":             {int(bufferVMConfiguration), 0, 9, out{}, out{}},
		"proxy_set_buffer_bytes":             {0, 0, 0, in("text")},
		"proxy_get_buffer_status":            {int(bufferVMConfiguration), out{}, out{}},
		"proxy_get_shared_data":              {in("key"), out{}, out{}, out{}},
		"proxy_set_shared_data":              {in("key"), in("value"), 0},
		"proxy_register_shared_queue":        {in("queue"), out{}},
		"proxy_resolve_shared_queue":         {in("vm"), in("queue"), out{}},
		"proxy_enqueue_shared_queue":         {1, in("item")},
		"proxy_dequeue_shared_queue":         {1, out{}, out{}},
		"proxy_define_metric":                {0, in("metric"), out{}},
		"proxy_get_metric":                   {4, out{}},
		"proxy_http_call":                    {in("backend"), pairs, in("body"), in("\x00\x00\x00\x00"), 100, out{}},
	} {
		t.Run(name, func(t *testing.T) {
			good := pointerArgs(newPointerBench(t), args)
			b := newPointerBench(t)
			b.want("good pointers", b.call(name, pointerArgs(b, args)...), statusOK)
			at := 0
			for _, arg := range args {
				var bad [][]uint64 // in the place of this argument
				switch arg := arg.(type) {
				case in:
					far, size := uint64(1<<31), uint64(len(arg))
					bad = [][]uint64{{far, size}, {good[at], far}, {65_535, 2}, {1<<32 - 1, 1<<32 - 1}}
				case out:
					bad = [][]uint64{{1 << 31}, {65_534}, {1<<32 - 1}}
				}
				for _, values := range bad {
					b := newPointerBench(t)
					wrong, before := pointerArgs(b, args), b.effects()
					copy(wrong[at:], values)
					if got := b.call(name, wrong...); got != statusInvalidMemory {
						t.Errorf("argument %d is %#x: %v", at, values, got)
					}
					if diff := cmp.Diff(before, b.effects()); diff != "" && !(is[out](arg) && slices.Contains(effectBeforeResult, name)) {
						t.Errorf("argument %d is %#x, and yet something happened:\n%s", at, values, diff)
					}
				}
				if at++; is[in](arg) {
					at++
				}
			}
		})
	}
}

// effectBeforeResult are host calls that have done their work when they find
// that there is no room for the result, in Envoy too.
var effectBeforeResult = []string{"proxy_call_foreign_function", "proxy_define_metric", "proxy_register_shared_queue", "proxy_dequeue_shared_queue"}

// effects is everything that the host calls of TestPointersOutsideTheMemoryAreRefused can change.
func (b *bench) effects() []string {
	s, c := b.sim, b.st.ctx
	items := 0
	for _, q := range s.proxy.shared.queues {
		items += len(q.items)
	}
	return []string{fmt.Sprint("shared data ", s.proxy.shared.data), fmt.Sprint("queues ", s.proxy.shared.tokens), fmt.Sprint("items ", items), fmt.Sprint("metrics ", len(s.proxy.metrics)),
		fmt.Sprint("deferred ", len(c.vm.deferred)), fmt.Sprint("stopped ", c.vm.stopIteration), fmt.Sprint("calls ", len(c.parent.calls)), fmt.Sprint("state ", b.st.filterState),
		fmt.Sprint("headers ", *c.requestHeaders), fmt.Sprint("body ", *c.requestBody), fmt.Sprint("own ", *b.own), fmt.Sprint("logs ", len(s.logs))}
}

func TestNumbersBeyondTheABIAreBadArguments(t *testing.T) {
	minus := int(^uint32(0))
	for name, calls := range map[string][][]any{
		"proxy_log":                      {{6, in("text")}, {minus, in("text")}},
		"proxy_set_effective_context":    {{0}, {999}},
		"proxy_continue_stream":          {{4}},
		"proxy_close_stream":             {{4}},
		"proxy_get_header_map_pairs":     {{8, out{}, out{}}},
		"proxy_set_header_map_pairs":     {{8, in("")}, {int(mapCallHeaders), in("")}},
		"proxy_get_header_map_value":     {{8, in("a"), out{}, out{}}},
		"proxy_add_header_map_value":     {{8, in("a"), in("b")}, {int(mapCallHeaders), in("a"), in("b")}},
		"proxy_replace_header_map_value": {{8, in("a"), in("b")}},
		"proxy_remove_header_map_value":  {{8, in("a")}},
		"proxy_get_header_map_size":      {{8, out{}}},
		"proxy_get_buffer_bytes":         {{9, 0, 1, out{}, out{}}},
		"proxy_set_buffer_bytes":         {{9, 0, 0, in("text")}, {int(bufferVMConfiguration), 0, 0, in("text")}},
		"proxy_get_buffer_status":        {{9, out{}, out{}}},
		"proxy_define_metric":            {{3, in("metric"), out{}}},
		"proxy_http_call":                {{in("backend"), in(encodePairs(Headers{{":method", "GET"}, {":path", "/x"}, {":authority", "a"}})), in(""), in(""), minus, out{}}},
	} {
		for _, args := range calls {
			b := newPointerBench(t)
			b.want(fmt.Sprint(name, args), b.call(name, pointerArgs(b, args)...), statusBadArgument)
		}
	}
}

func TestForeignFunctionsBoundWhatTheyRead(t *testing.T) {
	for name, c := range map[string]struct {
		function, argument string
		want               status
	}{
		"a field longer than the message": {"set_envoy_filter_state", "\n\x7fa", statusBadArgument},
		"a message that ends in a field":  {"set_envoy_filter_state", "\n", statusBadArgument},
		"more than the memory holds":      {"uncompress", string(compress(make([]byte, 2<<20))), statusInvalidMemory},
		"as much as the memory holds":     {"uncompress", string(compress(make([]byte, 1<<20))), statusOK},
	} {
		m := good()
		m.memory = 32
		m.exports[1].code = op(1 << 20) // the allocator's answer
		b := newBenchWith(t, Options{Module: m.encode(), MemoryLimit: 2 << 20})
		b.sim.opts.MemoryLimit = 1 << 20
		args := pointerArgs(b, []any{in(c.function), in(c.argument), out{}, out{}})
		b.want(name, b.call("proxy_call_foreign_function", args...), c.want)
	}
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

func TestAnAllocatorThatGivesNothingUsable(t *testing.T) {
	for name, malloc := range map[string][]byte{"zero": opReturn0, "outside the memory": opHuge} {
		m := good()
		m.exports[1].code = malloc
		b := newBenchWith(t, Options{Module: m.encode(), VMConfig: []byte("vm config")})
		out, _ := b.put("12345678")
		b.want(name, b.call("proxy_get_buffer_bytes", uint64(bufferVMConfiguration), 0, 9, out, out+4), statusInvalidMemory)
	}
}

// newPointerBench has something of everything that a host call can be about.
func newPointerBench(t *testing.T) *bench {
	own := new(int)
	b := newBenchWith(t, Options{VMConfig: []byte("vm config"), VMID: "vm", PluginName: "name",
		Clusters:         map[string]http.Handler{"backend": http.NotFoundHandler()},
		ForeignFunctions: map[string]func([]byte) ([]byte, error){"own": func(b []byte) ([]byte, error) { *own++; return b, nil }}})
	b.own = own
	b.st.ctx.requestHeaders, b.st.ctx.requestBody = &Headers{{"a", "b"}}, &[]byte{}
	b.st.ctx.parent.statusText = "text"
	setUp := func(name string, args ...any) {
		b.t.Helper()
		b.want(name, b.call(name, pointerArgs(b, args)...), statusOK)
	}
	setUp("proxy_set_shared_data", in("key"), in("value"), 0)
	setUp("proxy_register_shared_queue", in("queue"), out{})
	setUp("proxy_enqueue_shared_queue", 1, in("item"))
	setUp("proxy_define_metric", 0, in("metric"), out{})
	return b
}

// pointerArgs lays out a host call's arguments.
func pointerArgs(b *bench, args []any) []uint64 {
	var all []uint64
	for _, arg := range args {
		switch arg := arg.(type) {
		case int:
			all = append(all, uint64(arg))
		case in:
			ptr, size := b.put(string(arg))
			all = append(all, ptr, size)
		case out:
			ptr, _ := b.put("12345678")
			all = append(all, ptr)
		}
	}
	return all
}
