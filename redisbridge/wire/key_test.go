package wire

import (
	"strings"
	"testing"
)

func TestEntryKey(t *testing.T) {
	tests := []struct {
		name                                           string
		cache, policy, partition, method, path, digest string
		want                                           string
	}{
		{"private", "stats", "chat", "4f1a", "GET", "/api/chat/stats", "d1", "stats:chat:{4f1a}:GET /api/chat/stats:d1"},
		{"shared spreads by digest", "models", "chat", "", "GET", "/api/models", "d2", "models:chat:{d2}:GET /api/models:d2"},
		{"nothing closes the hash tag or breaks a line", "stats", "chat", "4f", "GET", "/a}{b\r\n c\x7fé", "d3", "stats:chat:{4f}:GET /a__b___c___:d3"},
		{"long paths are cut", "stats", "chat", "4f", "GET", "/" + strings.Repeat("a", 200), "d4", "stats:chat:{4f}:GET /" + strings.Repeat("a", 95) + ":d4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := EntryKey(tt.cache, tt.policy, tt.partition, tt.method, tt.path, tt.digest)
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if !KeyOfPolicy(got, tt.policy) {
				t.Errorf("KeyOfPolicy(%q, %q) is false", got, tt.policy)
			}
		})
	}
}

func TestForeignKeys(t *testing.T) {
	for _, key := range []string{
		"", "stats", "stats:chat", "session:chat:4f", "stats:other:{4f}:GET /:d", "stats:chat2:{4f}:GET /:d",
		":chat:{4f}:GET /:d", "stats:chat:{4f", "{chatcache:chat}:state", "{chatcache:chat}:gen:c:stats",
		"stats:chat:{4f}:GET /:" + strings.Repeat("d", MaxKey),
	} {
		if KeyOfPolicy(key, "chat") {
			t.Errorf("KeyOfPolicy(%q) is true", key)
		}
	}
}

// FuzzEntryKey: whatever the path, a key belongs to its policy and to no other,
// and its hash tag is the partition.
func FuzzEntryKey(f *testing.F) {
	f.Add("/api/chat/stats")
	f.Add("}:{x}:")
	f.Fuzz(func(t *testing.T, path string) {
		key := EntryKey("stats", "chat", "4f1a", "GET", path, "d1")
		if !KeyOfPolicy(key, "chat") || KeyOfPolicy(key, "other") {
			t.Errorf("%q is of the wrong policy", key)
		}
		_, tag, _ := strings.Cut(key, "{")
		if tag, _, _ = strings.Cut(tag, "}"); tag != "4f1a" {
			t.Errorf("%q has hash tag %q", key, tag)
		}
	})
}
