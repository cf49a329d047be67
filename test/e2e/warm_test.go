package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chatcache/test/chatapi"
	"chatcache/test/stack"

	"github.com/google/go-cmp/cmp"
)

const warmFile = `{"path": "/api/chat/stats", "header": {"authorization": "Bearer ben"}}
{"path": "/api/chat/sessions/none"}
POST /api/chat/sessions
GET /api/chat/stats
GET /api/chat/stats
GET /api/models
GET /elsewhere/that/no/cache/has
`

// warmedUp is what of warm's summary doesn't depend on time.
type warmedUp struct {
	Sent, Hits, Collapsed, Stored, Unmatched, Errors, LeftOut int
}

// What warm has sent through the proxy is there for who asks next, for each user their own; and
// nothing is sent that writes. On hostsim, and on Envoy.
func TestWarm(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		warmAndAsk(t, simulator(t, chatapi.New(chatapi.Options{})).URL())
	})
	t.Run("real", func(t *testing.T) {
		warmAndAsk(t, patientStack(t, stack.Options{Origin: chatapi.New(chatapi.Options{})}).Envoys[0].URL())
	})
}

func warmAndAsk(t *testing.T, proxy string) {
	file := filepath.Join(t.TempDir(), "reads")
	token := filepath.Join(t.TempDir(), "fields")
	for name, text := range map[string]string{file: warmFile, token: "Authorization: Bearer ann\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(root, "build", "redisbridge"), "warm", "--proxy", proxy, "-H", "@"+token, "--concurrency", "1", "--json", file).Output()
	var got warmedUp
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil {
		t.Fatalf("%v, %v: %s", err, jsonErr, out)
	}
	// The session that isn't there and the path that no cache has are answered 404.
	want := warmedUp{Sent: 6, Hits: 1, Stored: 3, Errors: 2, LeftOut: 1}
	if diff := cmp.Diff(want, got); diff != "" || err == nil {
		t.Errorf("%v: %s\n%s", err, diff, out)
	}
	for _, user := range []string{"ann", "ben"} {
		request, err := http.NewRequest(http.MethodGet, proxy+"/api/chat/stats", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+user)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if status := response.Header.Get("Cache-Status"); status[:min(len(status), 14)] != "chatcache; hit" {
			t.Errorf("%s's stats after warming: %q", user, status)
		}
	}
}
