package gowasm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"chatcache/test/filemap"
)

func TestFiles(t *testing.T) { filemap.CheckT(t) }

// assemble makes a function of one parameter and one local, of 32 and 64 bits, from text: an instruction in each line, ";;" before what is a comment.
func assemble(t testing.TB, text string) body {
	t.Helper()
	b := []byte{1, 2, 0x7e}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, ";;")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		op, ok := mnemonics[fields[0]]
		if !ok {
			t.Fatalf("no instruction %q", fields[0])
		}
		b = append(b, op)
		for _, field := range fields[1:] {
			var n int64
			if _, err := fmt.Sscan(field, &n); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			switch {
			case op == opI32Const || op == opI64Const:
				b = appendSigned(b, n)
			default:
				b = appendU32(b, uint32(n))
			}
		}
		if op == opBlock || op == opLoop || op == opIf {
			b = append(b, 0x40)
		}
	}
	f, err := readBody(b)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Loads and stores have their alignment and offset, a br_table how many labels, these, and the default.
var mnemonics = map[string]byte{
	"unreachable": opUnreachable, "nop": opNop, "block": opBlock, "loop": opLoop, "if": opIf, "else": opElse, "end": opEnd, "br": opBr, "br_if": opBrIf, "br_table": opBrTable,
	"return": opReturn, "call": opCall, "drop": opDrop, "local.get": opLocalGet, "local.set": opLocalSet, "local.tee": opLocalTee, "global.get": opGlobalGet, "global.set": opGlobalSet,
	"i64.load": 0x29, "i64.load8_s": opI64Load8S, "i64.load8_u": 0x31, "i64.load16_s": opI64Load16S, "i64.load16_u": 0x33, "i64.load32_s": opI64Load32S, "i64.load32_u": 0x35, "i64.store": 0x37,
	"i32.const": opI32Const, "i64.const": opI64Const, "i32.eqz": opI32Eqz, "i64.eqz": opI64Eqz, "i32.add": opI32Add, "i64.add": opI64Add, "i64.and": opI64And, "i64.shl": 0x86, "i32.wrap_i64": opI32WrapI64, "i64.extend_i32_u": opI64ExtendU32,
}

// disassemble is what assemble reads, with the hints, on one line.
func disassemble(code []instruction) string {
	names := map[byte]string{opCallIndirect: "call_indirect"}
	for name, op := range mnemonics {
		names[op] = name
	}
	var lines []string
	for _, in := range code {
		line := names[in.op]
		switch {
		case in.loads(), in.stores():
			line += fmt.Sprintf(" %d %d", in.align, in.value)
		case in.op == opBrTable:
			line += fmt.Sprintf(" %d %s", len(in.labels)-1, strings.Trim(fmt.Sprint(in.labels), "[]"))
		case in.op >= opBr && in.op <= opCallIndirect && in.op != opReturn, in.op >= opLocalGet && in.op <= opGlobalSet, in.op == opI32Const, in.op == opI64Const:
			line += fmt.Sprintf(" %d", in.value)
		}
		lines = append(lines, line+[]string{"", " ;; unlikely", " ;; likely"}[in.hint])
	}
	return strings.Join(lines, "\n")
}

// lines is text without indentation, comments other than hints and empty lines.
func lines(text string) string {
	var list []string
	for line := range strings.Lines(text) {
		code, comment, _ := strings.Cut(strings.TrimSpace(line), ";;")
		if code = strings.TrimSpace(code); code == "" {
			continue
		}
		if comment = strings.TrimSpace(comment); comment == "likely" || comment == "unlikely" {
			code += " ;; " + comment
		}
		list = append(list, code)
	}
	return strings.Join(list, "\n")
}

func wantCode(t *testing.T, got []instruction, want string) {
	t.Helper()
	if got, want := disassemble(got), lines(want); got != want {
		t.Errorf("got\n%s\n\nwant\n%s", got, want)
	}
	// What is written is what was meant.
	b, _ := encode([]byte{0}, got)
	again, err := readBody(b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].hint = noHint
	}
	if again, got := disassemble(again.code), disassemble(got); again != got {
		t.Errorf("it is written as\n%s\n\nand meant as\n%s", again, got)
	}
}

