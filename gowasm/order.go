package gowasm

import (
	"errors"
	"fmt"
	"strings"
)

// Names reads a list of functions' names for [Optimize]: one in each line, as the section of names has them; lines that are empty or begin with # are left out.
func Names(list []byte) (names []string) {
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			names = append(names, line)
		}
	}
	return names
}

// V8 puts functions into memory about in the order of their numbers. So those that are called together had better have numbers that lie together: a request of the
// filter calls a hundred and fifty of its three thousand functions, and what they lie on are pages of memory and lines of caches that each request has to fetch again.

// order lets the functions of these names have the first numbers behind the imported ones. What refers to functions by their numbers is told later, see moved.
func (m *module) order(sections []section, first []string) error {
	named, err := functionsByName(sections)
	if err != nil {
		return err
	}
	if len(named) == 0 {
		return errors.New("it has no names of functions, and some are to come first: it was built with -ldflags=-s")
	}
	m.now = make([]uint32, len(m.types))
	types := append([]uint32{}, m.types[:m.imported]...)
	put := make([]bool, len(m.types))
	next := func(i uint32) {
		if !put[i] {
			put[i] = true
			m.now[i] = uint32(len(types))
			types = append(types, m.types[i])
		}
	}
	for i := range m.imported {
		m.now[i], put[i] = uint32(i), true
	}
	for _, name := range first {
		if i, ok := named[name]; ok && int(i) < len(m.types) {
			next(i)
		}
	}
	m.summary.First = len(types) - m.imported
	for i := range m.types {
		next(uint32(i))
	}
	m.types = types
	return nil
}

// functionsByName reads the section of names (WebAssembly 2.0, appendix "Custom Sections"): of several functions of a name the first.
func functionsByName(sections []section) (map[string]uint32, error) {
	named := map[string]uint32{}
	for _, s := range sections {
		if !s.is("name") {
			continue
		}
		r := &reader{b: s.body}
		r.vector()
		for r.more() {
			const ofFunctions = 1
			kind, part := r.byte(), r.vector()
			if kind != ofFunctions || r.err != nil {
				continue
			}
			list := &reader{b: part}
			for range list.count() {
				index, name := list.u32(), string(list.vector())
				if _, ok := named[name]; !ok {
					named[name] = index
				}
			}
			if list.err != nil {
				return nil, fmt.Errorf("section of names: %w", list.err)
			}
		}
		if r.err != nil {
			return nil, fmt.Errorf("section of names: %w", r.err)
		}
	}
	return named, nil
}

// is reports whether it is the custom section of that name.
func (s section) is(name string) bool {
	return s.id == sectionCustom && string((&reader{b: s.body}).vector()) == name
}

// moved is what a function's number is now.
func (m *module) moved(index uint32) uint32 {
	if int(index) >= len(m.now) {
		return index
	}
	return m.now[index]
}

// called gives the code with the numbers that functions have now.
func (m *module) called(code []instruction) []instruction {
	if m.now == nil {
		return code
	}
	for i, in := range code {
		if in.op == opCall {
			code[i] = withIndex(opCall, m.moved(uint32(in.value)))
		}
	}
	return code
}

// renumbered gives the exports, the start or the table's elements with them.
func (m *module) renumbered(s section) ([]byte, error) {
	if m.now == nil {
		return s.body, nil
	}
	r := &reader{b: s.body}
	if s.id == sectionStart {
		return appendU32(nil, m.moved(r.u32())), r.err
	}
	n := r.count()
	out := appendU32(nil, n)
	for range n {
		switch s.id {
		case sectionExport:
			name, kind, index := r.vector(), r.byte(), r.u32()
			if kind == kindFunction {
				index = m.moved(index)
			}
			out = appendU32(append(appendVector(out, name), kind), index)
		case sectionElement:
			if kind := r.u32(); kind != 0 {
				r.fail("elements of kind %d, want 0", kind)
			}
			out = append(out, 0)
			out = append(append(out, r.instruction().raw...), r.instruction().raw...)
			k := r.count()
			out = appendU32(out, k)
			for range k {
				out = appendU32(out, m.moved(r.u32()))
			}
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("section %d: %w", s.id, r.err)
	}
	return out, nil
}
