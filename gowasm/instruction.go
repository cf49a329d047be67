package gowasm

// Opcodes that are looked at (WebAssembly 2.0, section 5.4).
const (
	opUnreachable  = 0x00
	opNop          = 0x01
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opDrop         = 0x1a
	opSelect       = 0x1b
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opFirstLoad    = 0x28
	opI64Load8S    = 0x30
	opI64Load16S   = 0x32
	opI64Load32S   = 0x34
	opLastLoad     = 0x35
	opFirstStore   = 0x36
	opLastStore    = 0x3e
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32Eqz       = 0x45
	opI64Eqz       = 0x50
	opI32Add       = 0x6a
	opI64Add       = 0x7c
	opI64And       = 0x83
	opI32WrapI64   = 0xa7
	opI64ExtendU32 = 0xad
	opLastNumeric  = 0xc4
	opPrefix       = 0xfc // a second number says which
)

// void is the type of a block without parameters and results.
const void = -0x40

// instruction is one of a function's.
type instruction struct {
	op     byte
	value  int64    // its constant, index, label or block type; of a load or store the offset
	align  uint32   // of a load or store
	labels []uint32 // of a br_table; the last is the default
	raw    []byte   // as it is written
	hint   hint
}

// is reports whether it is this instruction with this index, label, type or constant.
func (in instruction) is(op byte, value int64) bool { return in.op == op && in.value == value }

func (in instruction) opens() bool {
	return in.op == opBlock || in.op == opLoop || in.op == opIf
}

func (in instruction) calls() bool  { return in.op == opCall || in.op == opCallIndirect }
func (in instruction) loads() bool  { return in.op >= opFirstLoad && in.op <= opLastLoad }
func (in instruction) stores() bool { return in.op >= opFirstStore && in.op <= opLastStore }

func plain(op byte) instruction { return instruction{op: op, raw: []byte{op}} }

// withIndex is an instruction with an index or a label.
func withIndex(op byte, index uint32) instruction {
	return instruction{op: op, value: int64(index), raw: appendU32([]byte{op}, index)}
}

// block is one without parameters and results.
func block() instruction {
	return instruction{op: opBlock, value: void, raw: appendSigned([]byte{opBlock}, void)}
}

func i32Const(v int64) instruction {
	return instruction{op: opI32Const, value: v, raw: appendSigned([]byte{opI32Const}, v)}
}

// access is a load or store.
func access(op byte, align uint32, offset int64) instruction {
	return instruction{op: op, value: offset, align: align, raw: appendU32(appendU32([]byte{op}, align), uint32(offset))}
}

// instruction reads one. The error names one that Go's compiler doesn't write.
func (r *reader) instruction() instruction {
	from := r.at
	in := instruction{op: r.byte()}
	switch op := in.op; {
	case in.opens():
		in.value = r.signed()
	case op == opBr, op == opBrIf, op == opCall, op >= opLocalGet && op <= opGlobalSet, op == opMemorySize, op == opMemoryGrow:
		in.value = int64(r.u32())
	case op == opBrTable:
		for range r.count() + 1 {
			in.labels = append(in.labels, r.u32())
		}
	case op == opCallIndirect:
		in.value = int64(r.u32())
		r.u32()
	case in.loads(), in.stores():
		in.align, in.value = r.u32(), int64(r.u32())
	case op == opI32Const, op == opI64Const:
		in.value = r.signed()
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opPrefix:
		switch which := r.u32(); {
		case which < 8: // saturating truncations
		case which == 10: // memory.copy
			r.bytes(2)
		case which == 11: // memory.fill
			r.bytes(1)
		default:
			r.at = from
			r.fail("the instruction 0xfc %d, which Go's compiler doesn't write", which)
		}
	case op <= opNop, op == opElse, op == opEnd, op == opReturn, op == opDrop, op == opSelect, op >= opI32Eqz && op <= opLastNumeric:
	default:
		r.at = from
		r.fail("the instruction %#x, which Go's compiler doesn't write", op)
	}
	in.raw = r.b[from:r.at:r.at]
	return in
}

// effect tells how many operands an instruction takes and leaves. It doesn't know those that branch, call or use the memory as a whole.
func (in instruction) effect() (takes, leaves int, known bool) {
	switch op := in.op; {
	case op == opNop:
		return 0, 0, true
	case op == opLocalGet, op == opGlobalGet, op >= opI32Const && op <= opF64Const:
		return 0, 1, true
	case op == opLocalSet, op == opGlobalSet, op == opDrop:
		return 1, 0, true
	case op == opSelect:
		return 3, 1, true
	case in.stores():
		return 2, 0, true
	case op == opLocalTee, in.loads(), op == opI32Eqz, op == opI64Eqz,
		op >= 0x67 && op <= 0x69, op >= 0x79 && op <= 0x7b, // clz, ctz, popcnt
		op >= 0x8b && op <= 0x91, op >= 0x99 && op <= 0x9f, // of floats
		op >= opI32WrapI64 && op <= opLastNumeric: // conversions
		return 1, 1, true
	case op > opI32Eqz && op < opI32WrapI64: // the other comparisons and arithmetic
		return 2, 1, true
	}
	return 0, 0, false
}
