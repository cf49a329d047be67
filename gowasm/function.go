package gowasm

// body is a function's.
type body struct {
	locals []byte // its declarations of locals, as they are written
	code   []instruction
}

func readBody(b []byte) (f body, err error) {
	r := &reader{b: b}
	for range r.count() {
		r.u32()
		r.byte()
	}
	f.locals = b[:r.at:r.at]
	for r.more() {
		f.code = append(f.code, r.instruction())
	}
	return f, r.err
}

// rewrite gives the body and its hints.
func (m *module) rewrite(f body) ([]byte, []branchHint) {
	code := stored(conditions(unsigned(withOffsets(withoutNops(f.code)))))
	if d, ok := findDispatch(code); ok {
		code = m.direct(d, code)
		hintRare(code)
	}
	plain, _ := encode(f.locals, code)
	return encode(f.locals, m.filled(code, len(plain)))
}

func encode(locals []byte, code []instruction) (b []byte, hints []branchHint) {
	b = append(b, locals...)
	for _, in := range code {
		if in.hint != noHint {
			hints = append(hints, branchHint{len(b), in.hint})
		}
		b = append(b, in.raw...)
	}
	return b, hints
}
