package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/test/stack"
)

// curl runs the program and gives the status of the response.
func curl(t *testing.T, arguments ...string) string {
	t.Helper()
	status, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--max-time", "20", "--write-out", "%{http_code}"}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v: %s", arguments, err, status)
	}
	return string(status)
}

// TestClientsThatKeepResponses: curl validates what it has kept and resumes what it has begun to download, a browser-like client does
// so by HTTP/2, and all of it is answered from one stored response, as the origin itself would answer.
func TestClientsThatKeepResponses(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		stack.Require(t, errors.Join(stack.ErrNoTool, err))
	}
	content, modified := large[:100_000], time.Unix(1_700_000_000, 0)
	var asked atomic.Int64
	s := patientStack(t, stack.Options{
		Policy: []byte(`{"version": 1, "name": "clients", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"files": {"match": ["GET /files/{file}"], "ttl": "origin", "shared": true}}}`),
		Origin: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header().Set("Etag", `"v1"`)
			w.Header().Set("Cache-Control", "max-age=600")
			http.ServeContent(w, r, "file.bin", modified, bytes.NewReader(content))
		}),
	})
	url, dir := s.Envoys[0].URL()+"/files/1", t.TempDir()
	etag, file := filepath.Join(dir, "etag"), filepath.Join(dir, "file")
	if status := curl(t, "--etag-save", etag, "--output", file, url); status != "200" {
		t.Fatalf("the first answer has status %s", status)
	}
	same(t, file, content)
	wantMetrics(t, s, `chatcache_stores{cache="files"} 1`)
	for version, speaks := range map[int]string{1: "--http1.1", 2: "--http2-prior-knowledge"} {
		t.Run(speaks, func(t *testing.T) {
			if status := curl(t, speaks, "--etag-compare", etag, "--output", filepath.Join(dir, "none"), url); status != "304" {
				t.Errorf("what is kept by its entity tag is validated with %s", status)
			}
			if status := curl(t, speaks, "--time-cond", modified.UTC().Format(http.TimeFormat), "--output", filepath.Join(dir, "none"), url); status != "304" {
				t.Errorf("what is kept by its date is validated with %s", status)
			}
			begun := filepath.Join(dir, "begun")
			if err := os.WriteFile(begun, content[:12_345], 0o600); err != nil {
				t.Fatal(err)
			}
			if status := curl(t, speaks, "--continue-at", "-", "--header", `If-Range: "v1"`, "--output", begun, url); status != "206" {
				t.Errorf("what has begun is resumed with %s", status)
			}
			same(t, begun, content)
			other := filepath.Join(dir, "other")
			if status := curl(t, speaks, "--range", "10-19", "--header", `If-Range: "v0"`, "--output", other, url); status != "200" {
				t.Errorf("a part of another version is answered with %s", status)
			}
			same(t, other, content)

			client := clientOf(version)
			for _, c := range []struct {
				method, name, value string
				status, bytes       int
				tag                 string
			}{
				{"GET", "If-None-Match", `W/"v1"`, 304, 0, `"v1"`},
				{"GET", "If-None-Match", `"v0", "v1"`, 304, 0, `"v1"`},
				{"GET", "If-Modified-Since", modified.Add(-time.Hour).UTC().Format(http.TimeFormat), 200, len(content), `"v1"`},
				{"HEAD", "Accept", "*/*", 200, 0, `"v1"`},
				{"GET", "Range", "bytes=-500", 206, 500, `"v1"`},
				{"GET", "Range", "bytes=100000-", 416, 0, ""}, // it is about the range alone
			} {
				request, err := http.NewRequestWithContext(t.Context(), c.method, url, nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set(c.name, c.value)
				response, err := client.RoundTrip(request)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				got := fmt.Sprint(response.StatusCode, " ", len(body), " ", response.Header.Get("Etag"), err)
				if want := fmt.Sprint(c.status, " ", c.bytes, " ", c.tag, nil); got != want || !strings.HasPrefix(response.Header.Get("Cache-Status"), "chatcache; hit") {
					t.Errorf("%s with %s: %s: %s, %q, want %s", c.method, c.name, c.value, got, response.Header.Get("Cache-Status"), want)
				}
			}
		})
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
}

func same(t *testing.T, file string, content []byte) {
	t.Helper()
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes in place of %d: %v", len(got), len(content), err)
	}
}