// shape is a function as Go's compiler writes them, with four regions: the last is a panic.
const shape = `
	global.get 0
	local.set 1
	block ;; unwinds
	loop
	block
	block
	block
	block
	local.get 0
	br_table 5 0 0 1 2 3 3
	end ;; region 0
	local.get 1
	i64.eqz
	if ;; the stack has to grow
	  call 1
	  br_if 5
	end
	local.get 1
	i64.eqz
	if ;; to region 2: forward
	  i32.const 3
	  local.set 0
	  br 4
	end
	local.get 1
	i64.eqz
	if ;; a panic, in region 3
	  i32.const 4
	  local.set 0
	  br 4
	end
	end ;; region 1
	call 1
	br_if 3
	i32.const 3
	local.set 0
	br 2 ;; to region 2, which is the next
	end ;; region 2
	local.get 1
	i64.eqz
	if ;; back
	  i32.const 2
	  local.set 0
	  br 2
	end
	i32.const 1
	return
	end ;; region 3
	call 1
	br_if 1
	end
	unreachable
	end
	i32.const 1
	end`

// directed gives a function that has a dispatch with direct jumps and hints.
func directed(t *testing.T, text string) ([]instruction, Summary) {
	t.Helper()
	code := assemble(t, text).code
	d, ok := findDispatch(code)
	if !ok {
		t.Fatal("it has no dispatch")
	}
	m := &module{}
	code = m.direct(d, code)
	hintRare(code)
	return code, m.summary
}

func TestJumps(t *testing.T) {
	code, s := directed(t, shape)
	wantCode(t, code, `
		global.get 0
		local.set 1
		block
		loop
		block
		block
		block
		block
		local.get 0
		i32.eqz
		br_if 0 ;; likely
		local.get 0
		br_table 5 0 0 1 2 3 3
		end
		local.get 1
		i64.eqz
		if ;; unlikely
		call 1
		br_if 5 ;; unlikely
		end
		local.get 1
		i64.eqz
		br_if 1
		local.get 1
		i64.eqz
		br_if 2 ;; unlikely
		end
		call 1
		br_if 3 ;; unlikely
		br 0
		end
		local.get 1
		i64.eqz
		if
		i32.const 2
		local.set 0
		br 2
		end
		i32.const 1
		return
		end
		call 1
		br_if 1 ;; unlikely
		end
		unreachable
		end
		i32.const 1
		end`)
	if s.Direct != 3 || s.Back != 1 || s.Straight != 0 {
		t.Errorf("%d direct jumps and %d back, %d functions without a loop, want 3, 1 and 0", s.Direct, s.Back, s.Straight)
	}
}

// A function without a jump back needs no loop.
func TestStraight(t *testing.T) {
	const to = "i32.const 2\n\t  local.set 0\n\t  br 2"
	code, s := directed(t, strings.Replace(shape, to, "nop", 1))
	if got := disassemble(code); s.Straight != 1 || s.Back != 0 || strings.Contains(got, "loop") || strings.Count(got, "block") != 6 {
		t.Errorf("%+v:\n%s", s, got)
	}
	for name, jump := range map[string]string{"br_if": "local.get 1\n br_if 2", "br_table": "local.get 1\n br_table 1 0 2"} {
		code, s := directed(t, strings.Replace(shape, to, jump, 1))
		if got := disassemble(code); s.Straight != 0 || !strings.Contains(got, "loop") {
			t.Errorf("%s to the loop: it is gone", name)
		}
	}
}

