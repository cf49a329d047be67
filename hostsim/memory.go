package hostsim

import (
	"encoding/binary"
	"fmt"
)

// Bounds of proxy-wasm-cpp-host (include/proxy-wasm/limits.h) on a serialised map.
const (
	maxPairsBytes = 1 << 20
	maxPairs      = 1024
)

// read copies from the module's memory; ok is false when the range isn't in it.
// What one callback hands over is bounded by what its memory could hold.
func (v *vm) read(ptr, size uint32) ([]byte, bool) {
	b, ok := v.mod.Memory().Read(ptr, size)
	if v.taken += int64(len(b)); v.taken > v.opts.MemoryLimit {
		panic(fmt.Errorf("memory bomb: more than %d bytes handed to the host in one callback", v.opts.MemoryLimit))
	}
	return append([]byte(nil), b...), ok
}

// give allocates in the module, copies b there and writes pointer and size to
// the two addresses; a zero address is skipped, no bytes are a zero pointer.
func (v *vm) give(b []byte, ptrPtr, sizePtr uint32) bool {
	var ptr uint32
	if len(b) > 0 {
		if ptr = v.allocate(uint32(len(b))); ptr == 0 || !v.mod.Memory().Write(ptr, b) {
			return false
		}
	}
	return (ptrPtr == 0 || v.putUint32(ptrPtr, ptr)) && (sizePtr == 0 || v.putUint32(sizePtr, uint32(len(b))))
}

// allocate asks the module for memory; 0 is a failure. An allocator that traps is the VM's death.
func (v *vm) allocate(n uint32) uint32 {
	name := "malloc" // Envoy's first choice
	if !v.exports(name) {
		name = "proxy_on_memory_allocate"
	}
	before := v.restricted
	v.restricted = "the allocator"
	defer func() { v.restricted = before }()
	out, err := v.function(name).Call(v.inner, uint64(n))
	if err != nil {
		v.die(v.active(), fmt.Errorf("%s: %w", name, v.explain(err)))
		return 0
	}
	return uint32(out[0])
}

func (v *vm) putUint32(ptr, value uint32) bool { return v.mod.Memory().WriteUint32Le(ptr, value) }

func (v *vm) putUint64(ptr uint32, value uint64) bool {
	return v.mod.Memory().WriteUint64Le(ptr, value)
}

// encodePairs serialises a map: count, all lengths, then names and values each
// with a zero byte after it.
func encodePairs(h Headers) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(h)))
	for _, f := range h {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(f[1])))
	}
	for _, f := range h {
		b = append(append(b, f[0]...), 0)
		b = append(append(b, f[1]...), 0)
	}
	return b
}

// decodePairs reads what encodePairs writes. Anything else is, as in Envoy, an empty map.
func decodePairs(b []byte) Headers {
	if len(b) < 4 || len(b) > maxPairsBytes {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(b))
	if n > maxPairs || 4+8*n > len(b) {
		return nil
	}
	lengths, rest := b[4:4+8*n], b[4+8*n:]
	take := func(i int) (string, bool) {
		size := uint64(binary.LittleEndian.Uint32(lengths[4*i:]))
		if size+1 > uint64(len(rest)) || rest[size] != 0 {
			return "", false
		}
		s := string(rest[:size])
		rest = rest[size+1:]
		return s, true
	}
	h := make(Headers, 0, n)
	for i := range n {
		name, ok1 := take(2 * i)
		value, ok2 := take(2*i + 1)
		if !ok1 || !ok2 {
			return nil
		}
		h = append(h, [2]string{name, value})
	}
	if len(rest) != 0 {
		return nil
	}
	return h
}
