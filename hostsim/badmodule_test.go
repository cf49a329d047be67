package hostsim

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBadModulesAreErrors(t *testing.T) {
	without := func(i int) wasmModule {
		m := good()
		m.exports = append(m.exports[:i:i], m.exports[i+1:]...)
		return m
	}
	withMemory := func(pages int) wasmModule {
		m := good()
		m.memory = pages
		return m
	}
	importing := func(module, name string) wasmModule {
		m := good()
		m.imports = []wasmImport{{module, name, "", "i"}}
		return m
	}
	inStartSection := func(code []byte) wasmModule {
		m := good(wasmFunc{name: "start", code: code}).importing("proxy_log")
		m.start = true
		return m
	}
	withData := good()
	withData.raw = map[byte][]byte{11: cat([]byte{1, 0}, op(70_000), []byte{0x0b}, name("outside"))}
	configure := func(code []byte) wasmModule {
		return good(wasmFunc{name: "proxy_on_configure", params: 2, results: 1, code: cat(code, opReturn0)})
	}
	for name, c := range map[string]struct {
		code []byte
		is   error
		want string
	}{
		"no bytes":                {[]byte{}, ErrModule, "it doesn't compile"},
		"text":                    {[]byte("#!/bin/sh"), ErrModule, "it doesn't compile"},
		"more exports than bytes": {[]byte("\x00asm\x01\x00\x00\x00\x07\x05\xff\xff\xff\xff\x0f"), ErrModule, "it doesn't compile: section 7 claims 4294967295 entries in 5 bytes"},
		"more exports, cut short": {[]byte("\x00asm\x01\x00\x00\x00\x07\x30\xff\xff\xff\xff\x0f"), ErrModule, "it doesn't compile: section 7 claims 4294967295 entries in 5 bytes"},
		"a count that has no end": {[]byte("\x00asm\x01\x00\x00\x00\x07\x02\xd6\x83\x9a\x61"), ErrModule, "it doesn't compile: section 7 claims 0 entries in 2 bytes"},
		"cut short":               {good().encode()[:30], ErrModule, "it doesn't compile"},
		"a module without code":   {[]byte("\x00asm\x01\x00\x00\x00"), ErrModule, "it exports no function proxy_abi_version_0_2_0"},
		"another ABI":             {without(0).encode(), ErrModule, "it exports no function proxy_abi_version_0_2_0 or proxy_abi_version_0_2_1"},
		"no allocator":            {without(1).encode(), ErrModule, "it exports neither proxy_on_memory_allocate nor malloc"},
		"no memory":               {withMemory(0).encode(), ErrModule, "it exports no memory"},
		"too much memory":         {withMemory(17).encode(), ErrModule, "it doesn't compile: section memory: min 17 pages (1 Mi) over limit of 16 pages (1 Mi)"},
		"data outside its memory": {withData.encode(), ErrModule, "it can't be instantiated: data[0]: out of bounds memory access"},
		"an unknown host call":    {importing("env", "proxy_fly").encode(), ErrModule, "it imports env.proxy_fly, which Envoy doesn't have"},
		"an unknown module":       {importing("wasi:http", "x").encode(), ErrModule, "it imports wasi:http.x; Envoy offers only env"},
		"an unknown WASI call":    {importing("wasi_snapshot_preview1", "sock_fly").encode(), ErrModule, `"sock_fly" is not exported in module "wasi_snapshot_preview1"`},
		"a host call's signature": {importing("env", "proxy_log").encode(), ErrModule, "it can't be instantiated"},
		"a start section that makes host calls": {inStartSection(cat(opCall(0, 2, 0, 4), []byte{0x1a})).encode(), ErrModule,
			"proxy_log was called by the start section, where Envoy has no context yet and crashes"},
		"a trap in the start section": {inStartSection(opTrap).encode(), ErrModule, "it can't be instantiated"},
		"a loop in the start section": {inStartSection(opLoop).encode(), ErrModule, "endless loop: still running after 100ms of real time"},
		"a trap at start":             {good(wasmFunc{name: "_initialize", code: opTrap}).encode(), ErrModule, "_initialize: wasm error: unreachable"},
		"a loop at start":             {good(wasmFunc{name: "_start", code: opLoop}).encode(), ErrModule, "_start: endless loop: still running after 100ms of real time"},
		"a host call at start": {good(wasmFunc{name: "_initialize", code: cat(opCall(0, 100), []byte{0x1a})}).
			importing("proxy_set_tick_period_milliseconds").encode(), ErrModule, "proxy_set_tick_period_milliseconds was called by a start function; Envoy allows only proxy_log there"},
		"a trap at configuration": {configure(opTrap).encode(), ErrConfig, "hostsim: configuration refused: proxy_on_configure: wasm error: unreachable"},
		"a loop at configuration": {configure(opLoop).encode(), ErrConfig, "proxy_on_configure: endless loop: still running after 100ms of real time"},
		"refuses to start":        {good(wasmFunc{name: "proxy_on_vm_start", params: 2, results: 1, code: opReturn0}).encode(), ErrConfig, "proxy_on_vm_start refused it"},
		"a callback's parameters": {good(wasmFunc{name: "proxy_on_vm_start", params: 1, results: 1, code: opReturn0}).encode(), ErrModule,
			"it exports proxy_on_vm_start with parameters (i32) and results (i32); the ABI has 2 and 1, each i32"},
		"a callback's results": {good(wasmFunc{name: "proxy_on_log", params: 1, results: 1, code: opReturn0}).encode(), ErrModule,
			"it exports proxy_on_log with parameters (i32) and results (i32); the ABI has 1 and 0, each i32"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(Options{Module: c.code, CallbackTimeout: timeoutFor(c.want), MemoryLimit: 1 << 20})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// timeoutFor is short where the test is about the callback's time, and else so
// long that a busy machine doesn't make it so.
func timeoutFor(want string) time.Duration {
	if strings.Contains(want, "still running") {
		return 100 * time.Millisecond
	}
	return 20 * time.Second
}

// requests is a module whose proxy_on_request_headers is code that leaves a number.
func requests(code []byte, calls ...string) wasmModule {
	return good(wasmFunc{name: "proxy_on_request_headers", params: 3, results: 1, code: code}).importing(calls...)
}

func TestModulesThatMisbehaveInAStream(t *testing.T) {
	readConfig := opCall(0, int(bufferVMConfiguration), 0, 1, 16, 32) // allocates in the module
	allocating := func(malloc []byte) []byte {
		m := requests(cat(readConfig, []byte{0x1a}, opReturn0), "proxy_get_buffer_bytes")
		m.exports[1].code = malloc
		return m.encode()
	}
	for name, c := range map[string]struct {
		code []byte
		died string // how; "" if it doesn't
	}{
		"does nothing":                        {requests(opReturn0).encode(), ""},
		"has no callback at all":              {good().encode(), ""},
		"grows":                               {requests(cat(opBomb, opReturn0)).encode(), ""}, // refused by the limit, which the module survives
		"traps":                               {requests(opTrap).encode(), "unreachable"},
		"loops":                               {requests(cat(opLoop, opReturn0)).encode(), "endless loop: still running after 100ms"},
		"recurses":                            {requests(cat([]byte{0x20, 0, 0x20, 1, 0x20, 2}, opCall(2))).encode(), "stack overflow"},
		"exits":                               {exiting().encode(), ""}, // which Envoy doesn't implement
		"allocates outside its memory":        {allocating(opHuge), ""},
		"allocates nothing":                   {allocating(opReturn0), ""},
		"traps in its allocator":              {allocating(opTrap), "malloc: wasm error: unreachable"},
		"replies after its allocator trapped": {replying().encode(), "malloc: wasm error: unreachable"},
		"loops in its allocator":              {allocating(cat(opLoop, opReturn0)), "malloc: endless loop: still running after 100ms"},
		"allocates in its allocator":          {allocating(readConfig), "malloc: proxy_get_buffer_bytes was called by the allocator; Envoy allows only proxy_log there"},
		"makes host calls for ever":           {requests(cat(opForever(opCall(0, 0, 0, 0, 2048)), opReturn0), "proxy_define_metric").encode(), "endless loop: more than 262144 host calls"},
		"hands over without end": {requests(cat(opForever(opCall(0, 0, 60_000, 0, 60_000, 0)), opReturn0), "proxy_set_shared_data").encode(),
			"memory bomb: more than 1048576 bytes handed to the host in one callback"},
	} {
		t.Run(name, func(t *testing.T) {
			s := RunT(t, Options{Module: c.code, CallbackTimeout: timeoutFor(c.died), MemoryLimit: 1 << 20, VMConfig: []byte("x")})
			resp := s.Do(1, Get("/x"))
			if c.died == "" {
				if resp.Status != 404 || len(s.Failures()) != 0 {
					t.Errorf("got %+v, failures %v", resp, s.Failures())
				}
				return
			}
			if died := s.Expect(VMDied); resp.Status != 503 || len(died) != 1 || !strings.Contains(died[0].Detail, c.died) {
				t.Errorf("got %+v, failures %v", resp, died)
			}
		})
	}
}

// replying makes a local reply when its allocator has trapped.
func replying() wasmModule {
	m := requests(cat(opCall(0, int(bufferVMConfiguration), 0, 1, 16, 32), []byte{0x1a},
		opCall(1, 200, 0, 0, 0, 0, 0, 0, -1), []byte{0x1a}, op(1)), "proxy_get_buffer_bytes", "proxy_send_local_response")
	m.exports[1].code = opTrap
	return m
}

// exiting calls WASI's proc_exit, which has no result.
func exiting() wasmModule {
	m := requests(cat(op(3), []byte{0x10, 0x00}, opReturn0))
	m.imports = []wasmImport{{"wasi_snapshot_preview1", "proc_exit", "i", ""}}
	return m
}

func TestEventsWithoutEndAreCut(t *testing.T) {
	// Each item of the queue puts another one in.
	queue := good(
		wasmFunc{name: "proxy_on_vm_start", params: 2, results: 1, code: opCall(0, 0, 1, 16)},
		wasmFunc{name: "proxy_on_request_headers", params: 3, results: 1, code: opCall(1, 1, 0, 1)},
		wasmFunc{name: "proxy_on_queue_ready", params: 2, code: cat(opCall(1, 1, 0, 1), []byte{0x1a})},
	).importing("proxy_register_shared_queue", "proxy_enqueue_shared_queue")
	queue.exports[2].code = cat(queue.exports[2].code, []byte{0x45}) // i32.eqz: OK is true
	s := RunT(t, Options{Module: queue.encode(), Clusters: map[string]http.Handler{}})
	s.Do(1, Get("/x"))
	ended := s.Expect(NeverSettles)
	if len(ended) != 1 || !strings.Contains(ended[0].Detail, "more than 262144 events") || !strings.Contains(ended[0].Error(), "proxy_on_queue_ready") {
		t.Errorf("failures %v", ended)
	}
}