// One that jumps nowhere has none, and continues by the same br_table.
func TestNoLoop(t *testing.T) {
	code, s := directed(t, `
		global.get 0
		local.set 1
		block ;; unwinds
		block
		block
		local.get 0
		br_table 3 0 0 1 1
		end ;; region 0
		local.get 1
		i64.eqz
		if ;; the stack has to grow
		  call 1
		  br_if 2
		end
		end ;; region 1
		call 1
		br_if 0
		i32.const 0
		return
		end
		i32.const 1
		end`)
	wantCode(t, code, `
		global.get 0
		local.set 1
		block
		block
		block
		local.get 0
		i32.eqz
		br_if 0 ;; likely
		local.get 0
		br_table 3 0 0 1 1
		end
		local.get 1
		i64.eqz
		if ;; unlikely
		call 1
		br_if 2 ;; unlikely
		end
		end
		call 1
		br_if 0 ;; unlikely
		i32.const 0
		return
		end
		i32.const 1
		end`)
	if s.Straight != 0 {
		t.Error("it had a loop")
	}
	if _, ok := findDispatch(assemble(t, "block\n block\n local.get 0\n br_table 2 0 1 1\n end\n end\n i32.const 0\n end").code); ok {
		t.Error("without a block to unwind to it has a dispatch")
	}
}

// A function that reads where it continues anywhere else may need what a direct jump doesn't set.
func TestOtherShapes(t *testing.T) {
	for name, change := range map[string][2]string{
		"the pc is read elsewhere":           {"i32.const 1\n\treturn", "local.get 0\n\treturn"},
		"a label beyond the regions":         {"br_table 5 0 0 1 2 3 3", "br_table 5 0 0 1 2 3 4"},
		"something before the loop":          {"local.set 1", "call 1\n\tdrop"},
		"the br_table goes by another local": {"local.get 0\n\tbr_table", "local.get 1\n\tbr_table"},
		"no br_table":                        {"br_table 5 0 0 1 2 3 3", "br 0"},
		"two loops":                          {"block ;; unwinds", "loop"},
	} {
		if text := strings.Replace(shape, change[0], change[1], 1); text == shape {
			t.Errorf("%s: nothing is replaced", name)
		} else if _, ok := findDispatch(assemble(t, text).code); ok {
			t.Errorf("%s: it has a dispatch", name)
		}
	}
	for name, text := range map[string]string{"the br_table is first": "br_table 0 0\n end", "nothing but the end": "end"} {
		if _, ok := findDispatch(assemble(t, text).code); ok {
			t.Errorf("%s: it has a dispatch", name)
		}
	}
	// As a scratch local, whose value was put there just before, it may be read.
	text := strings.Replace(shape, "i32.const 1\n\treturn", "local.set 0\n\ti32.const 0\n\tlocal.get 0\n\treturn", 1)
	if _, ok := findDispatch(assemble(t, text).code); !ok {
		t.Error("a scratch local: it has no dispatch")
	}
}

// readStackPointer is what a function begins with that Go's compiler writes: it has the stack pointer as local 1.
const readStackPointer = "global.get 0\n local.set 1\n"

