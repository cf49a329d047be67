package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"chatcache/redisbridge"

	"github.com/google/go-cmp/cmp"
)

// inspect asks for what its flags say, prints a table, and says by its exit code whether a
// valid entry is stored.
func TestInspectPrints(t *testing.T) {
	var asked redisbridge.InspectRequest
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = redisbridge.InspectRequest{}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		io.WriteString(w, `{"policy":"chat","cache":"stats","key":"stats:chat:{4f}:GET /stats:d1","epoch":"e1","sequence":9,
			"groups":[{"group":"*"},{"group":"c:stats","generation":8,"kept":true,"raised":true},{"group":"p:stats:4f","generation":3,"kept":true,"suspensions":2}],
			"controls":{"name":"stats","percent":12.5,"observe":true},
			"entry":{"bytes":1234,"ageMs":2500,"remainingMs":597500,"ttlMs":600000,"epoch":"e1","sequence":7,"definition":"d1","outdated":true},
			"reason":"raised after its ticket: c:stats"}`)
	}))
	defer server.Close()
	var out strings.Builder
	args := []string{"inspect", "--bridge", server.URL, "--identity", "alice", "-H", "accept-language: de", "/api/chat/stats?a=b"}
	code := run(t.Context(), args, func(string) string { return "" }, &out, io.Discard)
	want := `policy            chat, sequence 9 of epoch e1
cache             stats
key               stats:chat:{4f}:GET /stats:d1
entry             1234 bytes, 2.5s old, of 10m0s
ticket            sequence 7 of epoch e1
group *           no generation is kept
group c:stats     generation 8, raised after the ticket
group p:stats:4f  generation 3, 2 suspensions open
controls          percent=12.5% observe
valid             no: raised after its ticket: c:stats
`
	if out.String() != want || code != exitNo {
		t.Errorf("exit code %d, printed\n%s", code, out.String())
	}
	out.Reset()
	if code := run(t.Context(), append(args, "--json"), func(string) string { return "" }, &out, io.Discard); code != exitNo {
		t.Errorf("exit code %d with --json", code)
	}
	if diff := cmp.Diff(inspectedJSON, out.String()); diff != "" {
		t.Errorf("with --json:\n%s", diff)
	}
	if asked.URL != "/api/chat/stats?a=b" || asked.Key != "" || asked.Identity.Value != "alice" || asked.Header["accept-language"] != "de" {
		t.Errorf("asked for %+v", asked)
	}
	run(t.Context(), []string{"inspect", "--bridge", server.URL, "stats:chat:{4f}:GET /stats:d1"}, func(string) string { return "" }, io.Discard, io.Discard)
	if asked.Key != "stats:chat:{4f}:GET /stats:d1" || asked.URL != "" || asked.Identity != nil {
		t.Errorf("asked for %+v", asked)
	}
}

// inspectedJSON is what scripts of operators read.
const inspectedJSON = `{
  "policy": "chat",
  "cache": "stats",
  "key": "stats:chat:{4f}:GET /stats:d1",
  "epoch": "e1",
  "sequence": 9,
  "groups": [
    {
      "group": "*",
      "generation": 0,
      "kept": false,
      "suspensions": 0,
      "raised": false
    },
    {
      "group": "c:stats",
      "generation": 8,
      "kept": true,
      "suspensions": 0,
      "raised": true
    },
    {
      "group": "p:stats:4f",
      "generation": 3,
      "kept": true,
      "suspensions": 2,
      "raised": false
    }
  ],
  "controls": {
    "name": "stats",
    "percent": 12.5,
    "observe": true
  },
  "entry": {
    "bytes": 1234,
    "ageMs": 2500,
    "remainingMs": 597500,
    "ttlMs": 600000,
    "epoch": "e1",
    "sequence": 7,
    "definition": "d1",
    "outdated": true
  },
  "valid": false,
  "reason": "raised after its ticket: c:stats"
}
`
