package policy

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// paging parses a cache's prefetch; fields are those beside parameter, which is "page".
func paging(t testing.TB, fields string) *Prefetch {
	t.Helper()
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"}, "host": {"loopback_cluster": "self"},
		"caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true, "prefetch": {"parameter": "page", ` + fields + `}}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	return p.Caches[0].Prefetch
}

func TestNextPage(t *testing.T) {
	const numbers, items, cursor = `"more": "/more"`, `"more": "/items"`, `"next": "/paging/next"`
	for _, test := range []struct {
		name, fields, path, body, want string // want "": there is none
	}{
		{"counts on", numbers, "/c?page=2", `{"more":true}`, "/c?page=3"},
		{"from the first", numbers, "/c", `{"more":true}`, "/c?page=2"},
		{"from another first", numbers + `, "first": 0`, "/c", `{"more":true}`, "/c?page=1"},
		{"by offsets", numbers + `, "first": 0, "step": 20`, "/c?page=40", `{"more":true}`, "/c?page=60"},
		{"other parameters stay where they are", numbers, "/c?a=b%20c&page=2&d", `{"more":1}`, "/c?a=b%20c&page=3&d"},
		{"behind others", numbers, "/c?a=b", `{"more":"yes"}`, "/c?a=b&page=2"},
		{"written otherwise", numbers, "/c?%70age=2", `{"more":true}`, "/c?page=3"},
		{"the last", numbers, "/c?page=2", `{"more":false}`, ""},
		{"not said", numbers, "/c?page=2", `{}`, ""},
		{"said of nothing", numbers, "/c?page=2", `{"more":null}`, ""},
		{"none more", numbers, "/c?page=2", `{"more":0}`, ""},
		{"an empty text", numbers, "/c?page=2", `{"more":""}`, ""},
		{"a list", items, "/c?page=2", `{"items":[{}]}`, "/c?page=3"},
		{"an empty list", items, "/c?page=2", `{"items": [ ]}`, ""},
		{"an empty object", items, "/c?page=2", `{"items":{}}`, ""},
		{"the document is the list's", `"more": "/0"`, "/c?page=2", `[[1]]`, "/c?page=3"},
		{"no JSON", numbers, "/c?page=2", `<html>`, ""},
		{"cut off", items, "/c?page=2", `{"items":[1`, ""},
		{"no number", numbers, "/c?page=x", `{"more":true}`, ""},
		{"negative", numbers, "/c?page=-1", `{"more":true}`, ""},
		{"without bounds", numbers, "/c?page=18446744073709551615", `{"more":true}`, ""},
		{"an empty value", numbers, "/c?page=", `{"more":true}`, ""},
		{"twice", numbers, "/c?page=1&page=2", `{"more":true}`, ""},
		{"semicolons", numbers, "/c?a=1;page=2", `{"more":true}`, ""},
		{"a cursor", cursor, "/c?page=abc", `{"paging":{"next":"d e/f&g"}}`, "/c?page=d%20e%2Ff%26g"},
		{"a number as a cursor", cursor, "/c", `{"paging":{"next":7}}`, "/c?page=7"},
		{"no cursor", cursor, "/c?page=abc", `{"paging":{"next":null}}`, ""},
		{"an empty cursor", cursor, "/c?page=abc", `{"paging":{"next":""}}`, ""},
		{"a list for a cursor", cursor, "/c?page=abc", `{"paging":{"next":["x"]}}`, ""},
		{"a long cursor", cursor, "/c?page=abc", `{"paging":{"next":"` + strings.Repeat("x", maxPageName+1) + `"}}`, ""},
		{"a cursor, and no more", cursor + `, "more": "/more"`, "/c?page=abc", `{"paging":{"next":"d"},"more":false}`, ""},
		{"a long path", numbers, "/c?a=" + strings.Repeat("a", maxPagePath), `{"more":true}`, ""},
	} {
		got, ok := paging(t, test.fields).NextPage(test.path, []byte(test.body))
		if !ok {
			got = ""
		}
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, ok, test.want)
		}
	}
}

// A prefetch that has no way is a warning, with what to do.
func TestPrefetchWithoutLoopback(t *testing.T) {
	p, problems := Parse([]byte(`{"version": 1, "name": "p", "bridge": {"cluster": "b"},
		"caches": {"c": {"match": ["GET /c"], "ttl": "1s", "shared": true, "prefetch": {"parameter": "page", "more": "/more"}}}}`))
	if problems != nil {
		t.Fatal(problems)
	}
	const want = `/caches/c/prefetch (c): nothing leads to this proxy's own listener, so nothing is prefetched; ` +
		`name an Envoy cluster that does: "host": {"loopback_cluster": "…"} [no-loopback]`
	if w := p.Warnings(); len(w) != 1 || w[0].String() != want {
		t.Errorf("warnings %v", w)
	}
}

// FuzzNextPage: the next page's path is the same but for the query, in which net/url finds one number.
func FuzzNextPage(f *testing.F) {
	f.Add("/c?a=b&page=2&c", `{"more":true}`)
	f.Add("/c?%70age=2&;", `{"more":[]}`)
	f.Add("/c", `{"more":{"more":1}}`)
	p := paging(f, `"more": "/more"`)
	f.Fuzz(func(t *testing.T, path, body string) {
		next, ok := p.NextPage(path, []byte(body))
		if !ok {
			return
		}
		before, _, _ := strings.Cut(path, "?")
		after, query, _ := strings.Cut(next, "?")
		if before != after || len(next) > maxPagePath {
			t.Fatalf("%q follows %q", next, path)
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return // it was malformed before
		}
		if n, err := strconv.ParseUint(values.Get("page"), 10, 64); err != nil || n == 0 || len(values["page"]) != 1 {
			t.Fatalf("%q follows %q", next, path)
		}
	})
}
