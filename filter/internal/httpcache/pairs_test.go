package httpcache_test

import (
	"encoding/binary"
	"testing"

	"chatcache/filter/internal/httpcache"

	"github.com/google/go-cmp/cmp"
)

// TestPairs pins the layout of the ABI, and that a stored response is handed on in it with
// what a hit adds.
func TestPairs(t *testing.T) {
	section := httpcache.Fields{{":path", "/a"}, {"x-empty", ""}}
	const want = "\x02\x00\x00\x00" +
		"\x05\x00\x00\x00\x02\x00\x00\x00" + "\x07\x00\x00\x00\x00\x00\x00\x00" +
		":path\x00/a\x00" + "x-empty\x00\x00"
	if got := string(section.Pairs()); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for name, want := range map[string]string{":path": "/a", "x-empty": "", "x-other": "", "": ""} {
		if got := section.Pairs().Get(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	stored, err := httpcache.DecodeResponse(httpcache.Response{Status: 200, Fields: section[1:], Body: []byte("x")}.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	got, err := stored.AppendPairs(nil, httpcache.Fields{{"age", "1"}}).AppendFields(nil)
	if diff := cmp.Diff(httpcache.Fields{{"x-empty", ""}, {"age", "1"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

// TestUnreadablePairs: lengths that don't add up are an error, however large, and nothing is found in them.
func TestUnreadablePairs(t *testing.T) {
	good := httpcache.Fields{{"a", "b"}}.Pairs()
	for name, p := range map[string]httpcache.Pairs{
		"no number":         good[:3],
		"cut":               good[:len(good)-1],
		"something left":    append(good[:len(good):len(good)], 0),
		"more lines":        binary.LittleEndian.AppendUint32(nil, 1<<31),
		"a longer name":     append(binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, 1<<32-1), good[8:]...),
		"nothing behind it": {1, 0, 0, 0},
	} {
		if fields, err := p.AppendFields(nil); err != httpcache.ErrPairs {
			t.Errorf("%s: %q, %v; want %v", name, fields, err, httpcache.ErrPairs)
		}
		if got := p.Get("a"); got != "" {
			t.Errorf("%s: found %q", name, got)
		}
	}
	if fields, err := httpcache.Pairs(nil).AppendFields(nil); err != nil || fields != nil {
		t.Errorf("nothing: %q, %v", fields, err)
	}
}

func FuzzPairs(f *testing.F) {
	f.Add([]byte(httpcache.Fields{{"a", "b"}, {"", ""}}.Pairs()))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := httpcache.Pairs(b).AppendFields(nil)
		if err != nil {
			return
		}
		again, err := fields.Pairs().AppendFields(nil)
		if diff := cmp.Diff(fields, again); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for _, f := range fields {
			if got, want := httpcache.Pairs(b).Get(f[0]), fields.Get(f[0]); got != want {
				t.Errorf("%q is %q, want %q", f[0], got, want)
			}
		}
	})
}
