package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// rulesPolicy builds a policy with one invalidation per unsafe pattern and one cache per GET
// pattern, each named by its pattern's number.
func rulesPolicy(tb testing.TB, patterns ...string) (*Policy, Problems) {
	tb.Helper()
	caches := map[string]any{"none": map[string]any{"match": []string{"GET none.invalid/none"}, "ttl": "1s", "shared": true}}
	rules := []any{}
	for i, p := range patterns {
		if strings.HasPrefix(p, "GET ") {
			caches[fmt.Sprint("c", i)] = map[string]any{"match": []string{p}, "ttl": "1s", "shared": true}
			continue
		}
		rules = append(rules, map[string]any{"name": p, "match": []string{p}, "invalidate": []string{"none"}})
	}
	doc, err := json.Marshal(map[string]any{"version": 1, "name": "p", "bridge": map[string]any{"cluster": "b"},
		"caches": caches, "invalidations": rules})
	if err != nil {
		tb.Fatal(err)
	}
	return Parse(doc)
}

// matched gives the pattern that Match chose, empty for none.
func matched(p *Policy, method, host, path string) string {
	cache, rule := p.Match(method, host, path)
	if cache != nil {
		return cache.Patterns()[0]
	}
	return ruleName(rule)
}

// oracle is ServeMux itself.
type oracle struct{ mux *http.ServeMux }

// add tells whether ServeMux accepts the pattern beside the others.
func (o oracle) add(pattern string) (ok bool) {
	defer func() { ok = recover() == nil }()
	o.mux.Handle(pattern, http.NotFoundHandler())
	return
}

// match gives ServeMux's pattern. It isn't ok where ServeMux can't be asked: the URL is invalid, or the
// answer is its redirect from /a to /a/, which no proxy can count on.
func (o oracle) match(method, host, path string) (string, bool) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return "", false
	}
	r := &http.Request{Method: method, Host: host, URL: u}
	handler, pattern := o.mux.Handler(r)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return pattern, !strings.HasSuffix(w.Header().Get("Location"), "/") || strings.HasSuffix(cleanPath(u.EscapedPath()), "/")
}

// looser gives ServeMux's patterns for what some origins take a path for: the one without a trailing slash, and either of
// them with each segment in lower case and without what follows a dot.
func (o oracle) looser(method, host, path string) (patterns []string) {
	unslashed := strings.TrimSuffix(path, "/")
	for _, other := range []string{unslashed, plainlySpelt(unslashed), plainlySpelt(path)} {
		pattern, _ := o.match(method, host, other)
		patterns = append(patterns, pattern)
	}
	return patterns
}

func plainlySpelt(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if text, err := url.PathUnescape(s); err == nil {
			text = string(appendAlike(nil, []byte(text)))
			if dot := strings.LastIndexByte(text, '.'); dot > 0 {
				text = text[:dot]
			}
			segments[i] = url.PathEscape(text)
		}
	}
	return strings.Join(segments, "/")
}

var (
	somePatternSegments = []string{"a", "b", "c%20d", "{x}", "{y}", "é"}
	somePathSegments    = []string{"a", "b", "c%20d", "c d", "%61", "z", "é", "%C3%A9", ".", "..", "", "a%2Fb", "%2e%2e", "x;y", `a\b`, "%zz", "A", "b.json"}
)

func randomPattern(r *rand.Rand) string {
	var b strings.Builder
	b.WriteString([]string{"GET ", "POST ", "DELETE "}[r.IntN(3)])
	b.WriteString([]string{"", "", "", "h.example"}[r.IntN(4)])
	n := r.IntN(4)
	for i := range n {
		s := somePatternSegments[r.IntN(len(somePatternSegments))]
		if s == "{x}" || s == "{y}" {
			s = fmt.Sprintf("{x%d}", i)
		}
		b.WriteString("/" + s)
	}
	b.WriteString([]string{"", "", "/", "/{$}", "/{rest...}"}[r.IntN(5)])
	if s := b.String(); strings.HasSuffix(s, " ") || strings.HasSuffix(s, "h.example") {
		return s + "/"
	}
	return b.String()
}

func randomPath(r *rand.Rand, segments []string) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		b.WriteString("/" + segments[r.IntN(len(segments))])
	}
	return b.String() + []string{"", "", "/"}[r.IntN(3)]
}

// TestMatchAgreesWithServeMux holds the precedence, conflicts and cleaning of patterns against
// ServeMux on random policies and requests.
func TestMatchAgreesWithServeMux(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		checkAgainstServeMux(t, r)
		if t.Failed() {
			return
		}
	}
}

