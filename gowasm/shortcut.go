package gowasm

import (
	"bytes"
	"fmt"
	"slices"

	"chatcache/gowasm/finished"
)

// An export of a module of Go's looks up the stream by its context's id, in several maps, and has the filter decide. For a stream that is finished (package finished)
// that is done to do nothing, up to four times a request. So each such export gets a function before it that looks at the set first:
//
//	local.get 0  i32.const 255  i32.and  i32.const 2  i32.shl  i32.load $slots  local.get 0  i32.eq
//	if  i32.const $answer  else  local.get 0 …  call $export  end

// shortcut is such a function.
type shortcut struct {
	finished.Callback
	calls uint32 // the export's own function
	index uint32 // its own
}

var shortcuts = func() map[string]finished.Callback {
	all := map[string]finished.Callback{}
	for _, c := range finished.Callbacks {
		all[c.Export] = c
	}
	return all
}()

// readExports finds the exports that get a shortcut, if the module has a set.
func (m *module) readExports(r *reader) {
	for range r.count() {
		name := string(r.vector())
		kind := r.byte()
		index := r.u32()
		if c, ok := shortcuts[name]; ok && kind == kindFunction {
			m.shortcuts = append(m.shortcuts, shortcut{Callback: c, calls: index})
		}
	}
}

// readData looks for the set in the module's data.
func (m *module) readData(r *reader) {
	for range r.count() {
		if kind := r.u32(); kind != 0 {
			r.fail("data of kind %d, want 0", kind)
			return
		}
		offset, end := r.instruction(), r.instruction()
		if offset.op != opI32Const || end.op != opEnd {
			r.fail("the data's place is no constant")
			return
		}
		data := r.vector()
		switch n := bytes.Count(data, finished.Mark()); {
		case n == 0:
		case n > 1 || m.slots != 0:
			r.fail("several sets of finished streams, want one")
		default:
			m.slots = uint32(offset.value) + uint32(bytes.Index(data, finished.Mark())+len(finished.Mark()))
		}
	}
}

// addShortcuts adds them, if the module has a set, and checks that its exports are what the ABI says.
func (m *module) addShortcuts() error {
	if m.slots == 0 {
		m.shortcuts = nil
		return nil
	}
	for i, s := range m.shortcuts {
		if int(s.calls) < m.imported || int(s.calls) >= len(m.types) {
			return fmt.Errorf("section %d: %s is function %d, want one of %d to %d", sectionExport, s.Export, s.calls, m.imported, len(m.types)-1)
		}
		of := m.types[s.calls]
		if int(of) >= len(m.signatures) {
			return fmt.Errorf("section %d: function %d is of type %d of %d", sectionFunction, s.calls, of, len(m.signatures))
		}
		if got, want := m.signatures[of], signature(s.Parameters, s.Results); got != want {
			return fmt.Errorf("section %d: %s is of type % x, want % x", sectionExport, s.Export, got, want)
		}
		m.shortcuts[i].index = m.add(m.signatures[of], s.body(m.slots))
	}
	m.summary.Shortcuts = len(m.shortcuts)
	return nil
}

// otherExports exports the shortcuts in place of what they call.
func (m *module) otherExports(body []byte) []byte {
	r := &reader{b: body}
	n := r.count()
	out := appendU32(nil, n)
	for range n {
		name, kind, index := r.vector(), r.byte(), r.u32()
		is := func(s shortcut) bool { return kind == kindFunction && s.Export == string(name) }
		if i := slices.IndexFunc(m.shortcuts, is); i >= 0 {
			index = m.shortcuts[i].index
		}
		out = appendU32(append(appendVector(out, name), kind), index)
	}
	return out
}

// body is the function's, without locals.
func (s shortcut) body(slots uint32) []byte {
	code := []instruction{
		withIndex(opLocalGet, 0), i32Const(finished.Slots - 1), plain(opI32And), i32Const(2), plain(opI32Shl), access(opI32Load, 2, int64(slots)),
		withIndex(opLocalGet, 0), plain(opI32Eq),
	}
	if s.Results == 0 {
		code = append(code, typed(opIf, void))
	} else {
		code = append(code, typed(opIf, ofI32), i32Const(s.Answer))
	}
	code = append(code, plain(opElse))
	for i := range s.Parameters {
		code = append(code, withIndex(opLocalGet, uint32(i)))
	}
	b, _ := encode([]byte{0}, append(code, withIndex(opCall, s.calls), plain(opEnd), plain(opEnd)))
	return b
}
