package gowasm

import (
	"math"
	"slices"
)

// withoutNops leaves out what does nothing: Go's compiler keeps places in its tables of lines apart by it.
func withoutNops(code []instruction) []instruction {
	return slices.DeleteFunc(code, func(in instruction) bool { return in.op == opNop })
}

// withOffsets writes addresses as offsets. For what lies at the stack pointer plus c, Go's compiler extends that to 64 bits, adds and cuts it to 32 again:
//
//	local.get $sp  i64.extend_i32_u  i64.const c  i64.add  i32.wrap_i64  …  i64.store
//	local.get $sp  …  i64.store offset=c
//
// It is the same modulo 2^32. An offset doesn't wrap, but there is nothing to access where it would: a sum
// beyond 4 GiB would be the first bytes of the memory, which Go leaves unused, and the stack isn't at the end of it. That holds for the stack pointer
// alone: sums of other locals, which Go's compiler doesn't write, stay as they are.
// Where the address isn't that of a load or store it is a sum of 32 bits.
func withOffsets(code []instruction) []instruction {
	sp, ok := stackLocal(code)
	if !ok {
		return code
	}
	inAccess := intoAccesses(code, sp)
	var out []instruction
	for i := 0; i < len(code); i++ {
		out = append(out, code[i])
		if !isSum(code[i:], sp) {
			continue
		}
		if !inAccess[i] {
			out = append(out, i32Const(code[i+2].value), plain(opI32Add))
		}
		i += sumLength - 1
	}
	return out
}

// stackLocal finds $sp, the local that has the stack pointer: the function begins by reading the global into it, and whatever it is set to is read
// from the global just before, or written to it just after.
func stackLocal(code []instruction) (sp int64, ok bool) {
	if len(code) < 2 || !code[0].is(opGlobalGet, stackPointer) || code[1].op != opLocalSet {
		return 0, false
	}
	sp = code[1].value
	for i := 2; i < len(code); i++ {
		read := code[i-1].is(opGlobalGet, stackPointer)
		written := i+1 < len(code) && code[i+1].is(opGlobalSet, stackPointer)
		if code[i].is(opLocalSet, sp) && !read || code[i].is(opLocalTee, sp) && !written {
			return 0, false
		}
	}
	return sp, true
}

// sumLength is how many instructions a sum has.
const sumLength = 5

func isSum(code []instruction, sp int64) bool {
	return len(code) >= sumLength && code[0].is(opLocalGet, sp) && code[1].op == opI64ExtendU32 &&
		code[2].op == opI64Const && code[2].value >= 0 && code[2].value <= math.MaxInt32 &&
		code[3].op == opI64Add && code[4].op == opI32WrapI64
}

// notSum is an operand of which nothing is known.
const notSum = -1

// intoAccesses adds to the offsets of loads and stores what their addresses add to the stack pointer, and tells of each instruction whether such a sum
// begins with it. It goes through the code once, with the operands that are on the stack: for each where the sum begins that it is, or notSum. They are
// forgotten where it can't be told what becomes of them.
func intoAccesses(code []instruction, sp int64) []bool {
	inAccess := make([]bool, len(code))
	var operands []int
	for i := 0; i < len(code); i++ {
		if isSum(code[i:], sp) {
			operands = append(operands, i)
			i += sumLength - 1
			continue
		}
		in := code[i]
		takes, leaves, known := in.effect()
		if !known {
			operands = operands[:0]
			continue
		}
		if sum := address(in, takes, operands); sum != notSum && in.value+code[sum+2].value <= math.MaxInt32 {
			code[i] = access(in.op, in.align, in.value+code[sum+2].value)
			inAccess[sum] = true
		}
		operands = operands[:max(0, len(operands)-takes)]
		for range leaves {
			operands = append(operands, notSum)
		}
	}
	return inAccess
}

// address is which operand a load or store has as its address, the lowest that it takes: notSum if it isn't known.
func address(in instruction, takes int, operands []int) int {
	if at := len(operands) - takes; at >= 0 && (in.loads() || in.stores()) {
		return operands[at]
	}
	return notSum
}

// unsigned loads without the sign what is masked to have none.
func unsigned(code []instruction) []instruction {
	masks := map[byte]int64{opI64Load8S: math.MaxUint8, opI64Load16S: math.MaxUint16, opI64Load32S: math.MaxUint32}
	var out []instruction
	for i := 0; i < len(code); i++ {
		in := code[i]
		if mask, signed := masks[in.op]; signed && i+2 < len(code) && code[i+1].is(opI64Const, mask) && code[i+2].op == opI64And {
			in = access(in.op+1, in.align, in.value) // the unsigned one comes after the signed one
			i += 2
		}
		out = append(out, in)
	}
	return out
}
