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
	Direct    int `json:"direct_jumps"` // forward
	Back      int `json:"back_jumps"`   // which still go through the loop
	Straight  int `json:"functions_without_loop"`
	First     int `json:"functions_in_front"`
	Filled    int `json:"filled_functions"` // that nothing is inlined into
	Hints     int `json:"branch_hints"`
}

// Sections of a module (WebAssembly 2.0, section 5.5).
const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionExport   = 7
	sectionStart    = 8
	sectionElement  = 9
	sectionCode     = 10
)

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
)

// typeFunction begins a function's type; ofNothing is the rest of one without parameters and results.
const (
	typeFunction = 0x60
	ofNothing    = "\x00\x00"
)

const header = "\x00asm\x01\x00\x00\x00"

type section struct {
	id   byte
	body []byte
}

// module is what is known of one.
type module struct {
	signatures []string      // of its types: parameters and results, as they are written
	types      []uint32      // of functions, the imported ones first
	imported   int           // how many of these are
	now        []uint32      // the number of each, nil if none has another one
	added      [][]byte      // the fillers' bodies, behind all others
	fillers    []instruction // calls of them
	summary    Summary
}

// Optimize gives a module that does what this one does, see the package's documentation. The same bytes give the same bytes. It keeps all sections, and
// functions their numbers, so that the names of a module that has them stay right; places in the code, which debug information has (DWARF), don't.
//
// The functions of the names first come before all others, in this order; those that there are not are left out. Then the section of names is left out, too, which the module has
// to have: Go's linker writes it without -s.
//
// The error matches [ErrModule] where something isn't as Go's compiler and linker write it, and says what and where. A module that was optimized before is one of these.
func Optimize(wasm []byte, first ...string) ([]byte, Summary, error) {
	m := &module{}
	out, err := m.optimize(wasm, first)
	if err != nil {
		return nil, Summary{}, fmt.Errorf("%w: %w", ErrModule, err)
	}
	m.summary.Before, m.summary.After = len(wasm), len(out)
	return out, m.summary, nil
}

func (m *module) optimize(wasm []byte, first []string) ([]byte, error) {
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
	at := slices.IndexFunc(sections, func(s section) bool { return s.id == sectionCode })
	if at < 0 {
		return nil, errors.New("it has no code")
	}
	if len(first) > 0 {
		if err := m.order(sections, first); err != nil {
			return nil, err
		}
	}
	code, hints, err := m.code(sections[at].body)
	if err != nil {
		return nil, fmt.Errorf("section %d: %w", sectionCode, err)
	}
	out := []byte(header)
	for _, s := range sections {
		switch s.id {
		case sectionType:
			s.body = m.moreTypes(s.body)
		case sectionCustom:
			if m.now != nil && s.is("name") {
				continue
			}
		case sectionFunction:
			s.body = m.functions()
		case sectionExport, sectionStart, sectionElement:
			if s.body, err = m.renumbered(s); err != nil {
				return nil, err
			}
		case sectionCode:
			if len(hints) > 0 { // they have to come before it
				out = appendVector(append(out, sectionCustom), hints)
			}
			s.body = code
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
	case kindMemory:
		readLimits(r)
	case kindGlobal:
		r.bytes(2)
	default:
		r.fail("an import of kind %d, want at most %d", kind, kindGlobal)
	}
}

func readLimits(r *reader) {
	bounded := r.byte()&1 == 1
	r.u32()
	if bounded {
		r.u32()
	}
}

// readTypes reads the types of functions.
func (m *module) readTypes(r *reader) {
	for range r.count() {
		if form := r.byte(); form != typeFunction {
			r.fail("a type of form %#x, want %#x", form, typeFunction)
			return
		}
		from := r.at
		r.vector()
		r.vector()
		m.signatures = append(m.signatures, string(r.b[from:r.at]))
	}
}

// moreTypes adds the type of the fillers, if the module hasn't got it.
func (m *module) moreTypes(body []byte) []byte {
	if len(m.added) == 0 || slices.Contains(m.signatures, ofNothing) {
		return body
	}
	r := &reader{b: body}
	r.count()
	m.signatures = append(m.signatures, ofNothing)
	out := append(appendU32(nil, len(m.signatures)), body[r.at:]...)
	return append(append(out, typeFunction), ofNothing...)
}

// functions are the types of the module's own and of the fillers.
func (m *module) functions() []byte {
	own := m.types[m.imported:]
	out := appendU32(nil, len(own)+len(m.added))
	for _, of := range own {
		out = appendU32(out, of)
	}
	for range m.added {
		out = appendU32(out, slices.Index(m.signatures, ofNothing))
	}
	return out
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
	bodies, branches := make([][]byte, n), make([][]branchHint, n)
	for i := range n {
		f, err := readBody(r.vector())
		if err == nil {
			err = m.check(f.code)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("function %d: %w", m.imported+i, err)
		}
		f.code = m.called(f.code)
		at := int(m.moved(uint32(m.imported+i))) - m.imported
		bodies[at], branches[at] = m.rewrite(f)
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	code = appendU32(nil, n+len(m.added))
	for _, body := range slices.Concat(bodies, m.added) {
		code = appendVector(code, body)
	}
	var list []byte
	hinted := 0
	for i, of := range branches {
		if len(of) > 0 {
			hinted++
			m.summary.Hints += len(of)
			list = appendHints(list, uint32(m.imported+i), of)
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
