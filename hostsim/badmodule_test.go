package hostsim

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

// wasmModule describes a small module for the encoder below.
type wasmModule struct {
	imports []wasmImport
	exports []wasmFunc
	memory  byte // pages; 0: none
}

type wasmImport struct{ module, name string }

// wasmFunc is an exported function: its numbers of i32 parameters and results, and its code.
type wasmFunc struct {
	name            string
	params, results int
	code            []byte
}

// Instructions that the modules use.
var (
	opReturn0  = []byte{0x41, 0}                                  // i32.const 0
	opReturn1k = []byte{0x41, 0x80, 0x08}                         // i32.const 1024
	opHuge     = []byte{0x41, 0x70}                               // i32.const -16: a pointer far outside
	opLoop     = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b}             // loop br 0 end
	opTrap     = []byte{0x00}                                     // unreachable
	opBomb     = []byte{0x41, 0x90, 0xce, 0x00, 0x40, 0x00, 0x1a} // memory.grow 10000, drop
	opNothing  []byte
)

// good is what a module needs to be loaded.
func good(more ...wasmFunc) wasmModule {
	return wasmModule{memory: 1, exports: append([]wasmFunc{
		{name: "proxy_abi_version_0_2_1"}, {name: "malloc", params: 1, results: 1, code: opReturn1k},
	}, more...)}
}

func (m wasmModule) encode() []byte {
	var types, imports, funcs, exports, bodies [][]byte
	for _, i := range m.imports {
		types = append(types, funcType(0, 1))
		imports = append(imports, cat(name(i.module), name(i.name), []byte{0x00}, uleb(len(types)-1)))
	}
	for i, f := range m.exports {
		types = append(types, funcType(f.params, f.results))
		funcs = append(funcs, uleb(len(types)-1))
		exports = append(exports, cat(name(f.name), []byte{0x00}, uleb(len(m.imports)+i)))
		body := cat([]byte{0x00}, f.code, []byte{0x0b})
		bodies = append(bodies, cat(uleb(len(body)), body))
	}
	out := []byte("\x00asm\x01\x00\x00\x00")
	out = append(out, section(1, types)...)
	out = append(out, section(2, imports)...)
	out = append(out, section(3, funcs)...)
	if m.memory > 0 {
		out = append(out, section(5, [][]byte{{0x00, m.memory}})...)
		exports = append(exports, cat(name("memory"), []byte{0x02, 0x00}))
	}
	out = append(out, section(7, exports)...)
	return append(out, section(10, bodies)...)
}

func funcType(params, results int) []byte {
	i32 := func(n int) []byte { return append(uleb(n), strings.Repeat("\x7f", n)...) }
	return cat([]byte{0x60}, i32(params), i32(results))
}

func section(id byte, items [][]byte) []byte {
	if len(items) == 0 {
		return nil
	}
	content := append(uleb(len(items)), cat(items...)...)
	return cat([]byte{id}, uleb(len(content)), content)
}

func name(s string) []byte { return append(uleb(len(s)), s...) }

func uleb(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }

