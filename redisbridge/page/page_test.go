package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestFiles(t *testing.T) {
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/page/page.css": "text/css; charset=utf-8", "/page/icon.svg": "image/svg+xml",
		"/page/page.js": "text/javascript; charset=utf-8", "/page/figures.js": "text/javascript; charset=utf-8",
	} {
		w := get(t, path)
		if h := w.Header(); w.Code != 200 || h.Get("Content-Type") != contentType || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; ") {
			t.Errorf("%s: %d %v", path, w.Code, h)
		}
	}
	for _, path := range []string{"/page/page.go", "/page/index.html", "/page/", "/page/../page.go", "/index.html"} {
		if w := get(t, path); w.Code == 200 {
			t.Errorf("%s gives\n%s", path, w.Body)
		}
	}
}

// Nothing but the bridge is needed, and nothing could make markup of text: the policy of
// content forbids both, which the test in a browser shows; here it can't have been asked for.
func TestSources(t *testing.T) {
	list, err := fs.Glob(files, "*")
	if err != nil || len(list) < 6 {
		t.Fatal(list, err)
	}
	for _, name := range list {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source := strings.ReplaceAll(string(text), `xmlns="http://www.w3.org/2000/svg"`, "")
		for _, never := range []string{`//[a-z0-9-]+\.[a-z]+`, `innerHTML`, `insertAdjacentHTML`, `\beval\(`, `localStorage`, `document\.cookie`, `\son[a-z]+=`, `\sstyle=`, `@import`, `url\(`} {
			if found := regexp.MustCompile(never).FindString(source); found != "" {
				t.Errorf("%s has %q", name, found)
			}
		}
	}
}
