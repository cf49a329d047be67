package hostsim

import (
	"encoding/binary"
	"strings"
)

// wasmModule describes a small module for the encoder below.
type wasmModule struct {
	imports []wasmImport
	exports []wasmFunc
	memory  int             // pages; 0: none
	start   bool            // the last function is the start section's
	raw     map[byte][]byte // further sections by their id, as they are
}

// wasmImport is an imported function with the types of its parameters and results (i: i32, I: i64).
type wasmImport struct{ module, name, params, results string }

// wasmFunc is an exported function: its numbers of i32 parameters and results, and its code.
type wasmFunc struct {
	name            string
	params, results int
	code            []byte
}

// Instructions that the modules use.
var (
	opReturn0  = op(0)
	opReturn1k = op(1024)
	opHuge     = op(-16)                                  // a pointer far outside
	opLoop     = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b}     // loop br 0 end
	opTrap     = []byte{0x00}                             // unreachable
	opBomb     = cat(op(10000), []byte{0x40, 0x00, 0x1a}) // memory.grow, drop
)

// op pushes numbers.
func op(numbers ...int) []byte {
	var code []byte
	for _, n := range numbers {
		code = append(append(code, 0x41), sleb(n)...)
	}
	return code
}

// opCall calls the function with numbers and leaves its result.
func opCall(function int, numbers ...int) []byte {
	return cat(op(numbers...), []byte{0x10}, uleb(function))
}

// opForever repeats code that leaves one number.
func opForever(code []byte) []byte {
	return cat([]byte{0x03, 0x40}, code, []byte{0x1a, 0x0c, 0x00, 0x0b})
}

// good is what a module needs to be loaded. Its function 0 is an import, if any.
func good(more ...wasmFunc) wasmModule {
	return wasmModule{memory: 1, exports: append([]wasmFunc{
		{name: "proxy_abi_version_0_2_1"}, {name: "malloc", params: 1, results: 1, code: opReturn1k},
	}, more...)}
}

// importing adds a host call with its right signature, as the next function from 0.
func (m wasmModule) importing(names ...string) wasmModule {
	for _, name := range names {
		m.imports = append(m.imports, wasmImport{"env", name, hostcallByName[name].params, "i"})
	}
	return m
}

func (m wasmModule) encode() []byte {
	var types, imports, funcs, exports, bodies [][]byte
	for _, i := range m.imports {
		types = append(types, funcType(i.params, i.results))
		imports = append(imports, cat(name(i.module), name(i.name), []byte{0x00}, uleb(len(types)-1)))
	}
	for i, f := range m.exports {
		types = append(types, funcType(strings.Repeat("i", f.params), strings.Repeat("i", f.results)))
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
		out = append(out, section(5, [][]byte{cat([]byte{0x00}, uleb(m.memory))})...)
		exports = append(exports, cat(name("memory"), []byte{0x02, 0x00}))
	}
	out = append(out, section(7, exports)...)
	if m.start {
		out = append(out, cat([]byte{8}, name(string(uleb(len(m.imports)+len(m.exports)-1))))...)
	}
	out = append(out, section(10, bodies)...)
	for id, content := range m.raw {
		out = append(out, cat([]byte{id}, uleb(len(content)), content)...)
	}
	return out
}

func funcType(params, results string) []byte {
	types := strings.NewReplacer("i", "\x7f", "I", "\x7e")
	return cat([]byte{0x60}, name(types.Replace(params)), name(types.Replace(results)))
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

func sleb(n int) []byte {
	var b []byte
	for {
		low := byte(n & 0x7f)
		n >>= 7
		if n == 0 && low&0x40 == 0 || n == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func cat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
