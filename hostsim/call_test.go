package hostsim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// TestACallThatIsCutInItsBody: once the headers of its answer have come nothing can be answered in the cluster's place, so the
// callback is without any, and proxy_get_status says why.
func TestACallThatIsCutInItsBody(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	for name, handler := range map[string]http.Handler{
		"the connection": hostsim.ResetAt(7, "a longer text", true),
		"the timeout": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "begun")
			w.(http.Flusher).Flush()
			clock.Wait(r.Context(), nil, time.Hour)
		}),
		"its length": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 33 {
				w.Write(make([]byte, 1<<20))
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) {
				o.Clock = clock
				o.Clusters["cut"] = handler
			})
			do(s, "x-on-quiet", "1", "x-on-request-headers", "call cut / 50; pause", "x-on-call", "status; resume-request")
			wantLogs(t, s, `call answered  ""`, `status: 0 11 "reset"`)
		})
	}
}

// TestTokensOfCallsAreTheVMs: SDKs find a call by its token alone (Rust's), so those of two root contexts in one VM differ.
func TestTokensOfCallsAreTheVMs(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.PluginConfig = []byte("log one") })
	calls := []string{"x-on-request-headers", "call backend /a 5000; pause", "x-on-call", "resume-request"}
	tokens := func() (tokens []string) {
		st := s.Start(1, hostsim.Get("/x", calls...))
		s.Finish(st)
		for _, line := range st.Trace() {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "==> proxy_on_http_call_response("); ok {
				tokens = append(tokens, strings.Split(rest, ", ")[1])
			}
		}
		return tokens
	}
	before := tokens()
	if err := s.Reconfigure([]byte("log two")); err != nil {
		t.Fatal(err)
	}
	if got := append(before, tokens()...); !slices.Equal(got, []string{"4", "8"}) {
		t.Errorf("tokens before and after a change of the configuration: %v, want 4 and 8 (one count for the VM, as in Envoy)", got)
	}
}