func TestOffsets(t *testing.T) {
	const address = "local.get 1\n i64.extend_i32_u\n i64.const 24\n i64.add\n i32.wrap_i64\n"
	for name, test := range map[string]struct{ code, want string }{
		"a load": {address + "i64.load 3 8\n end", "local.get 1\n i64.load 3 32\n end"},
		"a store": {
			address + "local.get 1\n i32.wrap_i64\n i64.load 3 80\n i64.const 2\n i64.shl\n i64.store 3 0\n end",
			"local.get 1\n local.get 1\n i32.wrap_i64\n i64.load 3 80\n i64.const 2\n i64.shl\n i64.store 3 24\n end"},
		"a store of what is loaded likewise": {address + address + "i64.load 3 0\n i64.store 3 0\n end", "local.get 1\n local.get 1\n i64.load 3 24\n i64.store 3 24\n end"},
		"a call that takes it":               {address + "call 1\n end", "local.get 1\n i32.const 24\n i32.add\n call 1\n end"},
		"a store of it":                      {"local.get 0\n" + address + "i64.store 3 0\n end", "local.get 0\n local.get 1\n i32.const 24\n i32.add\n i64.store 3 0\n end"},
		"a call before it is used":           {address + "i64.const 1\n call 1\n i64.store 3 0\n end", "local.get 1\n i32.const 24\n i32.add\n i64.const 1\n call 1\n i64.store 3 0\n end"},
		"above an operand that stays":        {"i32.const 1\n" + address + "i64.load 3 0\n i64.store 3 0\n end", "i32.const 1\n local.get 1\n i64.load 3 24\n i64.store 3 0\n end"},
		"a store of what is below it":        {address + "i64.store 3 0\n end", "local.get 1\n i32.const 24\n i32.add\n i64.store 3 0\n end"},
		"a local that it is put into":        {address + "local.tee 2\n i64.load 3 0\n end", "local.get 1\n i32.const 24\n i32.add\n local.tee 2\n i64.load 3 0\n end"},
		"a block before it is used":          {address + "block\n end\n i64.load 3 0\n end", "local.get 1\n i32.const 24\n i32.add\n block\n end\n i64.load 3 0\n end"},
		"an offset that is too large":        {address + "i64.load 3 2147483640\n end", "local.get 1\n i32.const 24\n i32.add\n i64.load 3 2147483640\n end"},
		"a negative one": {
			strings.Replace(address, "24", "-24", 1) + "i64.load 3 0\n end", strings.Replace(address, "24", "-24", 1) + "i64.load 3 0\n end"},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, withOffsets(assemble(t, readStackPointer+test.code).code), readStackPointer+test.want)
		})
	}
}

// Only of the stack pointer it is known that nothing to be accessed lies where a sum wraps. A local may be something else.
func TestOffsetsOfStackPointer(t *testing.T) {
	const use = "local.get 1\n i64.extend_i32_u\n i64.const 24\n i64.add\n i32.wrap_i64\n i64.load 3 0\n drop\n end"
	for name, test := range map[string]struct {
		code string
		is   bool
	}{
		"read at the begin":          {readStackPointer + use, true},
		"read again after a call":    {readStackPointer + "call 1\n" + readStackPointer + use, true},
		"moved":                      {readStackPointer + "local.get 1\n i32.const 8\n i32.add\n local.tee 1\n global.set 0\n" + use, true},
		"another local is set":       {readStackPointer + "i32.const 8\n local.tee 2\n local.set 2\n" + use, true},
		"nothing is read":            {use, false},
		"another local has it":       {"global.get 0\n local.set 2\n" + use, false},
		"another global":             {"global.get 1\n local.set 1\n" + use, false},
		"read later":                 {"nop\n" + readStackPointer + use, false},
		"set to something else":      {readStackPointer + "i32.const 8\n local.set 1\n" + use, false},
		"set, and another global":    {readStackPointer + "i32.const 8\n local.tee 1\n global.set 1\n" + use, false},
		"set after the sum":          {readStackPointer + strings.TrimSuffix(use, "end") + "i32.const 8\n local.set 1\n end", false},
		"set to another global":      {readStackPointer + "global.get 1\n local.set 1\n" + use, false},
		"set at the end of the code": {readStackPointer + use + "\n i32.const 8\n local.tee 1", false},
	} {
		code := assemble(t, test.code).code
		if got := withOffsets(slices.Clone(code)); (len(got) < len(code)) != test.is {
			t.Errorf("%s: it is the stack pointer: %t, want %t\n%s", name, !test.is, test.is, disassemble(got))
		}
	}
}

// What becomes of a sum is found without a look at each instruction behind it: for a hundred thousand on the stack that would take longer than a test may.
func TestManySums(t *testing.T) {
	const n = 100_000
	begin := assemble(t, readStackPointer).code
	sums := slices.Repeat(assemble(t, "local.get 1\n i64.extend_i32_u\n i64.const 24\n i64.add\n i32.wrap_i64").code, n)
	for name, test := range map[string]struct {
		user string
		want int // instructions for each sum
	}{
		"addresses": {"i64.load 3 8\n drop", 3},
		"dropped":   {"drop", 4},
		"left":      {"", 3},
	} {
		got := withOffsets(slices.Concat(begin, sums, slices.Repeat(assemble(t, test.user).code, n)))
		if want := len(begin) + n*test.want; len(got) != want {
			t.Errorf("%s: %d instructions, want %d", name, len(got), want)
		}
	}
}