func cat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestBadModulesAreErrors(t *testing.T) {
	without := func(i int) wasmModule {
		m := good()
		m.exports = append(m.exports[:i:i], m.exports[i+1:]...)
		return m
	}
	noMemory := good()
	noMemory.memory = 0
	importing := func(module, name string) wasmModule {
		m := good()
		m.imports = []wasmImport{{module, name}}
		return m
	}
	for name, c := range map[string]struct {
		code []byte
		is   error
		want string
	}{
		"no bytes":                {[]byte{}, ErrModule, "it doesn't compile"},
		"text":                    {[]byte("#!/bin/sh"), ErrModule, "it doesn't compile"},
		"cut short":               {good().encode()[:30], ErrModule, "it doesn't compile"},
		"another ABI":             {without(0).encode(), ErrModule, "it exports no function proxy_abi_version_0_2_0 or proxy_abi_version_0_2_1"},
		"no allocator":            {without(1).encode(), ErrModule, "it exports neither proxy_on_memory_allocate nor malloc"},
		"no memory":               {noMemory.encode(), ErrModule, "it exports no memory"},
		"an unknown host call":    {importing("env", "proxy_fly").encode(), ErrModule, "it imports env.proxy_fly, which Envoy doesn't have"},
		"an unknown module":       {importing("wasi:http", "x").encode(), ErrModule, "it imports wasi:http.x; Envoy offers only env"},
		"a host call's signature": {importing("env", "proxy_log").encode(), ErrModule, "it can't be instantiated"},
		"a trap at start":         {good(wasmFunc{name: "_initialize", code: opTrap}).encode(), ErrModule, "_initialize failed"},
		"a loop at start":         {good(wasmFunc{name: "_start", code: opLoop}).encode(), ErrModule, "_start failed"},
		"a loop at configuration": {good(wasmFunc{name: "proxy_on_configure", params: 2, results: 1, code: cat(opLoop, opReturn0)}).encode(), ErrConfig, "proxy_on_configure refused or failed"},
		"a callback's signature":  {good(wasmFunc{name: "proxy_on_vm_start", params: 1, results: 1, code: opReturn0}).encode(), ErrConfig, "proxy_on_vm_start refused or failed"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(Options{Module: c.code, CallbackTimeout: 100 * time.Millisecond})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestModulesThatMisbehaveInAStream(t *testing.T) {
	callback := func(code []byte) []byte {
		return good(wasmFunc{name: "proxy_on_request_headers", params: 3, results: 1, code: cat(code, opReturn0)}).encode()
	}
	for name, c := range map[string]struct {
		code []byte
		died string // how; "" if it doesn't
	}{
		"does nothing":           {callback(opNothing), ""},
		"traps":                  {callback(opTrap), "unreachable"},
		"loops":                  {callback(opLoop), "endless loop"},
		"grows":                  {callback(opBomb), ""}, // refused by the limit, which the module survives
		"has no callback at all": {good().encode(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := RunT(t, Options{Module: c.code, CallbackTimeout: 100 * time.Millisecond, MemoryLimit: 1 << 20})
			resp := s.Do(1, Get("/x"))
			if c.died == "" {
				if resp.Status != 404 || len(s.Failures()) != 0 {
					t.Errorf("got %+v, failures %v", resp, s.Failures())
				}
				return
			}
			if died := s.Expect(VMDied); resp.Status != 503 || !strings.Contains(died[0].Detail, c.died) {
				t.Errorf("got %+v, failures %v", resp, died)
			}
		})
	}
}

// FuzzHostCalls makes every host call with any arguments inside a stream of a
// module whose allocator may give nonsense: the process must live on.
func FuzzHostCalls(f *testing.F) {
	f.Add(uint8(0), uint8(0), []byte{})
	for i := range hostcalls {
		f.Add(uint8(i), uint8(i%3), []byte("\x00\x00\x00\x00\x10\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00\x00\x01\x00\x00\x04\x00\x00\x00"))
	}
	f.Fuzz(func(t *testing.T, which, allocator uint8, args []byte) {
		malloc := [][]byte{opReturn1k, opReturn0, opHuge}[int(allocator)%3]
		m := good()
		m.exports[1].code = malloc
		s, err := New(Options{Module: m.encode(), Clusters: nil, MemoryLimit: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		st := s.Start(1, Post("/x", "body", "a", "b"))
		st.ctx = s.workers[0].streamContext(st)
		v := st.ctx.vm
		st.ctx.requestHeaders, st.ctx.requestBody = &Headers{{":path", "/x"}}, &st.req.Body
		h := &hostcalls[int(which)%len(hostcalls)]
		stack := make([]uint64, max(1, len(h.params)))
		for i := range stack {
			if len(args) >= 4 {
				stack[i], args = uint64(binary.LittleEndian.Uint32(args)), args[4:]
			}
		}
		v.mod.Memory().Write(64, args)
		v.current = st.ctx
		a := &callArgs{vm: v, ctx: st.ctx, stack: stack}
		h.run(a)
		v.current = nil
		v.runDeferred()
		s.Settle()
	})
}
