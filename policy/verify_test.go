package policy

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func verifying(t testing.TB, ignore ...string) *Verify {
	t.Helper()
	list, _ := json.Marshal(append([]string{}, ignore...))
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"},
		"caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true, "verify": {"ignore": ` + string(list) + `}}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	return &p.Caches[0].Verify
}

func TestCompare(t *testing.T) {
	same, differ := Comparison{Same: true, JSON: true}, func(places ...string) Comparison {
		return Comparison{JSON: true, Differences: places}
	}
	for _, test := range []struct {
		name          string
		ignore        []string
		stored, fresh string
		want          Comparison
	}{
		{"the same bytes", nil, `not JSON`, `not JSON`, Comparison{Same: true}},
		{"other bytes", nil, `not JSON`, `not json`, Comparison{}},
		{"one isn't JSON", nil, `{}`, `<html>`, Comparison{}},
		{"readers could disagree", []string{"/a"}, `{"a":1,"a":2}`, `{"a":2}`, Comparison{}},
		{"empty", nil, ``, `{}`, Comparison{}},
		{"order and space", nil, `{"b":1,"a":[1,2]}`, ` {"a": [1, 2], "\u0062": 1}`, same},
		{"a value", nil, `{"a":1,"b":2}`, `{"a":1,"b":3}`, differ("/b")},
		{"other types", nil, `{"a":{},"b":[],"c":"1"}`, `{"a":[],"b":null,"c":1}`, differ("/a", "/b", "/c")},
		{"the document", nil, `[1]`, `{}`, differ("")},
		{"a member more and one less", nil, `{"a":1,"c":1}`, `{"b":1,"c":1}`, differ("/a", "/b")},
		{"elements, once each place", nil, `{"items":[{"id":1,"n":1},{"id":2,"n":1}]}`, `{"items":[{"id":1,"n":2},{"id":3,"n":2}]}`, differ("/items/*/n", "/items/*/id")},
		{"another length", nil, `{"items":[{"id":1},{"id":2}]}`, `{"items":[{"id":3}]}`, differ("/items")},
		{"ignored", []string{"/ts", "/meta/ts"}, `{"ts":1,"meta":{"ts":1,"v":1}}`, `{"meta":{"ts":2,"v":1}}`, same},
		{"ignored in lists", []string{"/items/*/ts"}, `{"items":[{"ts":1},{"ts":2}]}`, `{"items":[{"ts":3},{}]}`, same},
		{"one element ignored", []string{"/1"}, `[1,2,3]`, `[1,3,3]`, same},
		{"one element is there no more", []string{"/1"}, `[1,2]`, `[1]`, differ("")},
		{"a name and any name", []string{"/a/x", "/*/y"}, `{"a":{"x":1,"y":1},"b":{"x":1,"y":1}}`, `{"a":{"x":2,"y":2},"b":{"x":2,"y":2}}`, differ("/b/x")},
		{"escaped", []string{"/a~1b/~0"}, `{"a/b":{"~":1}}`, `{"a/b":{"~":2}}`, same},
		{"the empty name", []string{"/"}, `{"":1}`, `{"":2}`, same},
		{"not below another name", []string{"/a/ts"}, `{"b":{"ts":1}}`, `{"b":{"ts":2}}`, differ("/b/ts")},
		{"names that may be identifiers", nil, `{"users":{"ann@example.com":{"score":1},"u-4711":{"score":1},"":{"score":1}}}`,
			`{"users":{"ann@example.com":{"score":2},"u-4711":{"score":2},"":{"score":2}}}`, differ("/users/*/score")},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := verifying(t, test.ignore...).Compare([]byte(test.stored), []byte(test.fresh))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// However much differs, what is told of it is bounded, and so is the search.
func TestDifferencesAreBounded(t *testing.T) {
	wide := func(value, n int) []byte {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"` + strings.Repeat(string(rune('a'+i%26)), 1+i/26) + `":` + strconv.Itoa(value))
		}
		return []byte("{" + b.String()[1:] + "}")
	}
	deep := func(value string, level string) []byte {
		return []byte(strings.Repeat(`{"`+level+`":`, 60) + value + strings.Repeat("}", 60))
	}
	long := func(value string) []byte {
		return []byte("[" + strings.Repeat("0,", maxParts) + value + "]")
	}
	for name, test := range map[string]struct {
		stored, fresh []byte
		want          Comparison
	}{
		"wide":  {wide(1, 20), wide(2, 20), Comparison{JSON: true, Differences: []string{"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"}, More: true}},
		"deep":  {deep("1", "a"), deep("2", "a"), Comparison{JSON: true, Differences: []string{strings.Repeat("/a", maxSearched+1)}}},
		"names": {deep("1", strings.Repeat("n", 30)), deep("2", strings.Repeat("n", 30)), Comparison{JSON: true, Differences: []string{strings.Repeat("/"+strings.Repeat("n", 30), 4)}}},
		"long":  {long("1"), long("2"), Comparison{JSON: true, Differences: []string{""}}},
	} {
		if diff := cmp.Diff(test.want, verifying(t).Compare(test.stored, test.fresh)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// FuzzCompare compares with encoding/json and a plain reading of the pointers. What differs is bounded, has nothing
// of a value, and once it is ignored, nothing differs.
func FuzzCompare(f *testing.F) {
	for _, s := range [][3]string{
		{`{"a":[{"b":1,"c":2},{"b":3}]}`, `{"a":[{"b":2,"c":2},{"b":3}]}`, "/a/*/b"},
		{`{"a":{"x":1},"b":{"x":2}}`, `{"a":{"x":3},"b":{"x":4}}`, "/a/x\n/*/x"},
		{`[1,2,3]`, `[1,3]`, "/1\n/2"}, {`{"users":{"u-4711":1}}`, `{"users":{"u-4712":1}}`, "/users"},
		{`"x"`, `"y"`, ""}, {`{"*":1}`, `{"*":2}`, "/*"}, {`{"a/b":{"~":1}}`, `{}`, "/a~1b/~0"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, stored, fresh, list string) {
		ignore, pointers := []string{}, [][]string{}
		tree := &ignoreTree{}
		for s := range strings.SplitSeq(list, "\n") {
			if tokens, wanted := parsePointer(s); wanted == "" && len(ignore) < 8 {
				ignore, pointers = append(ignore, s), append(pointers, tokens)
				tree.add(tokens, true)
			}
		}
		v := Verify{Ignore: ignore, ignored: ignoring{tree}}
		got := v.Compare([]byte(stored), []byte(fresh))
		if !got.JSON {
			if got.Same != (stored == fresh) || len(got.Differences) > 0 {
				t.Fatalf("%q and %q: %+v", stored, fresh, got)
			}
			return
		}
		a, b := without(decoded(t, stored), pointers), without(decoded(t, fresh), pointers)
		if got.Same != reflect.DeepEqual(a, b) {
			t.Fatalf("%s and %s without %q: %+v", stored, fresh, ignore, got)
		}
		if len(got.Differences) > MaxDifferences || got.Same != (len(got.Differences) == 0) {
			t.Fatalf("%+v", got)
		}
		for _, place := range got.Differences {
			if len(place) > MaxDifference {
				t.Fatalf("a place of %d bytes", len(place))
			}
			if place == "" {
				return // the document itself can't be ignored
			}
			tokens, wanted := parsePointer(place)
			if wanted != "" {
				t.Fatalf("%q: %s", place, wanted)
			}
			tree.add(tokens, true)
		}
		if again := v.Compare([]byte(stored), []byte(fresh)); !got.More && !again.Same {
			t.Fatalf("%s and %s: %q is ignored, and still %q differs", stored, fresh, got.Differences, again.Differences)
		}
	})
}

func decoded(t *testing.T, doc string) (v any) {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: taken for JSON, but encoding/json says %v", doc, err)
	}
	return v
}

// without drops what pointers lead to: members, and the values of elements.
func without(v any, pointers [][]string) any {
	below := func(token string) (deeper [][]string, ignored bool) {
		for _, p := range pointers {
			if p[0] != token && p[0] != "*" {
				continue
			}
			if len(p) == 1 {
				return nil, true
			}
			deeper = append(deeper, p[1:])
		}
		return deeper, false
	}
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if deeper, ignored := below(name); ignored {
				delete(v, name)
			} else {
				v[name] = without(value, deeper)
			}
		}
	case []any:
		for i, value := range v {
			if deeper, ignored := below(strconv.Itoa(i)); ignored {
				v[i] = nil
			} else {
				v[i] = without(value, deeper)
			}
		}
	}
	return v
}

// BenchmarkCompare: the same bytes, another order, and a difference, of 64 KiB.
func BenchmarkCompare(b *testing.B) {
	document := func(last string) []byte {
		return []byte(`{"items":[` + strings.Repeat(`{"id":42,"name":"a name","tags":["a","b"]},`, 1500) + last + `]}`)
	}
	stored := document(`{"a":1,"b":2}`)
	v := verifying(b, "/items/*/ts")
	for name, fresh := range map[string][]byte{"bytes": document(`{"a":1,"b":2}`), "order": document(`{"b":2,"a":1}`), "difference": document(`{"a":1,"b":3}`)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(stored)))
			b.ReportAllocs()
			for b.Loop() {
				v.Compare(stored, fresh)
			}
		})
	}
}