func TestUnsigned(t *testing.T) {
	code := assemble(t, `
		local.get 0
		i64.load8_s 0 1
		i64.const 255
		i64.and
		local.get 0
		i64.load16_s 1 2
		i64.const 65535
		i64.and
		nop
		local.get 0
		i64.load32_s 2 4
		i64.const 4294967295
		i64.and
		local.get 0
		i64.load8_s 0 0
		i64.const 127
		i64.and
		end`).code
	wantCode(t, unsigned(withoutNops(code)), `
		local.get 0
		i64.load8_u 0 1
		local.get 0
		i64.load16_u 1 2
		local.get 0
		i64.load32_u 2 4
		local.get 0
		i64.load8_s 0 0
		i64.const 127
		i64.and
		end`)
}

// A function spends its budget where the stack has to grow, unless it calls something before.
func TestFilled(t *testing.T) {
	const grow = "global.get 0\n if\n call 1\n br_if 0\n end\n call 2\n end"
	m := &module{types: make([]uint32, 5)}
	wantCode(t, m.filled(assemble(t, grow).code, 11_000), // not three times as long as the largest
		"global.get 0\n if\n call 5\n call 6\n call 7\n call 8\n call 9\n call 10\n call 11\n call 12\n call 13\n call 14\n call 15\n call 1\n br_if 0\n end\n call 2\n end")
	var sizes []int
	for _, body := range m.added {
		if got := readAll(t, body); got != strings.Repeat("nop ", len(body)-2)+"end" {
			t.Errorf("a filler is %.40q", got)
		}
		sizes = append(sizes, len(body))
	}
	if want := []int{32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32}; !slices.Equal(sizes, want) {
		t.Errorf("fillers of %d bytes, want %d", sizes, want)
	}
	// A small function has only those that may fit, of the same.
	wantCode(t, m.filled(assemble(t, grow).code, 43), "global.get 0\n if\n call 13\n call 14\n call 15\n call 1\n br_if 0\n end\n call 2\n end")
	wantCode(t, m.filled(assemble(t, grow).code, 1), "global.get 0\n if\n call 15\n call 1\n br_if 0\n end\n call 2\n end")
	for name, code := range map[string]string{
		"a call before":            "call 3\n" + grow,
		"an if that calls nothing": "global.get 0\n if\n nop\n end\n call 2\n end",
		"nothing to call":          "nop\n end",
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, m.filled(assemble(t, code).code, 100), code) })
	}
	if len(m.added) != 11 || m.summary.Filled != 3 {
		t.Errorf("%d fillers, %d functions filled", len(m.added), m.summary.Filled)
	}
}

