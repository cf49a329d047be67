package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	v, err := Parse([]byte(` {"a" : [1.50, "x\u00e9\n", null], "b":{"a":true} , "a":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Value{Kind: Object, Offset: 1, Members: []Member{
		{"a", 2, Value{Kind: Array, Offset: 8, Items: []Value{{Kind: Number, Offset: 9, Text: "1.50"}, {Kind: String, Offset: 15, Text: "xé\n"}, {Kind: Null, Offset: 28, Text: "null"}}}},
		{"b", 35, Value{Kind: Object, Offset: 39, Members: []Member{{"a", 40, Value{Kind: Bool, Offset: 44, Text: "true"}}}}},
		{"a", 52, Value{Kind: Object, Offset: 56}},
	}}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("%+v", v)
	}
	if v.Get("b").Get("a").Text != "true" || v.Get("c") != nil {
		t.Error("Get finds another member")
	}
}

// TestErrors: every error says where the document goes wrong.
func TestErrors(t *testing.T) {
	for doc, wanted := range map[string]string{
		"":                       "at byte 0: the document ends where a value is wanted",
		" x":                     `at byte 1: a value is wanted, found "x"`,
		`{"a":1,}`:               "at byte 7: a comma before the closing }",
		`[1,]`:                   "at byte 3: a comma before the closing ]",
		`{"a" 1}`:                "at byte 5: a colon is wanted after the member name",
		`{a:1}`:                  "at byte 1: a member name in double quotes is wanted",
		`[1 2]`:                  "at byte 3: a comma or the closing ] is wanted",
		`[1`:                     "at byte 2: a comma or the closing ] is wanted",
		`{} {}`:                  "at byte 3: unexpected text after the document's end",
		"{}\x00":                 "at byte 2: unexpected text after the document's end",
		"\"a\nb\"":               "at byte 2: the string isn't closed on this line: a quotation mark is missing, or write the line break as \\n",
		"\"a\tb\"":               "at byte 2: a control character within a string: write it as an escape",
		`"a`:                     "at byte 2: the document ends within a string",
		`"\`:                     "at byte 1: the document ends within a string",
		`"\x"`:                   "at byte 1: unknown escape",
		`"\u12g4"`:               `at byte 1: \u wants four hexadecimal digits`,
		`"\ud800x"`:              "at byte 1: half a surrogate pair",
		"\"\xff\"":               "at byte 1: invalid UTF-8 within a string",
		`01`:                     "at byte 2: malformed number",
		`-`:                      "at byte 1: malformed number",
		`1.`:                     "at byte 2: malformed number: no digit after the point",
		`1e+`:                    "at byte 3: malformed number: no digit in the exponent",
		`tru`:                    `at byte 0: a value is wanted, found "t"`,
		strings.Repeat("[", 999): "at byte 64: nested deeper than 64 levels",
	} {
		_, err := Parse([]byte(doc))
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || err.Error() != "json: "+wanted {
			t.Errorf("%.20q: %v, want %s", doc, err, wanted)
		}
	}
}

// FuzzParse compares with encoding/json: what is accepted is JSON with the same meaning, and what is refused is either
// not JSON, or something that JSON readers disagree on.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e+3,"\ud83d\ude00\"",null,true,{}]}`, "[[[]]]", `"\ud800"`, "\"\xff\"", "1", " {\t\r\n} "} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		v, err := Parse(doc)
		if err != nil {
			if json.Valid(doc) && utf8.Valid(doc) && !bytes.Contains(doc, []byte(`\u`)) && bytes.Count(doc, []byte("["))+bytes.Count(doc, []byte("{")) <= MaxDepth {
				t.Fatalf("%q: %v, but it is JSON", doc, err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(doc))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !json.Valid(doc) {
			t.Fatalf("%q was accepted, encoding/json says %v", doc, err)
		}
		if got := plain(v); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, want %v", doc, got, want)
		}
		s := New(doc)
		if err := errors.Join(s.Skip(), s.End()); err != nil {
			t.Fatalf("%q: Skip: %v", doc, err)
		}
	})
}

// plain is the value as encoding/json gives it.
func plain(v Value) any {
	switch v.Kind {
	case Object:
		m := map[string]any{}
		for _, member := range v.Members {
			m[member.Name] = plain(member.Value)
		}
		return m
	case Array:
		list := []any{}
		for _, item := range v.Items {
			list = append(list, plain(item))
		}
		return list
	case Number:
		return json.Number(v.Text)
	case Bool:
		return v.Text == "true"
	case Null:
		return nil
	}
	return v.Text
}