func checkAgainstServeMux(t *testing.T, r *rand.Rand) {
	o := oracle{http.NewServeMux()}
	var accepted []string
	for range 1 + r.IntN(12) {
		pattern := randomPattern(r)
		wanted := o.add(pattern)
		_, problems := rulesPolicy(t, append(accepted[:len(accepted):len(accepted)], pattern)...)
		if (problems == nil) != wanted {
			t.Fatalf("after %q, pattern %q: ServeMux accepts it: %v, problems: %v", accepted, pattern, wanted, problems)
		}
		if wanted {
			accepted = append(accepted, pattern)
		}
	}
	if len(accepted) == 0 {
		return
	}
	p, problems := rulesPolicy(t, accepted...)
	if problems != nil {
		t.Fatal(problems)
	}
	for range 30 {
		method := []string{"GET", "HEAD", "POST", "DELETE", "PUT"}[r.IntN(5)]
		host := []string{"h.example", "h.example:8080", "other"}[r.IntN(3)]
		path := randomPath(r, somePathSegments)
		wanted, ok := o.match(method, host, path)
		if !ok || path == "*" {
			continue
		}
		checkMatch(t, p, accepted, method, host, path, wanted, o.looser(method, host, path))
		checkSure(t, p, accepted, method, host, path)
	}
}

// checkSure: what a match is sure of isn't looked for by other readings.
func checkSure(t *testing.T, p *Policy, patterns []string, method, host, path string) {
	t.Helper()
	trees, _ := p.routes.of(method)
	if trees == nil || !isPlain(path) {
		return
	}
	if found, sure := trees.find(host, path, asSent); sure && !trees.agree(found, host, path) {
		t.Errorf("patterns %q: %s %s%s is sure of a target that a looser reading doesn't find", patterns, method, host, path)
	}
}

// checkMatch compares what Match found with ServeMux's answer, and with its answers to looser readings of the path. For a plain path they are the same (a write
// also matches without regard to a trailing slash, and by a looser reading, too); a read of another path, or of one that is another pattern's by
// a looser reading, matches nothing; a write of another path finds at least the rule that ServeMux finds.
func checkMatch(t *testing.T, p *Policy, patterns []string, method, host, path, wanted string, looser []string) {
	t.Helper()
	got := matched(p, method, host, path)
	switch {
	case isSafe(method) && !isPlain(path):
		if got != "" {
			t.Errorf("patterns %q: %s %s%s is read two ways and matches the cache %q", patterns, method, host, path, got)
		}
	case isSafe(method):
		if got != wanted && !(got == "" && slices.ContainsFunc(looser, func(other string) bool { return other != wanted })) {
			t.Errorf("patterns %q: %s %s%s matches %q, ServeMux: %q", patterns, method, host, path, got, wanted)
		}
	case isPlain(path) && wanted != "":
		if got != wanted && !slices.ContainsFunc(looser, func(other string) bool { return got == wanted+" + "+other }) {
			t.Errorf("patterns %q: %s %s%s matches %q, ServeMux: %q", patterns, method, host, path, got, wanted)
		}
	case wanted != "" && !strings.Contains(" + "+got+" + ", " + "+wanted+" + "):
		t.Errorf("patterns %q: %s %s%s matches %q, which misses ServeMux's %q", patterns, method, host, path, got, wanted)
	}
}

// FuzzMatch feeds arbitrary paths to a fixed policy whose patterns overlap a lot.
func FuzzMatch(f *testing.F) {
	patterns := []string{"GET /", "GET /a/{x}", "GET /a/b", "GET /a/{x}/c", "GET /a/b/d/{rest...}", "GET h.example/a/",
		"POST /a/{x}", "POST /a/{x}/{$}", "POST /a/b/c", "DELETE /{x}/b", "DELETE h.example/{x...}"}
	o := oracle{http.NewServeMux()}
	for _, p := range patterns {
		if !o.add(p) {
			f.Fatal(p)
		}
	}
	p, problems := rulesPolicy(f, patterns...)
	if problems != nil {
		f.Fatal(problems)
	}
	f.Add("GET", "h.example", "/a/b")
	f.Add("POST", "", "/a/..%2f/b//c/./;x/")
	f.Add("GET", "other", "/A/0")
	f.Add("POST", "other", "/a/b/C.json")
	f.Add("DELETE", "H.EXAMPLE:1", `/\%5c/%252e`)
	f.Fuzz(func(t *testing.T, method, host, path string) {
		wanted, ok := o.match(method, host, path)
		if !ok || !strings.HasPrefix(path, "/") || method == "CONNECT" || host != strings.ToLower(host) || strings.ContainsAny(path, "?#") {
			p.Match(method, host, path)
			return
		}
		if strings.ContainsAny(host, "[]:") || strings.HasSuffix(host, ".") {
			return
		}
		if strings.Contains(path, "/%2F") || strings.Contains(path, "/%2f") {
			return // ServeMux takes an encoded slash that is a whole segment for a trailing one
		}
		checkMatch(t, p, patterns, method, host, path, wanted, o.looser(method, host, path))
	})
}

