package policy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func keyPolicy(tb testing.TB) (*Policy, *Cache) {
	tb.Helper()
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "caches": {
		"c": {"match": ["GET /{x...}"], "ttl": "1s", "shared": true, "ignore_query": ["_ts", "a b"], "headers": ["Accept-Language"]},
		"any-host": {"match": ["GET any/"], "ttl": "1s", "shared": true, "authority": "ignore"}}}`))
	if problems != nil {
		tb.Fatal(problems)
	}
	return p, p.Cache("c")
}

// TestKeys: requests that mean the same share a key, all others don't.
func TestKeys(t *testing.T) {
	p, c := keyPolicy(t)
	key := func(path string) string { return string(p.AppendKey(nil, c, get(path), "", nil)) }
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"/a?x=1&y=2", "/a?y=2&x=1", true},
		{"/a?x=1&_ts=3", "/a?x=1", true},
		{"/a?x=1&%5Fts=3&_ts", "/a?x=1", true},
		{"/a?", "/a", true},
		{"/a?x=1&&", "/a?x=1", true},
		{"/%61", "/a", false}, // an origin that routes what was sent has no /%61
		{"/%c3%a9", "/%C3%A9", false},
		{"/a?%7eq=%c3%a9", "/a?~q=%C3%A9", true},
		{"/a?q=%41", "/a?q=A", true},
		{"/a", "/b", false},
		{"/a", "/A", false},
		{"/a", "/a/", false},
		{"/a?x", "/a?x=", false},
		{"/a?x=1&x=2", "/a?x=2&x=1", false}, // which of them counts is the origin's choice
		{"/a?x[][a]=1&x[][b]=2&x[][a]=3", "/a?x[][a]=1&x[][a]=3&x[][b]=2", false},
		{"/a?x%5b%5d=1&x[]=2", "/a?x[]=2&x%5b%5d=1", false},
		{"/a?x=1", "/a?x=1&x=1", false},
		{"/a?q=a+b", "/a?q=a%20b", false},
		{"/a?x=1&_ts=3;user=2", "/a?x=1&_ts=3", false}, // an origin that separates at ";" sees user
		{"/a?b=1&a=1;b=2", "/a?a=1;b=2&b=1", false},
		{"/a?x=1%26y=2", "/a?x=1&y=2", false},
		{"/a%2Fb", "/a/b", false},
		{"/a?x=%zz", "/a?x=%ZZ", false},
		{"/a?x=%%341", "/a?x=A", false},
		{"/a?_tsx=1", "/a", false},
		{"/a?y&x" + strings.Repeat("&z", 998), "/a?x&y" + strings.Repeat("&z", 998), true},
		{"/a?y&x" + strings.Repeat("&z", 999), "/a?x&y" + strings.Repeat("&z", 999), false}, // too many to sort
	} {
		if same := key(test.a) == key(test.b); same != test.same {
			t.Errorf("%s and %s: same key: %v, want %v", test.a, test.b, same, test.same)
		}
	}
	uri := func(path string) string { return string(c.AppendURI(nil, "h", path)) }
	if uri("/%61%c3%a9?q=%41") != uri("/a%C3%A9?q=A") || uri("/a") == uri("/b") {
		t.Error("an unsafe request doesn't reach its URI in another spelling, or reaches another one")
	}
}

func TestKeyFields(t *testing.T) {
	p, c := keyPolicy(t)
	base := func() *fakeRequest {
		r := get("/a?x=1")
		r.headers["accept-language"] = []string{"de"}
		return r
	}
	key := func(c *Cache, r Request, partition string, body []byte) string {
		return string(p.AppendKey(nil, c, r, partition, body))
	}
	seen := map[string]string{}
	add := func(name, key string) {
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", name, other)
		}
		seen[key] = name
	}
	add("base", key(c, base(), "", nil))
	add("partition", key(c, base(), "0123", nil))
	add("empty body", key(c, base(), "", []byte{}))
	add("body", key(c, base(), "", []byte("{}")))
	add("other cache", key(p.Cache("any-host"), base(), "", nil))
	r := base()
	r.method = "HEAD"
	add("method", key(c, r, "", nil))
	r = base()
	r.authority = "h:80"
	add("port", key(c, r, "", nil))
	for name, values := range map[string][]string{"absent": nil, "empty": {""}, "two": {"de", "en"}, "joined": {"de,en"}} {
		r = base()
		r.headers["accept-language"] = values
		add("header "+name, key(c, r, "", nil))
	}
	r = base()
	r.authority = "H" // Envoy passes it on so, and to Go's ServeMux it is another host
	add("authority in upper case", key(c, r, "", nil))
	elsewhere := base()
	elsewhere.authority, elsewhere.scheme = "elsewhere", "https"
	if any := p.Cache("any-host"); key(any, elsewhere, "", nil) != key(any, base(), "", nil) {
		t.Error(`the authority or the scheme changes the key in spite of "authority": "ignore"`)
	}
}

// TestKeysOfSchemes: the scheme is a client's own word by HTTP/2, and X-Forwarded-Proto what many origins go by: neither
// stands for the other where they differ. Where one is missing it is taken for the other, or for http.
func TestKeysOfSchemes(t *testing.T) {
	p, c := keyPolicy(t)
	key := func(scheme string, forwarded ...string) string {
		r := get("/a")
		r.scheme, r.headers["x-forwarded-proto"] = scheme, forwarded
		return string(p.AppendKey(nil, c, r, "", nil))
	}
	for _, same := range [][2]string{
		{key(""), key("http")}, {key("http"), key("http", "http")}, {key("https"), key("https", "https")}, {key("https"), key("", "https")},
	} {
		if same[0] != same[1] {
			t.Errorf("%q and %q, want one key", same[0], same[1])
		}
	}
	seen := map[string]bool{}
	for _, k := range []string{
		key("http"), key("https"), key("https", "http"), key("http", "https"), key("https", "https", "http"), key("https", "https", "https"), key("", "http", "https"), key("http", ""),
		key("https", "HTTPS"), key("HTTPS", "HTTPS"), key("HTTPS", "https"), key("", "Https"), key("https", "http\u017f"), // to an origin that compares exactly not https
	} {
		if seen[k] {
			t.Errorf("%q is the key of two origins", k)
		}
		seen[k] = true
	}
	parts, err := SplitKey([]byte(key("http", "https")))
	if err != nil || parts.Scheme != "http" || !slices.Equal(parts.Forwarded, []string{"https"}) || parts.Authority != "h" {
		t.Errorf("read back: %+v, %v", parts, err)
	}
}

// TestKeysOfFieldsThatSteer: what makes an origin take a request for another one is part of its key, where it says
// anything else than the request.
func TestKeysOfFieldsThatSteer(t *testing.T) {
	p, c := keyPolicy(t)
	key := func(c *Cache, name string, values ...string) string {
		r := get("/a")
		r.scheme, r.authority, r.headers[name] = "https", "Chat.test", values
		return string(p.AppendKey(nil, c, r, "", nil))
	}
	none := key(c, "x-other", "1")
	for name, values := range map[string][]string{
		"x-forwarded-host": {"Chat.test"}, "x-host": {"Chat.test"}, "x-forwarded-scheme": {"https"}, "x-forwarded-port": {"443"}, "x-forwarded-ssl": {"on"},
		"x-original-host": {"Chat.test"}, "x-scheme": {"https"}, "x-forwarded-protocol": {"https"}, "front-end-https": {"on"}, "x-url-scheme": {"https"},
		"forwarded": {`for=192.0.2.43, for="[2001:db8::1]:4711";by=_proxy;proto=https;HOST=Chat.test`, "for=unknown"},
	} {
		if key(c, name, values...) != none {
			t.Errorf("%s: %q is a key of its own, and says nothing new", name, values)
		}
	}
	seen := map[string]string{none: "none of them"}
	for _, field := range [][]string{
		{"x-forwarded-host", "evil"}, {"x-forwarded-host", "chat.test", "evil"}, {"x-forwarded-host", "chat.test,evil"}, {"x-forwarded-host", ""}, {"x-host", "evil"},
		{"x-forwarded-scheme", "http"}, {"x-forwarded-port", "80"}, {"x-forwarded-port", "8443"}, {"x-forwarded-prefix", "/b"}, {"x-forwarded-prefix", "/a"},
		{"x-forwarded-ssl", "off"}, {"x-original-url", "/a"}, {"x-original-url", "/b"}, {"x-rewrite-url", "/a"}, {"x-rewrite-url", "/b"}, {"forwarded", "host=evil"}, {"forwarded", "for=1;host=other"}, {"forwarded", "for=1 host=evil"},
		{"forwarded", "for=1", "proto=http"}, {"forwarded", `for="1;host=quoted"`}, {"forwarded", "host"},
		{"script_name", "/a"}, {"x-script-name", "/a"}, {"x-scheme", "http"}, {"x-forwarded-protocol", "ssl"}, {"x-original-host", "evil"}, {"front-end-https", "off"}, {"front-end-https", "On"}, {"x-url-scheme", "http"},
		// What the request says itself, in words that an origin which compares exactly doesn't know, or stands twice, which many join.
		{"x-forwarded-scheme", "HTTPS"}, {"x-forwarded-scheme", "http\u017f"}, {"x-forwarded-scheme", "https", "https"}, {"x-scheme", "https,https"}, {"x-forwarded-protocol", "Https"}, {"x-forwarded-protocol", ""},
		{"x-forwarded-ssl", "On"}, {"x-forwarded-ssl", "on", "on"}, {"x-forwarded-port", "443", "443"}, {"x-forwarded-port", "0443"}, {"x-forwarded-port", ""},
		{"x-forwarded-host", "chat.test"}, {"x-host", "CHAT.TEST"}, {"forwarded", "host=chat.test"}, {"x-forwarded-host", "Chat.test", "Chat.test"}, {"x-forwarded-host", "chat.te\u017ft"}, {"x-host", "chat.test", "Chat.test"}, {"x-original-host", "chat.test."},
		{"forwarded", `host="chat.test`}, {"forwarded", `host=""chat.test""`}, {"forwarded", `host="chat.test"`}, {"forwarded", "host=chat.test;host=chat.test"}, {"forwarded", "host=Chat.test", "host=chat.test"},
		{"forwarded", "proto=https, proto=https"}, {"forwarded", "proto=HTTPS"}, {"forwarded", "proto="}, {"forwarded", "host =chat.test"}, {"forwarded", "ho\u017ft=chat.test"},
		{"x_forwarded_host", "evil"}, {"x-forwarded_host", "evil"}, {"x_forwarded-host", "evil"}, {"x_forwarded_proto", "http"}, {"x_host", "evil"}, {"x_rewrite_url", "/b"}, {"front_end_https", "off"}, {"x_url-scheme", "http"}, // of CGI
	} {
		if Steers(field[0]) == NotSteered {
			t.Errorf("%s isn't known to steer", field[0])
		}
		k := key(c, field[0], field[1:]...)
		if other := seen[k]; other != "" {
			t.Errorf("%q has the key of %s", field, other)
		}
		seen[k] = strings.Join(field, " ")
		parts, err := SplitKey([]byte(k))
		if err != nil || len(parts.Headers) != 2 || parts.Headers[1].Name != field[0] {
			t.Errorf("%q: read back %+v, %v", field, parts.Headers, err)
		}
	}
	if most := maxNames + len(steering) + len(underscored); most > 127 {
		t.Errorf("a key may have %d fields, whose number is one byte of a uvarint", most)
	}
	r := get("/a")
	r.headers["x-forwarded-host"], r.headers["x-forwarded-port"] = []string{"h"}, []string{"8443"}
	room := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { p.AppendKey(room, c, r, "", nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	strange := get("/a")
	strange.scheme, strange.authority, strange.headers["x-forwarded-scheme"] = "HTTPS", "Chat.test", []string{"HTTPS"}
	if string(p.AppendKey(nil, c, strange, "", nil)) == none {
		t.Error("the scheme HTTPS has the key of https")
	}
	anyHost := p.Cache("any-host")
	for _, name := range []string{"x-forwarded-host", "x-host", "x-original-host", "x-forwarded-scheme", "x-scheme", "x-forwarded-protocol", "x-forwarded-port", "x-forwarded-ssl", "front-end-https", "x-url-scheme"} {
		if key(anyHost, name, "evil") != key(anyHost, "x-other") || key(anyHost, name, "evil", "") != key(anyHost, "x-other") {
			t.Errorf(`%s changes the key in spite of "authority": "ignore"`, name)
		}
	}
	if key(anyHost, "forwarded", "host=evil;proto=http") != key(anyHost, "x-other") || key(anyHost, "x-original-url", "/b") == key(anyHost, "x-other") {
		t.Error(`"authority": "ignore" ignores too little, or too much`)
	}
}

// TestLongBodies: however long a body is, its key isn't, and each has its own.
func TestLongBodies(t *testing.T) {
	p, c := keyPolicy(t)
	keys := make(map[string]bool)
	long := bytes.Repeat([]byte("x"), 1<<20)
	sum := sha256.Sum256(long)
	bodies := [][]byte{long, append(long[:len(long)-1:len(long)-1], 'y'), long[:longestBody+1], long[:longestBody], sum[:], fmt.Appendf(nil, "sha256:%x", sum)}
	for _, body := range bodies {
		key := p.AppendKey(nil, c, get("/a"), "", body)
		if len(key) > longestBody+200 {
			t.Errorf("a body of %d bytes has a key of %d", len(body), len(key))
		}
		keys[string(key)] = true
	}
	if len(keys) != len(bodies) {
		t.Errorf("%d bodies have %d keys", len(bodies), len(keys))
	}
}

// FuzzKeys: a key reads back as exactly the request's fields, so two requests that
// differ in any field can't have the same key.
func FuzzKeys(f *testing.F) {
	p, c := keyPolicy(f)
	f.Add("GET", "h", "/a?b=c&_ts=1", "de", "en", "part", []byte("{}"))
	f.Add("", "\x00", "\x01/%zz?%%341=;", "", "\xff", "", []byte(nil))
	f.Add("POST", "h", "/a", "", "", "", bytes.Repeat([]byte("x"), longestBody+1))
	f.Fuzz(func(t *testing.T, method, authority, path, h1, h2, partition string, body []byte) {
		r := &fakeRequest{method: method, authority: authority, path: path, headers: map[string][]string{"accept-language": {h1, h2}}}
		parts, err := SplitKey(p.AppendKey(nil, c, r, partition, body))
		if err != nil {
			t.Fatal(err)
		}
		want := KeyParts{Policy: "p", Cache: "c", Method: method, HasOrigin: true, Scheme: "http", Authority: authority,
			Path: withoutQuery(path), Query: parts.Query, Headers: []KeyHeader{{"accept-language", []string{h1, h2}}},
			Partition: partition, HasBody: body != nil, Body: string(body)}
		if len(body) > longestBody {
			want.Body = fmt.Sprintf("sha256:%x", sha256.Sum256(body))
		}
		if !reflect.DeepEqual(parts, want) {
			t.Fatalf("found %+v, want %+v", parts, want)
		}
		checkNormalized(t, path, string(appendNormalized(nil, path)))
		checkQuery(t, queryOf(path), parts.Query, c.IgnoreQuery)
	})
}

// checkNormalized: normalizing changes neither what a component means nor a normalized one.
func checkNormalized(t *testing.T, sent, normal string) {
	t.Helper()
	a, errA := url.PathUnescape(sent)
	b, errB := url.PathUnescape(normal)
	if (errA == nil) != (errB == nil) || a != b || errA != nil && sent != normal {
		t.Fatalf("%q became %q", sent, normal)
	}
	if again := string(appendNormalized(nil, normal)); again != normal {
		t.Fatalf("%q became %q, and that %q", sent, normal, again)
	}
}

// checkQuery: every parameter is kept, but for the ignored ones, in the order of its name.
func checkQuery(t *testing.T, query string, got, ignore []string) {
	t.Helper()
	if strings.Contains(query, ";") {
		if len(got) != 1 || got[0] != query {
			t.Fatalf("%q became %q", query, got)
		}
		return
	}
	byName := map[string][]string{}
	for parameter := range strings.SplitSeq(query, "&") {
		normal := string(appendNormalized(nil, parameter))
		name, _, _ := strings.Cut(normal, "=")
		if parameter != "" && !slices.Contains(ignore, name) {
			byName[name] = append(byName[name], normal)
		}
	}
	for _, parameter := range got {
		name, _, _ := strings.Cut(parameter, "=")
		if len(byName[name]) == 0 || byName[name][0] != parameter {
			t.Fatalf("%q became %q: %q is out of place", query, got, parameter)
		}
		byName[name] = byName[name][1:]
	}
	for name, lost := range byName {
		if len(lost) > 0 {
			t.Fatalf("%q became %q: %q of %q are lost", query, got, lost, name)
		}
	}
}

func FuzzSplitKey(f *testing.F) {
	p, c := keyPolicy(f)
	f.Add(p.AppendKey(nil, c, get("/a?b=c"), "x", []byte("{}")))
	f.Fuzz(func(t *testing.T, key []byte) { SplitKey(key) })
}

// An unsafe request invalidates what is stored for its URI however that is spelled, and nothing of another one.
func TestAppendURI(t *testing.T) {
	p, c := keyPolicy(t)
	any := p.Cache("any-host")
	uri := func(c *Cache, authority, path string) string { return string(c.AppendURI(nil, authority, path)) }
	for _, path := range []string{"/a?b=1&c=2", "/%61?c=2&b=1", "/a?_ts=9&b=1&c=2"} {
		if uri(c, "H", path) != uri(c, "h", "/a?b=1&c=2") {
			t.Errorf("%s is another URI", path)
		}
	}
	if uri(any, "elsewhere", "/a") != uri(any, "h", "/a") {
		t.Error(`the authority tells URIs apart in spite of "authority": "ignore"`)
	}
	for name, other := range map[string]string{
		"authority": uri(c, "h:80", "/a?b"), "path": uri(c, "h", "/b?b"), "query": uri(c, "h", "/a?c"), "no query": uri(c, "h", "/a"),
		"a question mark in the path": uri(c, "h", "/a%3Fb"), "ignored": uri(any, "h", "/a?b"), "part of the authority": uri(c, "h/a", "?b"),
	} {
		if other == uri(c, "h", "/a?b") {
			t.Errorf("%s: the same URI", name)
		}
	}
}
