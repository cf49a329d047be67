package gowasm

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// ErrModule says that there is no module of Go's compiler.
var ErrModule = errors.New("not a WebAssembly module as Go's compiler writes it")

// Summary counts what was done.
type Summary struct {
	Functions int `json:"functions"`
	Before    int `json:"bytes_before"`
	After     int `json:"bytes"`
	Direct    int `json:"direct_jumps"`   // forward
	Back      int `json:"back_jumps"`     // which still go through the loop
	Indirect  int `json:"indirect_calls"` // that could have been inlined
	Hints     int `json:"branch_hints"`
	Shortcuts int `json:"shortcuts"` // callbacks that finished streams answer without Go
}

// Sections of a module (WebAssembly 2.0, section 5.5).
const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionTable    = 4
	sectionExport   = 7
	sectionElement  = 9
	sectionCode     = 10
	sectionData     = 11
)

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
)

// typeFunction begins a function's type.
const typeFunction = 0x60

const header = "\x00asm\x01\x00\x00\x00"

type section struct {
	id   byte
	body []byte
}

// module is what is known of one.
type module struct {
	types    []uint32          // of functions, the imported ones first
	imported int               // how many of these are
	places   map[uint32]uint32 // of functions in the table
	leaves   map[uint32]bool   // functions that are left to be inlined
	shared   bool              // the table is imported or exported, so that others may change its size
	summary  Summary

	signatures []string // of the types: parameters and results, as they are written
	shortcuts  []shortcut
	slots      uint32 // where those of the set of finished streams are, 0 if it has none
}

// Optimize gives a module that does what this one does, see the package's documentation. The same bytes give the same bytes. It keeps all sections, and
// functions their numbers, so that the names of a module that has them stay right; places in the code, which debug information has (DWARF), don't.
//
// The error matches [ErrModule] where something isn't as Go's compiler and linker write it, and says what and where. A module that was optimized before is one of these.
func Optimize(wasm []byte) ([]byte, Summary, error) {
	m := &module{places: map[uint32]uint32{}, leaves: map[uint32]bool{}}
	out, err := m.optimize(wasm)
	if err != nil {
		return nil, Summary{}, fmt.Errorf("%w: %w", ErrModule, err)
	}
	m.summary.Before, m.summary.After = len(wasm), len(out)
	return out, m.summary, nil
}

func (m *module) optimize(wasm []byte) ([]byte, error) {
	if !bytes.HasPrefix(wasm, []byte(header)) {
		return nil, fmt.Errorf("it begins with % x, want % x", wasm[:min(len(wasm), len(header))], header)
	}
	sections, err := split(wasm)
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		if err := m.read(s); err != nil {
			return nil, fmt.Errorf("section %d: %w", s.id, err)
		}
	}
	if !slices.ContainsFunc(sections, func(s section) bool { return s.id == sectionCode }) {
		return nil, errors.New("it has no code")
	}
	shortcuts, err := m.withShortcuts()
	if err != nil {
		return nil, err
	}
	out := []byte(header)
	for _, s := range sections {
		switch s.id {
		case sectionFunction:
			if shortcuts {
				s.body = m.moreTypes(s.body)
			}
		case sectionExport:
			if shortcuts {
				s.body = m.otherExports(s.body)
			}
		case sectionTable:
			s.body = m.fixed(s.body)
		case sectionCode:
			var hints []byte
			if s.body, hints, err = m.code(s.body); err != nil {
				return nil, fmt.Errorf("section %d: %w", s.id, err)
			}
			if len(hints) > 0 { // they have to come before it
				out = appendVector(append(out, sectionCustom), hints)
			}
			if shortcuts {
				s.body = m.moreCode(s.body)
				m.summary.Shortcuts = len(m.shortcuts)
			}
		}
		out = appendVector(append(out, s.id), s.body)
	}
	return out, nil
}

func split(wasm []byte) (sections []section, err error) {
	r := &reader{b: wasm, at: len(header)}
	for r.more() {
		s := section{id: r.byte()}
		if s.body = r.vector(); r.err != nil {
			return nil, fmt.Errorf("section %d: %w", s.id, r.err)
		}
		sections = append(sections, s)
	}
	return sections, nil
}