// TestWritesInOtherSpellings: a write must not slip past its rule by a spelling
// that some origin accepts.
func TestWritesInOtherSpellings(t *testing.T) {
	p := chatPolicy(t)
	for path, wanted := range map[string]string{
		"/api/chat/sessions/s1":                         "delete session",
		"/api/chat/sessions/s1/":                        "delete session",
		"//api//chat/sessions/s1":                       "delete session",
		"/api/chat/./sessions/x/../s1":                  "delete session",
		"/api/chat/sessions;v=1/s1;x":                   "delete session",
		`/api\chat\sessions\s1`:                         "delete session",
		"/%61pi/chat/sessions/s1":                       "delete session",
		"/api%2Fchat%2Fsessions%2Fs1":                   "delete session",
		"/api%252Fchat/sessions/s1":                     "delete session",
		"/api/chat/sessions/s1%2Fmessages%2Fm1":         "delete session + delete message",
		"/api/chat/sessions/s1?x=/api":                  "delete session",
		"/api/chat/%2e%2e/chat/sessions/s1":             "delete session",
		"/api/chat/..;/chat/sessions/s1":                "delete session",
		"/api/chat/sessions/s1/messages/m1":             "delete message",
		"/api/chat/sessions/s1/messages/x%2F..%2Fm1%zz": "delete message",
		"/api/chat/sessions/s1/messages#x":              "",
		"/api/chat/sessions/s1#/x":                      "delete session",
		"/api/chat/sessions/s1%3F/messages/m1":          "delete message + delete session",
		"/api/chat/sessions/s1%2523/../x/..":            "delete session",
		"/api/chat%3F/../chat/sessions/s1":              "delete session",
		"/api/chat/other":                               "",
	} {
		if _, rule := p.Match("DELETE", "", path); ruleName(rule) != wanted {
			t.Errorf("DELETE %s: rule %q, want %q", path, ruleName(rule), wanted)
		}
	}
	for method, wanted := range map[string]string{"delete": "delete session", "Delete": "delete session", "DELETED": ""} {
		if _, rule := p.Match(method, "", "/api/chat/sessions/s1"); ruleName(rule) != wanted {
			t.Errorf("%s: rule %q, want %q", method, ruleName(rule), wanted)
		}
	}
	for _, method := range []string{"get", "post", "head", "OPTIONS", "TRACE", "CONNECT", ""} {
		for _, path := range []string{"/api/models", "/v1/initialize"} {
			if cache, rule := p.Match(method, "", path); cache != nil || rule != nil {
				t.Errorf("%q %s matches %s%s", method, path, cacheName(cache), ruleName(rule))
			}
		}
	}
	_, both := p.Match("DELETE", "", "/api/chat/sessions/s1%2Fmessages%2Fm1")
	if got := fmt.Sprint(both.Groups("p")); got != "[p:stats:p p:sessions:p p:search:p]" {
		t.Errorf("the joined rule invalidates %s", got)
	}
}

