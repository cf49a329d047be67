package chatapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"chatcache/test/chatapi"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newAPI() *chatapi.API {
	return chatapi.New(chatapi.Options{Now: func() time.Time { return noon }})
}

// call gives status and body of one request; user may be empty.
func call(t *testing.T, api http.Handler, user, method, target, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+user)
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestReads(t *testing.T) {
	api := newAPI()
	for _, c := range []struct{ method, target, body, want string }{
		{"GET", "/api/chat/stats", "", `{"user":"ada","sessions":25,"messages":50,"credits":1000}`},
		{"GET", "/api/chat/search?q=TALK+7", "", `{"user":"ada","q":"talk 7","total":1,"matches":[{"session":"s7","title":"Talk 7","message":"m13","text":"Hello, this is talk 7"}]}`},
		{"GET", "/api/chat/sessions?page=13&limit=2", "", `{"user":"ada","page":13,"limit":2,"total":25,"sessions":[{"id":"s1","title":"Talk 1","created_at":"2026-01-01T09:00:00Z","updated_at":"2026-01-01T09:00:00Z"}]}`},
		{"GET", "/api/chat/sessions?page=14&limit=2", "", `{"user":"ada","page":14,"limit":2,"total":25,"sessions":[]}`},
		{"GET", "/api/chat/sessions/s1", "", `{"id":"s1","title":"Talk 1","created_at":"2026-01-01T09:00:00Z","updated_at":"2026-01-01T09:00:00Z"}`},
		{"GET", "/api/user/me", "", `{"id":"u-ada","name":"ada","credits":1000}`},
		{"GET", "/api/activity", "", `{"user":"ada","events":[]}`},
		{"POST", "/v1/initialize", `{"client":"web"}`, `{"user":"ada","client":{"client":"web"},"flags":{"canvas":false,"voice":true}}`},
	} {
		status, body := call(t, api, "ada", c.method, c.target, c.body)
		if status != 200 || body != c.want+"\n" {
			t.Errorf("%s %s: %d\n got %s want %s", c.method, c.target, status, body, c.want)
		}
	}
}

