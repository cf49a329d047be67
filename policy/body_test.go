package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestCanonicalBody(t *testing.T) {
	b := &Body{MaxBytes: 1000}
	for _, test := range []struct{ in, want string }{
		{` {"b" : 1 , "a": [true, null, {"d":2,"c":-1.0e5}]} `, `{"a":[true,null,{"c":-1.0e5,"d":2}],"b":1}`},
		{`{"\u0061": "\u00e9\n\"\/\ud83d\ude00"}`, `{"a":"é\u000a\"/😀"}`},
		{`{}`, `{}`}, {`[]`, `[]`}, {`"x"`, `"x"`}, {`0`, `0`}, {`[1.0, 1]`, `[1.0,1]`},
	} {
		got, err := b.Canonical([]byte("before"), []byte(test.in))
		if err != nil || string(got) != "before"+test.want {
			t.Errorf("%s: %s, %v; want %s", test.in, got, err, test.want)
		}
	}
}

func TestCanonicalBodyIgnores(t *testing.T) {
	ignore := []string{"requestId", "meta.ts"}
	b := &Body{MaxBytes: 1000, Ignore: ignore, ignored: ignoreMembers(ignore)}
	got, err := b.Canonical(nil, []byte(`{"user":"u","requestId":[{"x":1}],"meta":{"ts":1,"v":2},"deep":{"requestId":1},"list":[{"requestId":1}]}`))
	want := `{"deep":{"requestId":1},"list":[{"requestId":1}],"meta":{"v":2},"user":"u"}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
	if got, err := b.Canonical(nil, []byte(`{"meta":{"ts":1}}`)); err != nil || string(got) != `{"meta":{}}` {
		t.Errorf("nothing is left in an object: %s, %v", got, err)
	}
}

// TestBodiesThatReadersDisagreeOn are refused, or two readers could key and answer different requests.
func TestBodiesThatReadersDisagreeOn(t *testing.T) {
	b := &Body{MaxBytes: 1 << 20, ignored: ignoreMembers([]string{"i"})}
	for _, in := range []string{"", " ", "{", `{"a":1}x`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"i":1,"i":2}`, `{"i":{"a":1,"a":1}}`, `{"a":NaN}`,
		`{"a":01}`, `{"a":1.}`, `{"a":+1}`, `{a:1}`, `{"a":1,}`, `[1,]`, "\"\n\"", `"\x"`, `"\ud800"`, `"\udc00\ud800"`, "\"\xff\"", "\xef\xbb\xbf{}", `{"a":tru}`, "{}\x00",
		strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat("[", 100_000), `{"a" 1}`, `'a'`, `{"a":1 "b":2}`, "\"\\u12\""} {
		if got, err := b.Canonical(nil, []byte(in)); !errors.Is(err, ErrBody) {
			t.Errorf("%.40q: %.40q, %v", in, got, err)
		}
	}
	if _, err := (&Body{MaxBytes: 1}).Canonical(nil, []byte("{}")); !errors.Is(err, ErrBody) {
		t.Errorf("beyond the limit: %v", err)
	}
}

// FuzzCanonicalBody compares with encoding/json: what is accepted is JSON and means the same afterwards, and
// equal meanings give equal bytes.
func FuzzCanonicalBody(f *testing.F) {
	for _, s := range []string{`{"b":1,"a":[true,null,{"d":2,"c":-1e5}]}`, `"\ud83d\ude00"`, `{"a":{"a":"\u0000"},"":0}`, `[[[]]]`} {
		f.Add([]byte(s))
	}
	b := &Body{MaxBytes: 1 << 16}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := b.Canonical(nil, in)
		if err != nil {
			return
		}
		want, err := oracleJSON(in)
		if err != nil {
			t.Fatalf("%q: accepted, but encoding/json says %v", in, err)
		}
		again, err := oracleJSON(got)
		if err != nil || !bytes.Equal(again, want) {
			t.Fatalf("%q became %q, which means %s instead of %s (%v)", in, got, again, want, err)
		}
		fromOracle, err := b.Canonical(nil, want)
		if err != nil || !bytes.Equal(fromOracle, got) {
			t.Fatalf("%q became %q, but its equal %q became %q (%v)", in, got, want, fromOracle, err)
		}
		if second, err := b.Canonical(nil, slices.Clone(got)); err != nil || !bytes.Equal(second, got) {
			t.Fatalf("%q isn't canonical: it became %q (%v)", got, second, err)
		}
	})
}

// oracleJSON is encoding/json's canonical form: sorted members, numbers as they stand.
func oracleJSON(in []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// Readers that don't look at a name's case, as Go's encoding/json, take the last of such members, whatever the order.
func TestMembersThatDifferInCase(t *testing.T) {
	b := &Body{MaxBytes: 1000}
	for body, want := range map[string]bool{`{"Q":1,"q":2}`: false, `{"q":2,"p":1,"Q":1}`: false, `{"aB":1,"AC":2,"ab ":3}`: true, `{"q":{"q":1},"p":{"Q":1}}`: true,
		`{"é":1,"É":2}`: false, `{"kind":1,"\u212Aind":2}`: false, `{"é":1,"è":2}`: true} {
		if _, err := b.Canonical(nil, []byte(body)); (err == nil) != want || err != nil && !errors.Is(err, ErrBody) {
			t.Errorf("%s: %v, want that it is keyed: %v", body, err, want)
		}
	}
}

func TestIsJSON(t *testing.T) {
	for _, lines := range [][]string{{"application/json"}, {" Application/JSON ;"}, {"application/json; charset=utf-8"}, {`application/json;CHARSET="UTF-8" `}} {
		if !IsJSON(lines) {
			t.Errorf("%q isn't JSON", lines)
		}
	}
	for _, lines := range [][]string{nil, {""}, {"application/json", "application/json"}, {"text/json"}, {"application/jsonx"}, {"application/problem+json"},
		{"application/json; charset=utf-16"}, {"application/json; charset=utf-8; charset=utf-16"}, {"text/plain; charset=utf-8"}} {
		if IsJSON(lines) {
			t.Errorf("%q is JSON", lines)
		}
	}
}

// What may be an identifier of somebody's or something's is no word, and not logged.
func TestIsWord(t *testing.T) {
	for name, want := range map[string]bool{
		"name": true, "createdAt": true, "line_2": true, "x-azAZ-09": true, strings.Repeat("a", 32): true,
		"": false, strings.Repeat("a", 33): false, "a123": false, "ann@test": false, "a.b": false, "a b": false, "{a": false, "a`": false, "a/b": false, "\xfc": false,
		"1:2": false, ":": false, "/": false, "[": false,
	} {
		if got := isWord([]byte(name)); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
