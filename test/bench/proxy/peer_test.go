package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A peer is measured only if its hits are the origin's answers, and are hits.
func TestSameAnswer(t *testing.T) {
	cached := func(status, path string, w http.ResponseWriter) {
		w.Header().Set("X-Cache", status)
		origin(w, httptest.NewRequest(http.MethodGet, path, nil))
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string // of the error
	}{
		"same":       {func(w http.ResponseWriter, r *http.Request) { cached("HIT", "/items/1/1", w) }, ""},
		"miss":       {func(w http.ResponseWriter, r *http.Request) { cached("MISS", "/items/1/1", w) }, `with x-cache "MISS", want hit`},
		"other body": {func(w http.ResponseWriter, r *http.Request) { cached("HIT", "/items/16/1", w) }, "with 16384 bytes, want the origin's 1024"},
		"no fields":  {func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(bodies[1])) }, `, want the origin's "`},
	} {
		s := httptest.NewServer(c.handler)
		err := sameAnswer(t.Context(), s.Listener.Addr().(*net.TCPAddr).Port, peer{hit: "x-cache: hit"})
		s.Close()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What a machine lacks is told with its package's name.
func TestNeeds(t *testing.T) {
	for _, what := range []string{"no-such-program", "/no/such/module.so"} {
		err := peer{needs: []need{{"sh", "dash"}, {"/", "base-files"}, {what, "its-package"}}}.check()
		if !errors.Is(err, errMissing) || !strings.Contains(err.Error(), what+" (Debian: its-package)") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := (peer{needs: []need{{"sh", "dash"}, {"/", "base-files"}}}).check(); err != nil {
		t.Error(err)
	}
}
