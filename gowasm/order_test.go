package gowasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
)

// numbered has an imported function and four of its own, which add their digits to a number: exported, in the table, called and started with. The
// second calls the third, the fourth the second by the table.
func numbered(names ...string) []byte {
	digit := func(n byte, more ...byte) []byte { // g = 10 g + n
		b := append([]byte{0, opGlobalGet, 0, opI32Const, 10, 0x6c, opI32Const, n, opI32Add, opGlobalSet, 0}, more...)
		return append(b, opEnd)
	}
	code := []byte{4}
	for _, b := range [][]byte{digit(1), digit(2, opCall, 3), digit(3), digit(4, opI32Const, 1, opCallIndirect, 0, 0)} {
		code = appendVector(code, b)
	}
	list := appendU32(nil, len(names))
	for i, name := range names {
		list = appendVector(appendU32(list, i+1), []byte(name))
	}
	names0 := append(appendVector(nil, []byte("name")), 0, 2, 1, 'm', 1) // the module's, and then those of functions
	out := []byte(header)
	for _, s := range []section{
		{sectionType, []byte("\x01\x60\x00\x00")},
		{sectionImport, []byte("\x01\x01e\x01f\x00\x00")},
		{sectionFunction, []byte{4, 0, 0, 0, 0}},
		{4, []byte{1, 0x70, 0, 3}},
		{6, []byte{1, 0x7f, 1, opI32Const, 0, opEnd}},
		{sectionExport, []byte("\x05\x01a\x00\x01\x01b\x00\x02\x01d\x00\x04\x01f\x00\x00\x01g\x03\x00")},
		{sectionStart, []byte{1}},
		{sectionElement, []byte{1, 0, opI32Const, 0, opEnd, 3, 1, 2, 3}},
		{sectionCode, code},
		{sectionCustom, appendVector(names0, list)},
	} {
		out = appendVector(append(out, s.id), s.body)
	}
	return out
}

// Whatever the order is, functions do what they did, called by whomever.
func TestOrder(t *testing.T) {
	in := numbered("one", "two", "three", "four")
	for _, test := range []struct {
		first string
		found int
	}{
		{"", 0}, {"one two three four", 4}, {"four three two one", 4}, {"three", 1}, {"three five three one", 2}, {"five", 0},
	} {
		out, s, err := Optimize(in, strings.Fields(test.first)...)
		if err != nil || s.First != test.found || s.Functions != 4 {
			t.Errorf("%q: %+v, %v, want %d in front", test.first, s, err, test.found)
			continue
		}
		if named := strings.Contains(string(out), "\x04name"); named != (test.first == "") {
			t.Errorf("%q: the section of names is there: %t", test.first, named)
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
		if _, err := r.NewHostModuleBuilder("e").NewFunctionBuilder().WithFunc(func() {}).Export("f").Instantiate(t.Context()); err != nil {
			t.Fatal(err)
		}
		m, err := r.Instantiate(t.Context(), out)
		if err != nil {
			t.Fatalf("%q: %v", test.first, err)
		}
		for _, export := range []string{"d", "f", "b", "a"} {
			if _, err := m.ExportedFunction(export).Call(t.Context()); err != nil {
				t.Errorf("%q, %s: %v", test.first, export, err)
			}
		}
		if got := m.ExportedGlobal("g").Get(); got != 1_423_231 {
			t.Errorf("%q: %d, want 1, 423, nothing, 23 and 1", test.first, got)
		}
		r.Close(t.Context())
	}
	// Those that are said are in front, in this order, the others behind them in theirs.
	out, _, err := Optimize(in, "four", "two")
	if err != nil {
		t.Fatal(err)
	}
	sections, err := split(out)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(sections, func(s section) bool { return s.id == sectionCode })
	r := &reader{b: sections[at].body}
	var digits []int
	for range r.count() {
		f, _ := readBody(r.vector())
		digits = append(digits, int(f.code[3].value))
	}
	if fmt.Sprint(digits) != "[4 2 1 3]" {
		t.Errorf("functions %d, want 4, 2, 1 and 3", digits)
	}
}

// Of two functions of a name the first is meant, each time.
func TestOrderOfOneName(t *testing.T) {
	want, _, err := Optimize(numbered("one", "same", "three", "four"), "same")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		got, s, err := Optimize(numbered("one", "same", "same", "four"), "same")
		if err != nil || s.First != 1 || string(got) != string(want) {
			t.Fatalf("%+v, %v: % x, want % x", s, err, got, want)
		}
	}
}

func TestRefusedOrder(t *testing.T) {
	cut := func(in []byte, n int) []byte { // the section of names is cut short, at n bytes before its end
		out := slices.Clone(in[:len(in)-n])
		at := strings.LastIndex(string(out), "\x04name") - 1
		out[at] -= byte(n)
		return out
	}
	elements := func(of ...byte) []byte {
		return []byte(strings.Replace(string(numbered("one")), "\x09\x09\x01\x00", "\x09\x09\x01"+string(of), 1))
	}
	for want, in := range map[string][]byte{
		"it has no names of functions, and some are to come first: it was built with -ldflags=-s": numbered(),
		"section of names: at byte 11: 6 elements in 5 bytes":                                     cut(numbered("one"), 1),
		"section 9: at byte 2: elements of kind 1, want 0":                                        elements(1),
	} {
		if _, _, err := Optimize(in, "one"); !errors.Is(err, ErrModule) || err.Error() != ErrModule.Error()+": "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestNames(t *testing.T) {
	got := Names([]byte("# a list\nruntime.mallocgc\n\n  main.main  \n"))
	if want := []string{"runtime.mallocgc", "main.main"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
