package gowasm

import "testing"

func TestConditions(t *testing.T) {
	for name, test := range map[string]struct{ code, want string }{
		"no":               {"local.get 1\n i64.eqz\n i64.extend_i32_u\n i64.eqz\n local.set 0\n end", "local.get 1\n i64.eqz\n i32.eqz\n local.set 0\n end"},
		"a number again":   {"local.get 1\n i64.eqz\n i64.extend_i32_u\n i32.wrap_i64\n local.set 0\n end", "local.get 1\n i64.eqz\n local.set 0\n end"},
		"not no, a br_if":  {"local.get 1\n i64.eqz\n i64.extend_i32_u\n i64.eqz\n i32.eqz\n br_if 0\n end", "local.get 1\n i64.eqz\n br_if 0\n end"},
		"not no, an if":    {"local.get 0\n i32.eqz\n i32.eqz\n if\n end\n end", "local.get 0\n if\n end\n end"},
		"no, three times":  {"local.get 0\n i32.eqz\n i32.eqz\n i32.eqz\n br_if 0\n end", "local.get 0\n i32.eqz\n br_if 0\n end"},
		"not no, a number": {"local.get 0\n i32.eqz\n i32.eqz\n local.set 0\n end", "local.get 0\n i32.eqz\n i32.eqz\n local.set 0\n end"},
		"a whole number":   {"local.get 1\n i32.wrap_i64\n i32.eqz\n br_if 0\n end", "local.get 1\n i32.wrap_i64\n i32.eqz\n br_if 0\n end"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, conditions(assemble(t, test.code).code), test.want) })
	}
}

func TestStored(t *testing.T) {
	const room = "local.get 0\n i32.const 8\n i32.add\n local.tee 0\n global.set 0\n"
	const set = "local.get 0\n i32.const 8\n i32.add\n local.set 0\n"
	for name, test := range map[string]struct{ code, want string }{
		"twice":               {room + "i64.const 1\n local.set 1\n" + room + "call 1\n end", set + "i64.const 1\n local.set 1\n" + room + "call 1\n end"},
		"three times":         {room + room + room + "call 1\n end", set + set + room + "call 1\n end"},
		"of what is no local": {"local.get 0\n global.set 0\n" + room + "call 1\n end", "local.get 0\n drop\n" + room + "call 1\n end"},
		"a call between":      {room + "call 1\n" + room + "call 1\n end", room + "call 1\n" + room + "call 1\n end"},
		"it is read":          {room + "global.get 0\n drop\n" + room + "end", room + "global.get 0\n drop\n" + room + "end"},
		"a block":             {room + "block\n" + room + "end\n end", room + "block\n" + room + "end\n end"},
		"the end of one":      {"block\n" + room + "end\n" + room + "end", "block\n" + room + "end\n" + room + "end"},
		"a branch":            {room + "local.get 0\n br_if 0\n" + room + "end", room + "local.get 0\n br_if 0\n" + room + "end"},
		"a return":            {room + "i32.const 0\n return\n" + room + "end", room + "i32.const 0\n return\n" + room + "end"},
		"another global":      {room + "i32.const 0\n global.set 1\n end", room + "i32.const 0\n global.set 1\n end"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, stored(assemble(t, test.code).code), test.want) })
	}
}