func TestSharedReadsNeedNoUser(t *testing.T) {
	api := newAPI()
	for target, want := range map[string]string{
		"/api/models":   `{"models":[{"id":"small-1","context":32000},{"id":"large-1","context":200000},{"id":"code-1","context":128000}]}`,
		"/api/rankings": `{"rankings":[{"model":"small-1","messages":0},{"model":"large-1","messages":0},{"model":"code-1","messages":0}]}`,
	} {
		if status, body := call(t, api, "", "GET", target, ""); status != 200 || body != want+"\n" {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
}

func TestErrors(t *testing.T) {
	api := newAPI()
	for _, c := range []struct {
		user, method, target, body string
		status                     int
		want                       string
	}{
		{"", "GET", "/api/chat/stats", "", 401, `{"error":{"code":"unauthorized","message":"send a bearer token: it is the user's name"}}`},
		{"", "POST", "/api/chat/sessions/s1/messages", `{}`, 401, `{"error":{"code":"unauthorized","message":"send a bearer token: it is the user's name"}}`},
		{"ada", "GET", "/api/chat/sessions/s99", "", 404, `{"error":{"code":"not_found","message":"there is no session \"s99\""}}`},
		{"ada", "DELETE", "/api/chat/sessions/s1/messages/m99", "", 404, `{"error":{"code":"not_found","message":"there is no message \"m99\""}}`},
		{"ada", "GET", "/api/chat/search", "", 400, `{"error":{"code":"bad_request","message":"q is missing: what is looked for"}}`},
		{"ada", "GET", "/api/chat/sessions?limit=0", "", 400, `{"error":{"code":"bad_request","message":"limit=\"0\": want a number from 1 to 100"}}`},
		{"ada", "POST", "/api/chat/sessions", `{`, 400, `{"error":{"code":"bad_request","message":"the body is not the JSON that is wanted here: unexpected EOF"}}`},
		{"ada", "PUT", "/api/chat/sessions/s1", `{}`, 422, `{"error":{"code":"invalid","message":"title is missing"}}`},
		{"ada", "POST", "/api/chat/sessions/s1/messages", `{}`, 422, `{"error":{"code":"invalid","message":"content is missing"}}`},
		{"ada", "POST", "/api/chat/sessions/s1/messages", `{"content":"x","model":"none"}`, 422, `{"error":{"code":"invalid","message":"there is no model \"none\", see /api/models"}}`},
		{"ada", "POST", "/api/chat/sessions", strings.Repeat("x", 1<<20+1), 413, `{"error":{"code":"too_large","message":"a body may have 1048576 bytes"}}`},
	} {
		status, body := call(t, api, c.user, c.method, c.target, c.body)
		if status != c.status || body != c.want+"\n" {
			t.Errorf("%s %s: got %d %s want %d %s", c.method, c.target, status, body, c.status, c.want)
		}
	}
	if _, stats := call(t, api, "ada", "GET", "/api/chat/stats", ""); stats != `{"user":"ada","sessions":25,"messages":50,"credits":1000}`+"\n" {
		t.Errorf("refused writes changed something: %s", stats)
	}
}

// Each write shows in exactly the reads whose caches the chat policy
// invalidates for it (activity and rankings live with their TTL).
func TestWritesShowInTheReadsThatThePolicyInvalidates(t *testing.T) {
	reads := map[string]string{
		"stats": "/api/chat/stats", "search": "/api/chat/search?q=hello", "user": "/api/user/me",
		"sessions": "/api/chat/sessions?limit=100", "models": "/api/models",
	}
	for _, c := range []struct {
		method, target, body string
		status               int
		changed              []string
	}{
		{"POST", "/api/chat/sessions", `{"title":"hello"}`, 201, []string{"sessions", "stats"}},
		{"PUT", "/api/chat/sessions/s25", `{"title":"hello"}`, 200, []string{"search", "sessions"}},
		{"PATCH", "/api/chat/sessions/s25", `{"title":"hello"}`, 200, []string{"search", "sessions"}},
		{"DELETE", "/api/chat/sessions/s25", ``, 204, []string{"search", "sessions", "stats"}},
		{"POST", "/api/chat/sessions/s25/messages", `{"content":"hello"}`, 201, []string{"search", "stats", "user"}},
		{"POST", "/api/chat/sessions/s25/messages", `{"content":"hello","stream":true}`, 200, []string{"search", "stats", "user"}},
		{"DELETE", "/api/chat/sessions/s25/messages/m49", ``, 204, []string{"search", "stats"}},
	} {
		api := newAPI()
		look := func(user string) map[string]string {
			seen := map[string]string{}
			for cache, target := range reads {
				_, seen[cache] = call(t, api, user, "GET", target, "")
			}
			return seen
		}
		before, other := look("ada"), look("bob")
		if status, body := call(t, api, "ada", c.method, c.target, c.body); status != c.status {
			t.Errorf("%s %s: got %d %s", c.method, c.target, status, body)
		}
		changed := map[string]bool{}
		for cache, body := range look("ada") {
			if body != before[cache] {
				changed[cache] = true
			}
		}
		want := map[string]bool{}
		for _, cache := range c.changed {
			want[cache] = true
		}
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("%s %s changed (-want +got):\n%s", c.method, c.target, diff)
		}
		if diff := cmp.Diff(other, look("bob")); diff != "" {
			t.Errorf("%s %s changed another user's data:\n%s", c.method, c.target, diff)
		}
	}
}

func TestCreatedObjectsComeWithIDFirst(t *testing.T) {
	api := newAPI()
	for target, want := range map[string]string{
		"/api/chat/sessions":             `{"id":"s26","title":"hi","created_at":"2026-05-01T12:00:00Z","updated_at":"2026-05-01T12:00:00Z"}`,
		"/api/chat/sessions/s1/messages": `{"id":"m51","session":"s1","role":"user","content":"yo","model":"small-1","created_at":"2026-05-01T12:00:00Z"}`,
	} {
		status, body := call(t, api, "ada", "POST", target, `{"title":"hi","content":"yo"}`)
		if status != 201 || body != want+"\n" {
			t.Errorf("%s: %d %s", target, status, body)
		}
	}
}

func TestCredits(t *testing.T) {
	api := newAPI()
	for range 1000 {
		call(t, api, "ada", "POST", "/api/chat/sessions/s1/messages", `{"content":"x"}`)
	}
	if status, _ := call(t, api, "ada", "POST", "/api/chat/sessions/s1/messages", `{"content":"x"}`); status != 402 {
		t.Errorf("message without credits: %d", status)
	}
}

func TestCounts(t *testing.T) {
	api := newAPI()
	call(t, api, "", "GET", "/api/chat/stats", "") // refused, but it came
	call(t, api, "ada", "GET", "/api/chat/stats", "")
	call(t, api, "ada", "GET", "/api/chat/sessions/s1", "")
	call(t, api, "ada", "GET", "/nowhere", "")
	want := map[string]int{"GET /api/chat/stats": 2, "GET /api/chat/sessions/{session}": 1}
	if diff := cmp.Diff(want, api.Counts()); diff != "" {
		t.Error(diff)
	}
	_, body := call(t, api, "", "GET", "/_counts", "")
	var shown map[string]int
	if err := json.Unmarshal([]byte(body), &shown); err != nil || !cmp.Equal(want, shown) {
		t.Errorf("/_counts: %s (%v)", body, err)
	}
	api.Reset()
	if n := api.Count("GET /api/chat/stats"); n != 0 {
		t.Errorf("after Reset: %d", n)
	}
}

// A read answers with what it saw before its latency.
func TestReadLooksBeforeItsLatency(t *testing.T) {
	var api *chatapi.API
	var slept time.Duration
	api = chatapi.New(chatapi.Options{Latency: 0.5, Sleep: func(_ context.Context, d time.Duration) error {
		slept = d
		call(t, api, "ada", "POST", "/api/chat/sessions", `{}`)
		return nil
	}})
	_, body := call(t, api, "ada", "GET", "/api/chat/stats", "")
	if slept != 250*time.Millisecond || !strings.Contains(body, `"sessions":25,`) {
		t.Errorf("slept %s, answered %s", slept, body)
	}
}

func TestStreamCommitsAtItsEnd(t *testing.T) {
	gate := make(chan error)
	api := chatapi.New(chatapi.Options{BeforeChunk: func(context.Context, int) error { return <-gate }})
	server := httptest.NewServer(api)
	defer server.Close()
	stats := func() string { _, body := call(t, api, "ada", "GET", "/api/chat/stats", ""); return body }

	stream := openStream(t, server.URL, "ada", gate)
	if got := stats(); !strings.Contains(got, `"messages":50,"credits":1000`) {
		t.Errorf("during the stream: %s", got)
	}
	for range 3 { // "said:", "hello", the commit
		gate <- nil
	}
	rest, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`data: {"delta":"hello "}`, `data: {"id":"m51","session":"s1","role":"user","content":"hello"`, "data: [DONE]\n\n"} {
		if !strings.Contains(string(rest), want) {
			t.Errorf("stream lacks %s:\n%s", want, rest)
		}
	}
	if got := stats(); !strings.Contains(got, `"messages":51,"credits":999`) {
		t.Errorf("after the stream: %s", got)
	}
}