// read takes what the code's rewriting needs from one of the other sections.
func (m *module) read(s section) error {
	r := &reader{b: s.body}
	switch s.id {
	case sectionCustom:
		if name := string(r.vector()); name == hintSection {
			r.fail("there are branch hints already")
		}
	case sectionType:
		m.readTypes(r)
	case sectionImport:
		for range r.count() {
			r.vector()
			r.vector()
			m.readImport(r)
		}
	case sectionFunction:
		for range r.count() {
			m.types = append(m.types, r.u32())
		}
	case sectionExport:
		m.readExports(r)
	case sectionElement:
		for range r.count() {
			m.readElements(r)
		}
	case sectionData:
		m.readData(r)
	}
	return r.err
}

func (m *module) readImport(r *reader) {
	switch kind := r.byte(); kind {
	case kindFunction:
		m.types = append(m.types, r.u32())
		m.imported++
	case kindTable:
		r.byte()
		readLimits(r)
		m.shared = true
	case kindMemory:
		readLimits(r)
	case kindGlobal:
		r.bytes(2)
	default:
		r.fail("an import of kind %d, want at most %d", kind, kindGlobal)
	}
}

func readLimits(r *reader) (least uint32, bounded bool) {
	bounded = r.byte()&1 == 1
	least = r.u32()
	if bounded {
		r.u32()
	}
	return least, bounded
}

// readElements reads a segment of the table's elements: the functions from a constant place on.
func (m *module) readElements(r *reader) {
	if kind := r.u32(); kind != 0 {
		r.fail("elements of kind %d, want 0", kind)
		return
	}
	offset, end := r.instruction(), r.instruction()
	if offset.op != opI32Const || end.op != opEnd {
		r.fail("the elements' place is no constant")
		return
	}
	for i := range r.count() {
		m.places[r.u32()] = uint32(offset.value) + uint32(i)
	}
}

// fixed gives a table that is nobody else's, and can't grow since no instruction does that, its size as a bound, so that calls needn't compare with it.
func (m *module) fixed(body []byte) []byte {
	r := &reader{b: body}
	tables, kind := r.count(), r.byte()
	least, bounded := readLimits(r)
	if tables != 1 || bounded || m.shared || r.err != nil || r.more() {
		return body
	}
	return appendU32(appendU32([]byte{1, kind, 1}, least), least)
}

// code rewrites the functions. It gives the section of their hints, too, or nil.
func (m *module) code(b []byte) (code, hints []byte, err error) {
	r := &reader{b: b}
	n := r.count()
	if m.imported+n != len(m.types) && r.err == nil {
		r.fail("%d functions, want %d as in section %d", n, len(m.types)-m.imported, sectionFunction)
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	m.summary.Functions = n
	bodies := make([]body, n)
	for i := range bodies {
		raw := r.vector()
		f, err := readBody(raw)
		if err == nil {
			err = m.check(f.code)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("function %d: %w", m.imported+i, err)
		}
		bodies[i] = f
		if index := uint32(m.imported + i); isLeaf(len(raw), f.code) {
			m.leaves[index] = true
		}
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	code = appendU32(nil, n)
	var list []byte
	hinted := 0
	for i, f := range bodies {
		b, branches := m.rewrite(f)
		code = appendVector(code, b)
		if len(branches) > 0 {
			hinted++
			m.summary.Hints += len(branches)
			list = appendHints(list, uint32(m.imported+i), branches)
		}
	}
	if hinted > 0 {
		hints = append(appendU32(appendVector(nil, []byte(hintSection)), hinted), list...)
	}
	return code, hints, nil
}

// check finds calls of what isn't there.
func (m *module) check(code []instruction) error {
	for _, in := range code {
		if in.op == opCall && in.value >= int64(len(m.types)) {
			return fmt.Errorf("it calls function %d of %d", in.value, len(m.types))
		}
	}
	return nil
}
