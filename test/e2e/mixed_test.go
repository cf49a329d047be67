package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"chatcache/test/stack"
)

// TestPassThroughToAnOlderOrigin: the same where a client speaks HTTP/2 and the origin HTTP/1.1, so that Envoy translates.
func TestPassThroughToAnOlderOrigin(t *testing.T) {
	origin := recorder{make(chan string, 1)}
	s := besideAPlainOne(t, stack.Options{Origin: origin, Upstream: byOne})
	samePassing(t, s, origin, 2)
}

// script is a filter in Lua that leaves its name in requests and responses, and changes a body where the origin asks for it.
func script(name string) map[string]any {
	return map[string]any{"name": name, "typed_config": map[string]any{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
		"default_source_code": map[string]any{"inline_string": fmt.Sprintf(`
function envoy_on_request(handle)
  handle:headers():add("x-script-%[1]s", "request")
end
function envoy_on_response(handle)
  handle:headers():add("x-script-%[1]s", "response")
  if handle:headers():get("x-script") == "body" then
    local body = handle:body()
    body:setBytes("%[1]s(" .. string.upper(body:getBytes(0, body:length())) .. ")")
  end
end`, name)},
	}}
}

// TestPassThroughBetweenScripts: the same where filters in Lua stand before and behind it, with which it shares the paths
// through the proxy.
func TestPassThroughBetweenScripts(t *testing.T) {
	origin := recorder{make(chan string, 1)}
	s := besideAPlainOne(t, stack.Options{Origin: origin, Manager: func(_ int, manager map[string]any) {
		filters := manager["http_filters"].([]any)
		router := len(filters) - 1
		manager["http_filters"] = slices.Concat([]any{script("before")}, filters[:router], []any{script("behind")}, filters[router:])
	}})
	for _, version := range []int{1, 2} {
		samePassing(t, s, origin, version)
		t.Run(fmt.Sprintf("HTTP %d/hit", version), func(t *testing.T) { scriptedHit(t, clientOf(version), s.Envoys[0].URL(), origin) })
	}
}

// scriptedHit: what a filter behind does to a response is stored. A hit, as every local reply of Envoy, passes all filters, those behind
// too: they change once more what they have changed, and the ones before do it anew.
func scriptedHit(t *testing.T, client http.RoundTripper, url string, origin recorder) {
	is, _ := oddityNamed("scripted")
	url += fmt.Sprintf("/cached/scripted-%p", client)
	first := passed(t, client, url, is, "")
	if came := reached(t, origin.came); !strings.Contains(came, `x-script-before: ["request"]`) || !strings.Contains(came, `x-script-behind: ["request"]`) {
		t.Errorf("the origin was asked\n%s", came)
	}
	again := passed(t, client, url, is, "") // from L1, or from L2 before the VM has its lease
	for answer, lines := range map[string][]string{
		first: {"chatcache; fwd=uri-miss; stored", `x-script-before: ["response"]`, `x-script-behind: ["response"]`, bodyLine("before(BEHIND(TO BE SAID LOUDER))")},
		again: {"; detail=l", `x-script-before: ["response"]`, `x-script-behind: ["response" "response"]`, bodyLine("before(BEHIND(BEHIND(TO BE SAID LOUDER)))")},
	} {
		for _, line := range lines {
			if !strings.Contains(answer, line) {
				t.Errorf("no %s in\n%s", line, answer)
			}
		}
	}
}

func bodyLine(body string) string { return described(nil, nil, []byte(body))[0] }
