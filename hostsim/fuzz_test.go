package hostsim

import (
	"context"
	"encoding/binary"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fuzzMemory is what the module's memory holds while host calls are fuzzed:
// names that mean something, at addresses that fuzzArgs knows.
var fuzzMemory = []string{
	":path", "request\x00path", "backend", "compress", "uncompress", "set_envoy_filter_state", "sign", "verify_signature", "own",
	string(compress([]byte("body"))), "\n\x01a\x12\x01b",
	string(encodePairs(Headers{{":method", "GET"}, {":path", "/x"}, {":authority", "a"}})),
	string(encodePairs(Headers{{"a", ""}, {"", "b"}})),
}

const fuzzMemoryAt, fuzzMemoryStep = 2048, 128

// fuzzArgs are values at which arguments tend to go wrong.
var fuzzArgs = func() []uint64 {
	all := []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 64, 1024, 65_532, 65_535, 65_536, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 63, 1<<64 - 1}
	for i, text := range fuzzMemory {
		all = append(all, uint64(fuzzMemoryAt+i*fuzzMemoryStep), uint64(len(text)))
	}
	return all
}()

// FuzzHostCalls makes any host calls with any arguments, one after the other,
// in any phase of a stream, of a module whose allocator may give nonsense. The
// process must live on, and so must the proxy.
func FuzzHostCalls(f *testing.F) {
	for i, h := range hostcalls {
		for phase := range byte(len(fuzzPhases)) {
			program := []byte{0, phase}
			for range 3 { // with the same value everywhere
				program = append(program, byte(i))
				for range h.params {
					program = append(program, byte(len(program)*7))
				}
			}
			f.Add(program)
		}
	}
	f.Add([]byte{1, 0, 0xff, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, program []byte) {
		next := func() byte {
			if len(program) == 0 {
				return 0
			}
			b := program[0]
			program = program[1:]
			return b
		}
		m := good()
		m.exports[1].code = [][]byte{opReturn1k, opReturn0, opHuge, opTrap}[next()%4]
		s, err := New(Options{Module: m.encode(), MemoryLimit: 1 << 20, Route: RouteTo("backend"), VMConfig: []byte("vm"), PluginConfig: []byte("plugin"),
			Clusters:         map[string]http.Handler{"backend": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("answer")) })},
			ForeignFunctions: map[string]func([]byte) ([]byte, error){"own": func(b []byte) ([]byte, error) { return b, nil }}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		req := Post("/x", "body", "a", "b")
		req.Open = true
		st := s.Start(1, req)
		s.Settle()
		if st.ctx == nil {
			t.Fatal("the stream has no context")
		}
		v := st.ctx.vm
		for i, text := range fuzzMemory {
			v.mod.Memory().WriteString(uint32(fuzzMemoryAt+i*fuzzMemoryStep), text)
		}
		c := fuzzPhases[int(next())%len(fuzzPhases)](st.ctx)
		v.current = c
		for calls := 0; len(program) > 0 && calls < 32; calls++ {
			h := &hostcalls[int(next())%len(hostcalls)]
			stack := make([]uint64, max(1, len(h.params)))
			for i := range h.params {
				stack[i] = fuzzArg(next, h.params[i] == 'I')
			}
			h.invoke(context.WithValue(context.Background(), runningVM{}, v), stack)
			if got := status(stack[0]); statusNames[got] == "" {
				t.Errorf("%s results in %d", h.name, got)
			}
		}
		v.current, v.effective, v.stopIteration = nil, 0, false
		v.runDeferred()
		s.Settle()
		s.Advance(20 * time.Second)
	})
}

// fuzzArg is one of the values that tend to go wrong, or any other.
func fuzzArg(next func() byte, wide bool) uint64 {
	b := int(next())
	if b < 200 {
		return fuzzArgs[b%len(fuzzArgs)] & map[bool]uint64{false: 1<<32 - 1, true: 1<<64 - 1}[wide]
	}
	return uint64(binary.LittleEndian.Uint32([]byte{next(), next(), next(), next()}))
}

// fuzzPhases say which context makes the calls, and what it may touch then.
var fuzzPhases = []func(*vmContext) *vmContext{
	func(c *vmContext) *vmContext { // request headers and body
		c.requestHeaders, c.requestBody = &c.stream.request.headers, &[]byte{'b'}
		return c
	},
	func(c *vmContext) *vmContext { // response headers, body and trailers
		c.responseHeaders, c.responseBody, c.responseTrailers = &Headers{{":status", "200"}}, &[]byte{}, &Headers{{"x", "y"}}
		return c
	},
	func(c *vmContext) *vmContext { c.logging = true; return c },
	func(c *vmContext) *vmContext { return c.parent },                                      // a tick
	func(c *vmContext) *vmContext { c.parent.configure = true; return c.parent },           // configuration
	func(c *vmContext) *vmContext { c.parent.response = &callResponse{}; return c.parent }, // a call's answer, empty
	func(c *vmContext) *vmContext { // a call's answer
		c.parent.response = &callResponse{headers: Headers{{":status", "200"}}, body: []byte("b"), trailers: &Headers{{"t", "u"}}}
		return c
	},
}

// FuzzModules loads anything and, where that is a module, sends a request through it.
func FuzzModules(f *testing.F) {
	f.Add(good().encode())
	f.Add(requests(opReturn0).encode())
	f.Add(requests(cat(opForever(opCall(0, 0, 0, 0, 2048)), opReturn0), "proxy_define_metric").encode())
	f.Add(requests(opCall(0, 200, 0, 0, 0, 0, 0, 0, 0), "proxy_send_local_response").encode())
	f.Add(requests(opCall(0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 16), "proxy_http_call").encode())
	f.Fuzz(func(t *testing.T, code []byte) {
		s, err := New(Options{Module: code, MemoryLimit: 1 << 20, CallbackTimeout: 20 * time.Millisecond})
		if err != nil {
			return
		}
		s.Do(1, Post("/x", "body"))
		s.Close()
		compiledMu.Lock() // or every module stays
		defer compiledMu.Unlock()
		for key, c := range compiledBy {
			c.runtime.Close(context.Background())
			delete(compiledBy, key)
		}
	})
}

// FuzzPairs: what is read as a header map is what would be written for it.
func FuzzPairs(f *testing.F) {
	f.Add(encodePairs(Headers{{":method", "GET"}, {"a", ""}}))
	f.Add(encodePairs(nil))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := decodePairs(b)
		if len(h) == 0 {
			return
		}
		if diff := cmp.Diff(b, encodePairs(h)); diff != "" {
			t.Errorf("%v is written otherwise than it was read:\n%s", h, diff)
		}
	})
}
