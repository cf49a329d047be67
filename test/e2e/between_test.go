package e2e

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/test/stack"
)

// mutation is a filter that changes a response's header section.
func mutation(name string, changes ...any) map[string]any {
	return map[string]any{"name": name, "typed_config": map[string]any{
		"@type":     "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
		"mutations": map[string]any{"response_mutations": changes},
	}}
}

func overwrite(name, value string) any {
	return map[string]any{"append": map[string]any{"header": map[string]any{"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
}

var compressor = map[string]any{"name": "compressor", "typed_config": map[string]any{
	"@type": "type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor",
	"compressor_library": map[string]any{"name": "gzip", "typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.compression.gzip.compressor.v3.Gzip",
	}},
}}

// TestOtherFiltersBesideTheCache: what filters between the client and the cache make of a response (compressed it, and changed its
// fields) reaches their client, hit or miss, and isn't stored: Date, Age and validators stay the origin's. What a filter
// between the cache and the origin has changed is stored as if the origin had sent it.
func TestOtherFiltersBesideTheCache(t *testing.T) {
	content := strings.Repeat(`{"answer": 42}`, 200)
	date := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	const modified, otherDate = "Sun, 06 Nov 1994 08:49:37 GMT", "Mon, 07 Nov 1994 08:49:37 GMT"
	s := patientStack(t, stack.Options{
		Envoys: 2, Policy: []byte(`{"version": 1, "name": "beside", "bridge": {"cluster": "redis-bridge", "timeout": "1s"},
			"caches": {"answers": {"match": ["GET /answers/{answer}"], "ttl": "600s", "shared": true}}}`),
		Origin: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range map[string]string{
				"Content-Type": "application/json", "Date": date, "Age": "30", "Etag": `"v1"`, "Last-Modified": modified, "Content-Length": strconv.Itoa(len(content)),
			} {
				w.Header().Set(name, value)
			}
			io.WriteString(w, content)
		}),
		Manager: func(envoy int, manager map[string]any) {
			if envoy == 1 {
				return
			}
			filters := manager["http_filters"].([]any) // the cache and the router
			manager["http_filters"] = []any{
				compressor, mutation("front", overwrite("date", otherDate), overwrite("last-modified", otherDate), map[string]any{"remove": "age"}, overwrite("x-front", "1")),
				filters[0], mutation("behind", overwrite("x-behind", "1")), filters[1],
			}
		},
	})
	ask := func(envoy int, coding string) (header http.Header) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "GET", s.Envoys[envoy].URL()+"/answers/1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "beside.test"
		request.Header.Set("Accept-Encoding", coding)
		response, err := clientOf(1).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var from io.Reader = response.Body
		if response.Header.Get("Content-Encoding") == "gzip" {
			if from, err = gzip.NewReader(from); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(from)
		if err != nil || string(text) != content {
			t.Errorf("%d bytes, not what the origin has sent: %v", len(text), err)
		}
		return response.Header
	}
	changed := func(header http.Header, coding string) {
		t.Helper()
		if header.Get("Content-Encoding") != coding || header.Get("Date") != otherDate || header.Get("X-Front") != "1" {
			t.Errorf("the filters in front have no effect: %v", header)
		}
	}
	header := ask(0, "gzip")
	changed(header, "gzip")
	wantMetrics(t, s, `chatcache_stores{cache="answers"} 1`)

	header = ask(1, "identity")
	age, _ := strconv.Atoi(header.Get("Age"))
	if age < 30 || age > 600 || !strings.HasPrefix(header.Get("Cache-Status"), "chatcache; hit") {
		t.Errorf("age %d, %s", age, header.Get("Cache-Status"))
	}
	for name, want := range map[string]string{
		"Date": date, "Etag": `"v1"`, "Last-Modified": modified, "Content-Encoding": "", "Vary": "", "X-Front": "", "X-Behind": "1", "Content-Length": strconv.Itoa(len(content)),
	} {
		if got := header.Get(name); got != want {
			t.Errorf("stored with %s: %q, want %q", name, got, want)
		}
	}
	for coding, want := range map[string]string{"gzip": "gzip", "identity": ""} {
		header = ask(0, coding)
		changed(header, want)
		if !strings.HasPrefix(header.Get("Cache-Status"), "chatcache; hit") {
			t.Errorf("%s: %s", coding, header.Get("Cache-Status"))
		}
	}
}