// TestPathsOfAnotherPattern: where a pattern has a literal, other patterns don't take what some origins take for it: a link to /users/ME would
// put what its victim gets there, as if it were anybody's, into the cache that is shared.
func TestPathsOfAnotherPattern(t *testing.T) {
	p, problems := rulesPolicy(t, "GET /users/{id}", "GET /users/me", "GET /users/{id}/posts", "GET /users/me/posts", "GET /files/", "GET /files/v1.2", "GET /tasks/{id}", "GET /tasks/mine", "GET /tasks/task",
		"GET /lists", "GET /lists/", "GET /lists/{id}", "GET /lists/über", "GET h.example/users/me", "POST /users", "PUT /users/{id}", "PUT /users/me", "DELETE /files/{name...}", "DELETE /files/mine")
	if problems != nil {
		t.Fatal(problems)
	}
	for request, wanted := range map[string]string{
		"GET /users/me": "GET /users/me", "GET /users/%6de": "GET /users/me", "GET /users/7": "GET /users/{id}", "GET /users/Ada.Lovelace": "GET /users/{id}", "GET /users/men": "GET /users/{id}",
		"GET /users/ME": "", "GET /users/%4De": "", "GET /users/me.json": "", "GET /users/Me.html": "", "GET /users/me.": "", "GET /users/ME/posts": "", "GET /users/7/posts": "GET /users/{id}/posts",
		"GET /users/me%3Fx": "", "GET /users/me%23": "", "GET /users/me%3f/posts": "", "PUT /users/me%3Fx": "PUT /users/{id} + PUT /users/me", "POST /users%253Fx": "POST /users",
		"GET /lists/%C3%9Cber": "", "GET /lists/%C3%BCber": "GET /lists/über", "GET /lists/\xff": "GET /lists/{id}", "POST /u\u017fers": "POST /users", "GET /u\u017fers/me": "",
		"GET /tasks/mine": "GET /tasks/mine", "GET /tasks/m\u0130ne": "", "GET /tasks/M%C4%B1ne": "", "GET /tasks/tas\u212a": "", "GET /tasks/\u212aeen": "GET /tasks/{id}",
		"GET /USERS/7": "", "GET /users/7/": "", "GET /files/v1.2": "GET /files/v1.2", "GET /files/V1.2": "", "GET /files/v1.2/": "", "GET /files/v1.2/x": "GET /files/", "GET /files/v1": "GET /files/",
		"GET /lists": "GET /lists", "GET /lists/": "GET /lists/", "GET /lists/x": "GET /lists/{id}", "GET /lists.json": "",
		"POST /users": "POST /users", "POST /users.json": "POST /users", "POST /Users/": "POST /users", "PUT /Users/7": "PUT /users/{id}", "PUT /users/7": "PUT /users/{id}", "PUT /users/me": "PUT /users/me",
		"PUT /users/ME": "PUT /users/{id} + PUT /users/me", "PUT /users/me.json": "PUT /users/{id} + PUT /users/me", "DELETE /files/mine/": "DELETE /files/{name...} + DELETE /files/mine", "DELETE /Files/x": "DELETE /files/{name...}", "POST /user": "",
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := matched(p, method, "other", path); got != wanted {
			t.Errorf("%s matches %q, want %q", request, got, wanted)
		}
	}
	if got := matched(p, "GET", "h.example", "/users/ME"); got != "" {
		t.Errorf("with a host: %q", got)
	}
}

// TestReadsInOtherSpellings: an origin may take such a path for another resource, so a shared
// cache must not answer for it.
func TestReadsInOtherSpellings(t *testing.T) {
	p := chatPolicy(t)
	for _, path := range []string{"//api/models", "/api/./models", "/api/user/me/../../models", "/api/user%2F..%2Fmodels",
		"/api/models;x", `/api\models`, "/api/chat/sessions/..", "/api/chat/sessions/%2e%2e", "/api/chat/sessions/..;", "/api/chat/sessions/a%2Fb",
		"/api/chat/sessions/a%5Cb", "/api/chat/sessions/a%252Fb", "/api/chat/sessions/a%00b", "/api/chat/sessions/a b", "/api/chat/sessions/%zz", "/api/models/", "/api/models#x", ""} {
		if cache, _ := p.Match("GET", "", path); cache != nil {
			t.Errorf("GET %q matches the cache %s", path, cache.Name)
		}
	}
}

func TestHosts(t *testing.T) {
	if _, problems := rulesPolicy(t, "POST chat.example:80/a"); problems == nil {
		t.Error("a host with a port was accepted")
	}
	p, problems := rulesPolicy(t, "POST Chat.Example/a", "POST /a", "POST [2001:DB8::1]/a", "POST my_host-1/a", "POST /%2A", "POST /%3Aid")
	if problems != nil {
		t.Fatal(problems)
	}
	for host, wanted := range map[string]string{"chat.example": "POST Chat.Example/a", "CHAT.EXAMPLE:8443": "POST Chat.Example/a",
		"chat.example.": "POST Chat.Example/a", "other": "POST /a", "": "POST /a", "[::1]:80": "POST /a",
		"[2001:db8::1]": "POST [2001:DB8::1]/a", "[2001:db8::1]:443": "POST [2001:DB8::1]/a", "my_host-1": "POST my_host-1/a"} {
		if got := matched(p, "POST", host, "/a"); got != wanted {
			t.Errorf("POST %s/a matches %q, want %q", host, got, wanted)
		}
	}
	for path, wanted := range map[string]string{"/*": "POST /%2A", "/%2a": "POST /%2A", "/:id": "POST /%3Aid", "/:x": ""} {
		if got := matched(p, "POST", "", path); got != wanted {
			t.Errorf("POST %s matches %q, want %q", path, got, wanted)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p := chatPolicy(t)
	for _, path := range []string{"/api/chat/sessions/s1?page=2", "/api/chat/sessions/s%201", "/nothing"} {
		for _, method := range []string{"GET", "DELETE"} {
			if n := testing.AllocsPerRun(100, func() { p.Match(method, "Chat.Example:80", path) }); n != 0 {
				t.Errorf("%s %s: %v allocations", method, path, n)
			}
		}
	}
}
