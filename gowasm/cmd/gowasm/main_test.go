package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module has one function, which has a nop.
const module = "\x00asm\x01\x00\x00\x00" + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00" + "\x0a\x05\x01\x03\x00\x01\x0b"

// named is the module with its function's name.
const named = module + "\x00\x11\x04name" + "\x01\x0a\x01\x00\x07main.do"

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "in.wasm")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRun(t *testing.T) {
	in := file(t, module)
	out := filepath.Join(t.TempDir(), "out.wasm")
	for _, test := range []struct {
		arguments      []string
		code           int
		stdout, stderr string
	}{
		{[]string{in, out}, exitOK, "OUT: 24 instead of 25 bytes; of 1 functions 0 are in front, nothing is inlined into 0; 0 jumps are direct, 0 branches have hints\n", ""},
		{[]string{"--json", in, out}, exitOK, `{"functions":1,"bytes_before":25,"bytes":24,"direct_jumps":0,"back_jumps":0,"functions_without_loop":0,"functions_in_front":0,"filled_functions":0,"branch_hints":0}` + "\n", ""},
		{[]string{"--first", file(t, "# none\n"), in, out}, exitOK, "OUT: 24 instead of 25 bytes; of 1 functions 0 are in front, nothing is inlined into 0; 0 jumps are direct, 0 branches have hints\n", ""},
		{[]string{"--first", filepath.Join(filepath.Dir(in), "none"), in, out}, exitNo, "", "gowasm: open DIR/none: no such file or directory\n"},
		{[]string{"--help"}, exitOK, usage, ""},
		{[]string{in}, exitUsage, "", "gowasm: found 1 files, want two\n\n" + usage},
		{[]string{"-x", in, out}, exitUsage, "", "gowasm: flag provided but not defined: -x\n\n" + usage},
		{[]string{file(t, "text"), out}, exitNo, "", "gowasm: IN: not a WebAssembly module as Go's compiler writes it: it begins with 74 65 78 74, want 00 61 73 6d 01 00 00 00\n"},
		{[]string{filepath.Join(filepath.Dir(in), "none"), out}, exitNo, "", "gowasm: open DIR/none: no such file or directory\n"},
		{[]string{in, filepath.Join(filepath.Dir(in), "no", "out")}, exitNo, "", "gowasm: open DIR/no/out.*: no such file or directory\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(test.arguments, &stdout, &stderr)
		text := stderr.String()
		if test.code == exitNo && strings.Contains(test.stderr, "IN:") {
			text = strings.Replace(text, test.arguments[0], "IN", 1)
		}
		text = strings.ReplaceAll(text, filepath.Dir(in), "DIR")
		if at := strings.Index(text, "out."); at >= 0 && strings.Contains(text, "DIR/no/") { // a random name
			text = text[:at] + "out.*" + text[strings.Index(text[at:], ":")+at:]
		}
		if got := strings.ReplaceAll(stdout.String(), out, "OUT"); code != test.code || got != test.stdout || text != test.stderr {
			t.Errorf("%q: exit code %d, want %d\n%s%s", test.arguments, code, test.code, got, text)
		}
	}
	if b, err := os.ReadFile(out); err != nil || len(b) != 24 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// A list that has aged may have names that the module hasn't. One that has no other is at fault, and nothing is written.
func TestFirst(t *testing.T) {
	in, out := file(t, named), filepath.Join(t.TempDir(), "out.wasm")
	for list, want := range map[string]struct {
		code   int
		output string
	}{
		"main.gone\nmain.do\n": {exitOK, "OUT: 24 instead of 44 bytes; of 1 functions 1 are in front, nothing is inlined into 0; 0 jumps are direct, 0 branches have hints\n"},
		"# A cache\n\n\"It\" is quick.\nmain.go\n": {exitNo,
			`gowasm: LIST: none of its 2 names, such as "\"It\" is quick.", is that of one of the 1 functions of IN; want names as its section of names has them, a line each` + "\n"},
	} {
		var stdout, stderr bytes.Buffer
		first := file(t, list)
		code := run([]string{"--first", first, in, out}, &stdout, &stderr)
		text := strings.NewReplacer(first, "LIST", in, "IN", out, "OUT").Replace(stdout.String() + stderr.String())
		if code != want.code || text != want.output {
			t.Errorf("%q: exit code %d, want %d\n%s", list, code, want.code, text)
		}
		if err := os.Remove(out); (err == nil) != (code == exitOK) {
			t.Errorf("%q: exit code %d, and what is written: %v", list, code, err)
		}
	}
}

// A proxy may be reading the module: what is right isn't written again, and what isn't is replaced as a whole. IN may be OUT.
func TestWrite(t *testing.T) {
	in := file(t, module)
	out := filepath.Join(filepath.Dir(in), "out.wasm")
	var stdout, stderr bytes.Buffer
	written := func() os.FileInfo {
		if code := run([]string{"--json", in, out}, &stdout, &stderr); code != exitOK {
			t.Fatal(stderr.String())
		}
		info, err := os.Stat(out)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first, second := written(), written()
	if !os.SameFile(first, second) || !first.ModTime().Equal(second.ModTime()) {
		t.Error("what was right is written again")
	}
	if first.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", first.Mode())
	}
	if err := os.WriteFile(out, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(first, written()) {
		t.Error("what was wrong is written over")
	}
	if code := run([]string{in, in}, &stdout, &stderr); code != exitOK {
		t.Error(stderr.String())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(in), "*")); len(left) != 2 {
		t.Errorf("there are %q", left)
	}
	var done map[string]int
	if err := json.NewDecoder(&stdout).Decode(&done); err != nil || done["functions"] != 1 {
		t.Errorf("%v, %v", done, err)
	}
}
