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
// beyond 4 GiB would be the first bytes of the memory, which Go leaves unused, and the stack isn't at the end of it.
// Where the address isn't that of a load or store it is a sum of 32 bits.
func withOffsets(code []instruction) []instruction {
	var out []instruction
	for i := 0; i < len(code); i++ {
		out = append(out, code[i])
		if !isSum(code[i:]) {
			continue
		}
		c := code[i+2].value
		i += 4
		if user := addressUser(code, i+1); user >= 0 && code[user].value+c <= math.MaxInt32 {
			in := code[user]
			code[user] = access(in.op, in.align, in.value+c)
			continue
		}
		out = append(out, i32Const(c), plain(opI32Add))
	}
	return out
}

func isSum(code []instruction) bool {
	return len(code) >= 5 && code[0].op == opLocalGet && code[1].op == opI64ExtendU32 &&
		code[2].op == opI64Const && code[2].value >= 0 && code[2].value <= math.MaxInt32 &&
		code[3].op == opI64Add && code[4].op == opI32WrapI64
}

// addressUser finds the load or store whose address is on top of the stack before the instruction at i: -1 where something else takes it, or
// can't be told.
func addressUser(code []instruction, i int) int {
	above := 0 // operands on top of the address
	for ; i < len(code); i++ {
		in := code[i]
		if in.loads() && above == 0 || in.stores() && above == 1 {
			return i
		}
		takes, leaves, known := in.effect()
		if !known || takes > above {
			return -1
		}
		above += leaves - takes
	}
	return -1
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
