package gowasm

// What Go's compiler writes and V8 doesn't see through.

// stackPointer is the global that has Go's. Callees, and what a function calls or returns to, read it.
const stackPointer = 0

// conditions leaves out the ways that a condition goes to be a number of 64 bits and a condition again:
//
//	i64.extend_i32_u  i64.eqz      i32.eqz
//	i64.extend_i32_u  i32.wrap_i64
//	i32.eqz  i32.eqz  before an if or a br_if
func conditions(code []instruction) (out []instruction) {
	for i, in := range code {
		out = append(out, in)
		n := len(out)
		switch {
		case n >= 2 && out[n-2].op == opI64ExtendU32 && in.op == opI64Eqz:
			out = append(out[:n-2], plain(opI32Eqz))
		case n >= 2 && out[n-2].op == opI64ExtendU32 && in.op == opI32WrapI64:
			out = out[:n-2]
		}
		n = len(out)
		if n >= 2 && out[n-1].op == opI32Eqz && out[n-2].op == opI32Eqz && i+1 < len(code) && (code[i+1].op == opIf || code[i+1].op == opBrIf) {
			out = out[:n-2]
		}
	}
	return out
}

// stored leaves out where the stack pointer is set and set again before anybody reads it: a function that makes room for itself and then for what
// it calls does that. Should something between the two end the module, by an access beyond its memory, nobody looks any more.
func stored(code []instruction) (out []instruction) {
	for i, in := range code {
		if in.is(opGlobalSet, stackPointer) && setAgain(code[i+1:]) {
			in = plain(opDrop)
			if n := len(out); n > 0 && out[n-1].op == opLocalTee {
				out[n-1] = withIndex(opLocalSet, uint32(out[n-1].value))
				continue
			}
		}
		out = append(out, in)
	}
	return out
}

// setAgain reports whether the stack pointer is set before it may be read.
func setAgain(code []instruction) bool {
	for _, in := range code {
		switch {
		case in.is(opGlobalSet, stackPointer):
			return true
		case in.is(opGlobalGet, stackPointer), in.calls(), in.opens(), in.op == opEnd, in.op == opElse, in.op >= opBr && in.op <= opReturn, in.op == opUnreachable:
			return false
		}
	}
	return false
}
