package policy

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkMatch(b *testing.B) {
	for _, rules := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			var patterns []string
			for i := range rules {
				patterns = append(patterns, fmt.Sprintf("POST /api/r%d/{id}/items/{item}", i))
			}
			p, problems := rulesPolicy(b, patterns...)
			if problems != nil {
				b.Fatal(problems)
			}
			path := fmt.Sprintf("/api/r%d/42/items/7?x=1", rules-1)
			b.ReportAllocs()
			for b.Loop() {
				p.Match("POST", "chat.example", path)
			}
		})
	}
}

// BenchmarkParse is what each worker does at every configuration. Twice the patterns, that have all but their last segment in common, take twice the time.
func BenchmarkParse(b *testing.B) {
	for _, rules := range []int{500, 1000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			doc := []byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true}}, "invalidations": [`)
			for i := range rules {
				doc = fmt.Appendf(doc, `{"name": "%d", "match": ["POST %s/%d"], "invalidate": ["c"]},`, i, strings.Repeat("/0123456789abc", maxSegments-1), i)
			}
			doc = append(doc[:len(doc)-1], "]}"...)
			b.ReportAllocs()
			for b.Loop() {
				if _, problems := Parse(doc); problems != nil {
					b.Fatal(problems)
				}
			}
		})
	}
}

func BenchmarkAppendKey(b *testing.B) {
	p := chatPolicy(b)
	r := get("/api/chat/sessions?page=2&limit=10&sort=updated")
	c := p.Cache("sessions")
	key := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		p.AppendKey(key, c, r, "0123456789abcdef0123456789abcdef", nil)
	}
}

func BenchmarkIdentify(b *testing.B) {
	for name, r := range map[string]*fakeRequest{
		"opaque": withHeader("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
		"token":  withHeader("authorization", "Bearer "+token(`{"sub":"alice","iss":"https://issuer.example","aud":["chat"],"exp":1790000000}`)),
	} {
		b.Run(name, func(b *testing.B) {
			id := identifier(b, fromSub, fromAuthorization)
			b.ReportAllocs()
			for b.Loop() {
				id.Identify(r)
			}
		})
	}
}

func BenchmarkCanonicalBody(b *testing.B) {
	body := &Body{MaxBytes: 1 << 16}
	in := []byte(`{"user":{"name":"alice","id":42},"context":{"locale":"de","app":"web","version":"1.2.3"},"flags":["a","b","c"]}`)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		body.Canonical(dst, in)
	}
}
