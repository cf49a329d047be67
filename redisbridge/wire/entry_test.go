package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var entry = Entry{
	Head: Head{
		Ticket: Ticket{0x5f0c, 41}, Definition: "9a1be22c", Stored: 1_790_000_000, TTL: 600_000,
		Groups: []string{"*", "c:stats", "n:50% off, today\n"},
	},
	Payload: []byte("payload\nof two lines"),
}

const entryText = "chatcache1 epoch=5f0c seq=41 def=9a1be22c stored=1790000000 ttl=600000 groups=*,c:stats,n:50%25%20off%2c%20today%0a\n" +
	"payload\nof two lines"

func TestEntry(t *testing.T) {
	if got := string(entry.Encode()); got != entryText {
		t.Errorf("got  %q\nwant %q", got, entryText)
	}
	got, err := DecodeEntry([]byte(entryText))
	if diff := cmp.Diff(entry, got); err != nil || diff != "" {
		t.Errorf("decoded: %v\n%s", err, diff)
	}
	for fresh, word := range map[int64]string{0: "", 60_000: " fresh=60000"} {
		e := entry
		e.Fresh = fresh
		want := strings.Replace(entryText, " groups=", word+" groups=", 1)
		if got := string(e.Encode()); got != want {
			t.Errorf("fresh for %d ms: got  %q\nwant %q", fresh, got, want)
		}
		if got, err := DecodeEntry([]byte(want)); err != nil || got.Fresh != fresh {
			t.Errorf("%q: fresh for %d ms, %v", word, got.Fresh, err)
		}
	}
}

func TestCorruptEntries(t *testing.T) {
	replaced := func(old, new string) string { return strings.Replace(entryText, old, new, 1) }
	tests := map[string]string{
		"empty":             "",
		"no line":           strings.TrimSuffix(entryText[:strings.IndexByte(entryText, '\n')], "\n"),
		"another version":   replaced("chatcache1", "chatcache2"),
		"field missing":     replaced(" def=9a1be22c", ""),
		"fields swapped":    replaced("def=9a1be22c stored=1790000000", "stored=1790000000 def=9a1be22c"),
		"epoch not hex":     replaced("5f0c", "5f0g"),
		"sequence negative": replaced("seq=41", "seq=-41"),
		"ttl not a number":  replaced("600000", "10m"),
		"no groups":         replaced("groups=*,c:stats,n:50%25%20off%2c%20today%0a", "groups="),
		"empty group":       replaced("*,", "*,,"),
		"escape cut short":  replaced("%0a", "%0"),
		"escape not hex":    replaced("%0a", "%zz"),
		"too many groups":   replaced("*,", strings.Repeat("g,", MaxGroups)),
		"group too long":    replaced("*,", strings.Repeat("g", MaxGroup+1)+","),
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			if e, err := DecodeEntry([]byte(b)); !errors.Is(err, ErrEntry) {
				t.Errorf("got %+v, error %v, want ErrEntry", e.Head, err)
			}
		})
	}
}

// The longest head that the limits allow can be read back.
func TestLongestEntry(t *testing.T) {
	e := entry
	e.Groups = nil
	for range MaxGroups {
		e.Groups = append(e.Groups, strings.Repeat("\n", MaxGroup))
	}
	if _, err := DecodeEntry(e.Encode()); err != nil {
		t.Error(err)
	}
}

func TestGroups(t *testing.T) {
	for _, tt := range []struct {
		groups []string
		word   string
	}{
		{[]string{"*"}, "*"},
		{[]string{"c:stats", "p:stats:4f"}, "c:stats,p:stats:4f"},
		{[]string{"n:a,b", "n:c d", "n:%", "n:é\x00"}, "n:a%2cb,n:c%20d,n:%25,n:%c3%a9%00"},
	} {
		if got := JoinGroups(tt.groups); got != tt.word {
			t.Errorf("JoinGroups(%q) = %q, want %q", tt.groups, got, tt.word)
		}
		got, err := SplitGroups(tt.word)
		if err != nil || !slices.Equal(got, tt.groups) {
			t.Errorf("SplitGroups(%q) = %q, %v, want %q", tt.word, got, err, tt.groups)
		}
	}
}

func TestCacheOfGroup(t *testing.T) {
	for group, want := range map[string]string{
		GroupAll: "", GroupCache("stats"): "stats", GroupPartition("stats", "4f:1"): "stats",
		GroupNamed("c:stats"): "", "": "", "stats": "",
	} {
		if got := CacheOfGroup(group); got != want {
			t.Errorf("CacheOfGroup(%q) = %q, want %q", group, got, want)
		}
	}
}

// FuzzDecodeEntry: what is accepted stays the same through another round.
func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte(entryText))
	f.Add([]byte("chatcache1 epoch=1 seq=1 def= stored=0 ttl=0 groups=%2a\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEntry(b)
		if err != nil {
			if !errors.Is(err, ErrEntry) {
				t.Errorf("error %v isn't an ErrEntry", err)
			}
			return
		}
		again, err := DecodeEntry(e.Encode())
		if diff := cmp.Diff(e, again); err != nil || diff != "" {
			t.Errorf("second round: %v\n%s", err, diff)
		}
	})
}
