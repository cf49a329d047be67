package main

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"chatcache/policy/internal/strictjson"
)

// Whatever a policy's JSON holds, its YAML says the same, and so does its text in a block of YAML.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		`{"on": "yes", "no": "1", "1": "0x1f", "~": "null", "a": "2001-01-01", "b": "1_000", "c": "12:30:45"}`,
		`{"a": ["x, y", "{z}", "# no comment", "a: b", "- c", "", " d ", "e\nf", "\ttab", "😀é\u0085\u2028\ufeff", "'", "\"\\"]}`,
		`{"a": {"b": {"c": []}, "d": {}}, "e": [[1, -0.5e3, true, null], [{"f": [{}]}]], "<<": {"=": "!tag", "&a": "*b"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		root, err := strictjson.Parse(text)
		var want any
		if err != nil || root.Kind != strictjson.Object || json.Unmarshal(text, &want) != nil || repeats(root) {
			return
		}
		out, err := yamlOf(document{"fuzz", text})
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := yaml.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !reflect.DeepEqual(plain(got), want) {
			t.Errorf("got  %#v\nwant %#v\n%s", plain(got), want, out)
		}
		block, err := literal(document{"fuzz", text})
		if err != nil {
			return
		}
		var held struct{ Value string }
		if err := yaml.Unmarshal([]byte("value: |\n  "+indent(2, block)), &held); err != nil {
			t.Fatalf("%v\n%s", err, block)
		}
		var again any
		if err := json.Unmarshal([]byte(held.Value), &again); err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("as a block: %#v, %v\nwant %#v", again, err, want)
		}
	})
}

// repeats tells whether an object has a name twice, which policies can't.
func repeats(v strictjson.Value) bool {
	names := map[string]bool{}
	for _, m := range v.Members {
		if names[m.Name] || repeats(m.Value) {
			return true
		}
		names[m.Name] = true
	}
	return slices.ContainsFunc(v.Items, repeats)
}

// plain has numbers as encoding/json has them.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = plain(member)
		}
	case []any:
		for i, item := range v {
			v[i] = plain(item)
		}
	case int:
		return float64(v)
	case int64:
		return float64(v)
	case uint64:
		return float64(v)
	}
	return v
}
