package gowasm

import "slices"

// A direct call may be inlined, one by the table isn't: V8's optimizing compiler has to know from counts what such a
// call calls, and Envoy's has none. What is small and calls nothing may be: V8 has no more to do for it than for a call.

// leafBytes is how long a function may be whose calls stay direct. Go's own such functions, which compare and look
// for bytes, have less.
const leafBytes = 80

// isLeaf reports whether a function, of so many bytes, is left to be inlined.
func isLeaf(bytes int, code []instruction) bool {
	return bytes <= leafBytes && !slices.ContainsFunc(code, instruction.calls)
}

// byTable calls functions by their place in the table. That is checked against the function's type at each call, which is the same one.
func (m *module) byTable(code []instruction) []instruction {
	var out []instruction
	for _, in := range code {
		if in.op == opCall && !m.leaves[uint32(in.value)] {
			if place, ok := m.places[uint32(in.value)]; ok {
				out = append(out, i32Const(int64(place)))
				in = callIndirect(m.types[in.value])
				m.summary.Indirect++
			}
		}
		out = append(out, in)
	}
	return out
}
