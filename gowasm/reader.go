package gowasm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader reads the numbers and vectors of WebAssembly's binary format. After its first error it reads zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

func (r *reader) fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %s", r.at, fmt.Sprintf(format, a...))
	}
	r.at = len(r.b)
}

func (r *reader) more() bool { return r.at < len(r.b) }

func (r *reader) byte() byte {
	if !r.more() {
		r.fail("the end, want more")
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

// u32 reads an unsigned LEB128 number.
func (r *reader) u32() uint32 {
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 || v > math.MaxUint32 {
		r.fail("no unsigned number of 32 bits")
		return 0
	}
	r.at += n
	return uint32(v)
}

// signed reads a signed LEB128 number of at most 64 bits.
func (r *reader) signed() (v int64) {
	for shift := 0; shift < 70; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail("no signed number of 64 bits")
	return 0
}

// count reads how many elements follow, each of which takes a byte at least.
func (r *reader) count() int {
	n := r.u32()
	if int64(n) > int64(len(r.b)-r.at) {
		r.fail("%d elements in %d bytes", n, len(r.b)-r.at)
		return 0
	}
	return int(n)
}

// bytes reads so many bytes, which stay the module's.
func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b)-r.at {
		r.fail("%d bytes left, want %d", len(r.b)-r.at, n)
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at : r.at]
}

// vector reads bytes that follow their number.
func (r *reader) vector() []byte { return r.bytes(r.count()) }

func appendU32[T ~int | ~uint32](b []byte, v T) []byte { return binary.AppendUvarint(b, uint64(v)) }

func appendSigned(b []byte, v int64) []byte {
	for {
		low := byte(v & 0x7f)
		v >>= 7
		if v == 0 && low&0x40 == 0 || v == -1 && low&0x40 != 0 {
			return append(b, low)
		}
		b = append(b, low|0x80)
	}
}

func appendVector(b, v []byte) []byte { return append(appendU32(b, len(v)), v...) }
