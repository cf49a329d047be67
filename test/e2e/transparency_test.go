package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

// oddities answers as origins may: interim responses, repeated fields, a coding, an event stream, 10 MB.
func oddities(large []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{place}/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "late")
	})
	mux.HandleFunc("/{place}/fields", func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = []string{"a=1", "b=2"}
		h["X-Repeated"] = []string{"1", "", "2"}
		h.Set("Content-Encoding", "gzip")
		h.Set("Etag", `W/"a"`)
		h.Set("Age", "7")
		h.Set("Cache-Control", "no-store")
		io.WriteString(w, "not really gzip")
	})
	mux.HandleFunc("/{place}/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(large) })
	mux.HandleFunc("/{place}/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("/{place}/upload", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	return mux
}

// TestPassThrough: what isn't answered from the cache reaches the client as through an Envoy without the filter: on a
// path that no rule matches, where a rule matches and the request passes the cache by, and at a miss, whose
// response is copied as it streams through. There is a cache-status beside, and nothing else.
func TestPassThrough(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 640<<10)
	s := stack.RunT(t, stack.Options{
		Origin: oddities(large), Policy: []byte(passThroughPolicy), Envoys: 2,
		Manager: func(envoy int, manager map[string]any) {
			if envoy == 1 {
				filters := manager["http_filters"].([]any)
				manager["http_filters"] = filters[len(filters)-1:] // the router alone
			}
		},
	})
	for _, path := range []string{"early", "fields", "large", "events", "upload"} {
		t.Run(path, func(t *testing.T) {
			plain := passed(t, s.Envoys[1].URL()+"/cached/"+path, "no-store")
			if strings.Contains(plain, "cache-status") {
				t.Fatalf("the filter is there:\n%s", plain)
			}
			for _, way := range []struct{ name, path, control string }{
				{"no rule", "/other/", "no-store"}, {"passed by", "/cached/", "no-store"}, {"missed", "/cached/", ""},
			} {
				got := passed(t, s.Envoys[0].URL()+way.path+path, way.control)
				lines := strings.Split(got, "\n")
				kept := slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, "cache-status") })
				if ruled := strings.Contains(got, "cache-status"); ruled != (way.name != "no rule") {
					t.Errorf("%s: a rule matches: %v", way.name, ruled)
				}
				if diff := cmp.Diff(plain, strings.Join(kept, "\n")); diff != "" {
					t.Errorf("%s: without the filter (-), with it (+):\n%s", way.name, diff)
				}
			}
		})
	}
}

const passThroughPolicy = `{"version": 1, "name": "pass", "bridge": {"cluster": "redis-bridge"},
	"caches": {"cached": {"match": ["GET /cached/{path...}"], "ttl": "60s", "shared": true}}}`

// passed describes what a client gets: interim responses, status, fields in their order of name, the body's digest.
func passed(t *testing.T, url, control string) string {
	t.Helper()
	var seen []string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		seen = append(seen, fmt.Sprint("interim ", code, " ", header["Link"]))
		return nil
	}}
	body := io.Reader(http.NoBody)
	if strings.HasSuffix(url, "upload") {
		body = strings.NewReader(strings.Repeat("x", 300<<10))
	}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", url, body)
	if err != nil {
		t.Fatal(err)
	}
	if control != "" {
		request.Header.Set("Cache-Control", control)
	}
	request.Header.Set("Accept-Encoding", "identity")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	seen = append(seen, fmt.Sprint("status ", response.StatusCode, " length ", response.ContentLength, " ", response.TransferEncoding))
	var fields []string
	for name, values := range response.Header {
		switch name = strings.ToLower(name); name {
		case "date", "x-envoy-upstream-service-time", "x-request-id":
		default:
			fields = append(fields, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(fields)
	return strings.Join(append(append(seen, fields...), fmt.Sprintf("body of %d bytes, %x", len(got), sha256.Sum256(got))), "\n")
}