// readAll is a body's code on one line.
func readAll(t *testing.T, body []byte) string {
	t.Helper()
	f, err := readBody(body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(disassemble(f.code), "\n", " ")
}

// alone is a module with one function, of this code.
func alone(code []instruction) []byte {
	body, _ := encode([]byte{0}, code)
	out := []byte(header)
	for _, s := range []section{
		{sectionType, []byte{1, typeFunction, 1, 0x7f, 1, 0x7f}},
		{sectionFunction, []byte{1, 0}},
		{sectionCode, appendVector([]byte{1}, body)},
	} {
		out = appendVector(append(out, s.id), s.body)
	}
	return out
}

// module is one with a table, an import, functions of shape and their section of names.
func testModule(t testing.TB) []byte {
	t.Helper()
	f := assemble(t, shape)
	b, _ := encode(f.locals, f.code)
	out := []byte(header)
	for _, s := range []section{
		{sectionType, []byte{2, 0x60, 0, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f}},
		{sectionImport, append([]byte{3}, "\x01e\x01f\x00\x00"+"\x01e\x01m\x02\x00\x01"+"\x01e\x01g\x03\x7e\x00"...)},
		{sectionFunction, []byte{2, 0, 1}},
		{4, []byte{1, 0x70, 0, 9}},
		{9, []byte{1, 0, opI32Const, 7, opEnd, 2, 1, 2}},
		{sectionCode, appendVector(appendVector([]byte{2}, append([]byte{0, opCall, 1}, opEnd)), b)},
	} {
		out = appendVector(append(out, s.id), s.body)
	}
	return out
}

func TestModule(t *testing.T) {
	in := testModule(t)
	out, s, err := Optimize(in)
	if err != nil {
		t.Fatal(err)
	}
	want := Summary{Functions: 2, Before: len(in), After: len(out), Direct: 3, Back: 1, Filled: 1, Hints: 6}
	if s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	sections, err := split(out)
	if err != nil {
		t.Fatal(err)
	}
	got := map[byte]string{}
	order := ""
	for _, s := range sections {
		got[s.id] = fmt.Sprintf("% x", s.body)
		order += fmt.Sprint(s.id, " ")
	}
	if order != "1 2 3 4 9 0 10 " {
		t.Errorf("sections %s, want the hints just before the code", order)
	}
	if got[sectionType] != "03 60 00 01 7f 60 01 7f 01 7f 60 00 00" || got[sectionFunction] != "0d 00 01"+strings.Repeat(" 02", 11) {
		t.Errorf("types %s and functions of type %s, want eleven more of a third one", got[sectionType], got[sectionFunction])
	}
	// Of one function, number 2: the if that grows the stack, at its place in bytes, and the others.
	if want := fmt.Sprintf("%x", hintSection); !strings.HasPrefix(strings.ReplaceAll(got[0], " ", ""), "19"+want+"010206") {
		t.Errorf("hints % s", got[0])
	}
	if again, _, err := Optimize(in); err != nil || string(again) != string(out) {
		t.Error("the same bytes give other ones")
	}
	if _, _, err := Optimize(out); !errors.Is(err, ErrModule) || !strings.HasSuffix(err.Error(), "there are branch hints already") {
		t.Errorf("what was optimized: %v", err)
	}
}

// The place of a hint is that of its instruction.
func TestHintPlaces(t *testing.T) {
	f := assemble(t, shape)
	m := &module{types: []uint32{0, 1}}
	b, hints := m.rewrite(f)
	if len(hints) != 6 {
		t.Fatalf("%d hints, want 6", len(hints))
	}
	for _, h := range hints {
		if op := b[h.at]; op != opIf && op != opBrIf {
			t.Errorf("at byte %d is %#x", h.at, op)
		}
	}
	if hints[0].hint != likely || hints[1].hint != unlikely || b[hints[1].at] != opIf {
		t.Errorf("%v", hints)
	}
}

func TestCallingArms(t *testing.T) {
	for name, test := range map[string]struct {
		code string
		want []int // instructions that begin an arm with a call
	}{
		"a call":                {"if\n call 1\n end\n end", []int{0}},
		"what can't go on":      {"if\n unreachable\n end\n end", []int{0}},
		"none":                  {"if\n nop\n end\n call 1\n end", nil},
		"a call before":         {"call 1\n if\n end\n end", nil},
		"in the if":             {"if\n call 1\n else\n nop\n end\n end", []int{0}},
		"in the else":           {"if\n nop\n else\n call 1\n end\n end", []int{2}},
		"further in":            {"if\n block\n if\n else\n call 1\n end\n end\n else\n end\n end", []int{0, 1, 3}},
		"the first of two":      {"if\n if\n call 1\n end\n if\n end\n end\n end", []int{0, 1}},
		"the second of two":     {"if\n if\n end\n if\n call 1\n end\n end\n end", []int{0, 3}},
		"no arm, and more ends": {"call 1\n end\n end\n else\n end", nil},
	} {
		var got []int
		for i, calling := range callingArms(assemble(t, test.code).code) {
			if calling {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

// nested gives so many ifs in each other, with a call in the innermost.
func nested(t testing.TB, n int) []instruction {
	return slices.Concat(slices.Repeat(assemble(t, "i32.const 0\n if").code, n), assemble(t, "call 0").code, slices.Repeat(assemble(t, "end").code, n+1))
}

// What is in an if is looked at once, not for each if around it: of two hundred thousand in each other that would take longer than a test may.
func TestDeep(t *testing.T) {
	const n = 200_000
	code := nested(t, n)
	hintRare(code)
	hinted := 0
	for _, in := range code {
		if in.op == opIf && in.hint == unlikely {
			hinted++
		}
	}
	if hinted != n {
		t.Errorf("%d of %d ifs with a call have hints", hinted, n)
	}
	m := &module{}
	if got := m.filled(code, 1); len(got) != len(code)+1 || got[2].op != opCall {
		t.Errorf("%d instructions of %d, want one filler in the first if", len(got), len(code))
	}
	code = slices.DeleteFunc(code, instruction.calls)
	if got := m.filled(code, 1); len(got) != len(code) {
		t.Errorf("%d instructions of %d, want no fillers where nothing is called", len(got), len(code))
	}
}

// A function of twice the size takes twice the time: the rates are the same.
func BenchmarkSizes(b *testing.B) {
	begin := assemble(b, readStackPointer+"block\n block\n local.get 0\n br_table 0 0\n end").code
	sum := assemble(b, "local.get 1\n i64.extend_i32_u\n i64.const 24\n i64.add\n i32.wrap_i64").code
	for _, n := range []int{10_000, 20_000, 40_000, 80_000} {
		module := alone(slices.Concat(begin, slices.Repeat(sum, n), nested(b, n), assemble(b, "end").code))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(module)))
			for b.Loop() {
				if _, s, err := Optimize(module); err != nil || s.Hints != n+1 {
					b.Fatalf("%+v, %v, want %d hints", s, err, n+1)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	with := func(id byte, body ...byte) string { return header + string(appendVector([]byte{id}, body)) }
	for name, test := range map[string]struct{ module, want string }{
		"nothing":               {"", "it begins with , want 00 61 73 6d 01 00 00 00"},
		"text":                  {"#!/bin/sh\n", "it begins with 23 21 2f 62 69 6e 2f 73, want 00 61 73 6d 01 00 00 00"},
		"no code":               {header, "it has no code"},
		"cut short":             {header + "\x0a\x05\x01", "section 10: at byte 10: 5 elements in 1 bytes"},
		"a number without end":  {header + "\x0a\xff\xff\xff\xff\xff\xff", "section 10: at byte 9: no unsigned number of 32 bits"},
		"more bodies":           {with(sectionCode, 1, 2, 0, opEnd), "section 10: at byte 1: 1 functions, want 0 as in section 3"},
		"SIMD":                  {with(sectionFunction, 1, 0) + with(sectionCode, 1, 4, 0, 0xfd, 0, opEnd)[8:], "section 10: function 0: at byte 1: the instruction 0xfd, which Go's compiler doesn't write"},
		"the table grows":       {with(sectionFunction, 1, 0) + with(sectionCode, 1, 4, 0, 0xfc, 15, 0)[8:], "section 10: function 0: at byte 1: the instruction 0xfc 15, which Go's compiler doesn't write"},
		"a call of none":        {with(sectionFunction, 1, 0) + with(sectionCode, 1, 4, 0, opCall, 7, opEnd)[8:], "section 10: function 0: it calls function 7 of 1"},
		"an import of no kind":  {with(sectionImport, 1, 0, 0, 9), "section 2: at byte 4: an import of kind 9, want at most 3"},
		"a function's end":      {with(sectionFunction, 1, 0) + with(sectionCode, 1, 2, 0, opI32Const)[8:], "section 10: function 0: at byte 2: the end, want more"},
		"a constant of 80 bits": {with(sectionFunction, 1, 0) + with(sectionCode, 1, 13, 0, opI64Const, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1)[8:], "section 10: function 0: at byte 12: no signed number of 64 bits"},
	} {
		_, _, err := Optimize([]byte(test.module))
		if want := ErrModule.Error() + ": " + test.want; !errors.Is(err, ErrModule) || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		}
	}
}
