package gowasm

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"chatcache/gowasm/finished"
)

// callbackModule exports a function of each type that callbacks have, which answer 7, and its memory, where the data is. Sections are replaced.
func callbackModule(data []byte, replaced ...section) []byte {
	all := []section{
		{sectionType, []byte("\x05" + "\x60\x03\x7f\x7f\x7f\x01\x7f" + "\x60\x02\x7f\x7f\x01\x7f" + "\x60\x01\x7f\x01\x7f" + "\x60\x01\x7f\x00" + "\x60\x00\x00")},
		{sectionFunction, []byte{5, 0, 1, 2, 3, 4}},
		{5, []byte{1, 0, 1}}, // a page of memory
		{6, []byte{1, 0x7f, 1, opI32Const, 0, opEnd}},
		{sectionExport, []byte("\x06" + "\x16proxy_on_response_body\x00\x00" + "\x19proxy_on_request_trailers\x00\x01" + "\x0dproxy_on_done\x00\x02" +
			"\x0cproxy_on_log\x00\x03" + "\x17proxy_on_request_metric\x00\x04" + "\x06memory\x02\x00")},
		{sectionCode, []byte{
			5, 4, 0, opI32Const, 7, opEnd, 4, 0, opI32Const, 7, opEnd, 4, 0, opI32Const, 7, opEnd,
			6, 0, opI32Const, 7, opGlobalSet, 0, opEnd, 2, 0, opEnd,
		}},
		{sectionData, appendVector([]byte{1, 0, opI32Const, 16, opEnd}, data)},
	}
	out := []byte(header)
	for _, s := range all {
		for _, r := range replaced {
			if r.id == s.id {
				s.body = r.body
			}
		}
		out = appendVector(append(out, s.id), s.body)
	}
	return out
}

// A stream that is in the set gets the answer that lets it go on, another one what the module says.
func TestShortcuts(t *testing.T) {
	const at = 16
	data := append([]byte("before"), finished.Mark()...)
	out, s, err := Optimize(callbackModule(data))
	if err != nil || s.Shortcuts != 4 || s.Functions != 5 {
		t.Fatalf("%+v, %v, want four shortcuts", s, err)
	}
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	defer r.Close(t.Context())
	m, err := r.Instantiate(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	slots := uint32(at + len(data))
	const id = 3*finished.Slots + 5
	m.Memory().WriteUint32Le(slots+5*4, id)
	for export, answer := range map[string][]uint64{
		"proxy_on_response_body": {0}, "proxy_on_request_trailers": {0}, "proxy_on_done": {1}, "proxy_on_log": nil,
	} {
		f := m.ExportedFunction(export)
		for of, want := range map[uint64][]uint64{id: answer, id + 1: {7}, id - finished.Slots: {7}, 5: {7}} {
			if answer == nil {
				want = nil
			}
			arguments := make([]uint64, len(f.Definition().ParamTypes()))
			arguments[0] = of
			got, err := f.Call(t.Context(), arguments...)
			if fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
				t.Errorf("%s of stream %d: %v, %v, want %v", export, of, got, err, want)
			}
		}
	}
	if f := m.ExportedFunction("proxy_on_request_metric"); f == nil || len(f.Definition().ParamTypes()) != 0 {
		t.Error("another export isn't as it was")
	}
}

// The log callback has no answer, so that what it does tells.
func TestShortcutOfLog(t *testing.T) {
	log := func(of uint32) (called bool) {
		exports := section{sectionExport, []byte("\x02" + "\x0cproxy_on_log\x00\x03" + "\x01g\x03\x00")}
		global := section{6, []byte{1, 0x7f, 1, opI32Const, 0, opEnd}}
		data := append([]byte(nil), finished.Mark()...)
		data = append(data, 0, 0, 0, 0, 1) // stream 1
		out, _, err := Optimize(callbackModule(data, exports, global))
		if err != nil {
			t.Fatal(err)
		}
		r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
		defer r.Close(t.Context())
		m, err := r.Instantiate(t.Context(), out)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.ExportedFunction("proxy_on_log").Call(t.Context(), api.EncodeU32(of)); err != nil {
			t.Fatal(err)
		}
		return m.ExportedGlobal("g").Get() == 7
	}
	if log(1) || !log(2) {
		t.Errorf("called for a finished stream: %t, for another one: %t", log(1), log(2))
	}
}

// A module without a set, or without such exports, gets none.
func TestNoShortcuts(t *testing.T) {
	for name, in := range map[string][]byte{
		"no set":     callbackModule([]byte("no set")),
		"no exports": callbackModule(finished.Mark(), section{sectionExport, []byte("\x01\x06memory\x02\x00")}),
	} {
		if out, s, err := Optimize(in); err != nil || s.Shortcuts != 0 || len(out) != len(in) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestRefusedShortcuts(t *testing.T) {
	set := finished.Mark()
	for want, in := range map[string][]byte{
		"section 11: at byte 46: several sets of finished streams, want one": callbackModule(append(finished.Mark(), set...)),
		"section 11: at byte 2: data of kind 1, want 0":                      callbackModule(set, section{sectionData, []byte{1, 1, 0}}),
		"section 11: at byte 5: the data's place is no constant":             callbackModule(set, section{sectionData, []byte{1, 0, opGlobalGet, 0, opEnd, 0}}),
		"section 7: proxy_on_done is of type 01 7f 00, want 01 7f 01 7f":     callbackModule(set, section{sectionExport, []byte("\x01\x0dproxy_on_done\x00\x03")}),
		"section 7: proxy_on_done is function 5, want one of 0 to 4":         callbackModule(set, section{sectionExport, []byte("\x01\x0dproxy_on_done\x00\x05")}),
		"section 3: function 0 is of type 5 of 5":                            callbackModule(set, section{sectionFunction, []byte{5, 5, 1, 2, 3, 4}}),
		"section 1: at byte 2: a type of form 0x5f, want 0x60":               callbackModule(set, section{sectionType, []byte{1, 0x5f}}),
	} {
		if _, _, err := Optimize(in); !errors.Is(err, ErrModule) || err.Error() != ErrModule.Error()+": "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