func TestStreamThatBreaksOffCommitsNothing(t *testing.T) {
	gate := make(chan error)
	api := chatapi.New(chatapi.Options{BeforeChunk: func(context.Context, int) error { return <-gate }})
	server := httptest.NewServer(api)
	defer server.Close()
	stream := openStream(t, server.URL, "ada", gate)
	gate <- errors.New("broken")
	if _, err := io.ReadAll(stream); err == nil {
		t.Error("the stream ended as if it were whole")
	}
	if _, got := call(t, api, "ada", "GET", "/api/chat/stats", ""); !strings.Contains(got, `"messages":50,"credits":1000`) {
		t.Errorf("after the break: %s", got)
	}
}

// openStream saves "hello" as a stream and reads its first event.
func openStream(t *testing.T, url, user string, gate chan<- error) io.Reader {
	t.Helper()
	r, err := http.NewRequest("POST", url+"/api/chat/sessions/s1/messages", strings.NewReader(`{"content":"hello","stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+user)
	go func() { gate <- nil }()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream" || resp.ContentLength != -1 {
		t.Errorf("content-type %q, content-length %d", got, resp.ContentLength)
	}
	body := bufio.NewReader(resp.Body)
	if first, err := body.ReadString('\n'); first != "data: {\"delta\":\"You \"}\n" {
		t.Fatalf("first event %q, %v", first, err)
	}
	return body
}
