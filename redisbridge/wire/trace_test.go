package wire

import (
	"strings"
	"testing"
)

// The examples of W3C Trace Context, and what is none.
func TestTraceID(t *testing.T) {
	const id = "0af7651916cd43dd8448eb211c80319c"
	const good = "00-" + id + "-b7ad6b7169203331-01"
	for _, tt := range []struct{ name, field, want string }{
		{"version 00", good, id},
		{"not sampled", strings.TrimSuffix(good, "1") + "0", id},
		{"a later version", "cc-" + good[3:], id},
		{"a later version with more", "cc-" + good[3:] + "-what-the-future-has", id},
		{"none", "", ""},
		{"version 00 with more", good + "-x", ""},
		{"more without a dash", "cc-" + good[3:] + "x", ""},
		{"more with a line break", "cc-" + good[3:] + "-a\nb", ""},
		{"version ff", "ff-" + good[3:], ""},
		{"upper case", strings.ToUpper(good), ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", ""},
		{"no parent", "00-" + id + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"short", good[:54], ""},
		{"other separators", strings.ReplaceAll(good, "-", "_"), ""},
		{"not hexadecimal", "00-" + strings.Repeat("g", 32) + "-b7ad6b7169203331-01", ""},
		{"far too long", "cc-" + good[3:] + "-" + strings.Repeat("x", 200), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := TraceID(tt.field)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("TraceID(%q) = %q, %t", tt.field, got, ok)
			}
		})
	}
}

func FuzzTraceID(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	f.Fuzz(func(t *testing.T, field string) {
		if id, ok := TraceID(field); ok && (len(id) != 32 || !isHex(id)) {
			t.Errorf("TraceID(%q) = %q", field, id)
		}
	})
}
