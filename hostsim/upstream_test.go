package hostsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// TestCompleteness is what a module sees of responses that end well or badly.
func TestCompleteness(t *testing.T) {
	big := strings.Repeat("x", 3000)
	for name, c := range map[string]struct {
		upstream http.Handler
		status   int
		body     string
		complete bool
		end      bool // the module saw an end of stream
		details  string
	}{
		"content-length":       {text("hi"), 200, "hi", true, true, "via_upstream"},
		"chunked":              {text(big), 200, big, true, true, "via_upstream"},
		"short content-length": {hostsim.Truncated(big, 2500), 200, big[:2500], false, false, "upstream_reset_after_response_started{protocol_error}"},
		"chunked, cut":         {hostsim.ResetAt(2500, big, true), 200, big[:2500], false, false, "upstream_reset_after_response_started{protocol_error}"},
		"close-delimited":      {hostsim.CloseDelimited(big, -1), 200, big, true, true, "via_upstream"},
		"close-delimited, cut": {hostsim.CloseDelimited(big, 7), 200, big[:7], true, true, "via_upstream"},
		"reset before headers": {hostsim.ResetBeforeHeaders(), 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination", true, true, "upstream_reset_before_response_started{connection_termination}"},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) { o.Clusters["backend"] = c.upstream })
			resp := do(s, "x-on-quiet", "1", "x-on-response-end", "log end-seen", "x-on-done", "prop response.code_details")
			if resp.Status != c.status || string(resp.Body) != c.body || resp.Complete != c.complete || resp.Details != c.details {
				t.Errorf("got %d %q… complete=%v %s", resp.Status, first(resp.Body, 40), resp.Complete, resp.Details)
			}
			all := fmt.Sprint(s.Logs())
			if got := strings.Contains(all, "end-seen"); got != c.end {
				t.Errorf("end seen: %v, want %v", got, c.end)
			}
			if !strings.Contains(all, fmt.Sprintf("prop response.code_details = %q", c.details)) {
				t.Errorf("log %s", all)
			}
		})
	}
}

// TestAResetAtAnyByte: wherever an upstream's connection is cut, the client has
// what came before, and the module sees no end of stream.
func TestAResetAtAnyByte(t *testing.T) {
	const body = "a response"
	at, chunked, http2 := 0, false, false
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { hostsim.ResetAt(at, body, chunked).ServeHTTP(w, r) })
	s := probe(t, func(o *hostsim.Options) {
		o.Clusters["backend"], o.Clusters["http2"] = upstream, upstream
		o.HTTP2Clusters = []string{"http2"}
		o.Route = func(h hostsim.Headers) string {
			if http2 {
				return "http2"
			}
			return "backend"
		}
	})
	for variant := range 4 {
		chunked, http2 = variant&1 != 0, variant&2 != 0
		for at = range len(body) {
			s.TakeLogs()
			resp := do(s, "x-on-response-end", "log end-seen")
			if resp.Complete || resp.Status != 200 || string(resp.Body) != body[:at] {
				t.Errorf("chunked %v, HTTP/2 %v, cut at %d: %d %q, complete %v", chunked, http2, at, resp.Status, resp.Body, resp.Complete)
			}
			if ends := fmt.Sprint(workerLogs(s, "end-seen", "done")); ends != "[done]" {
				t.Errorf("chunked %v, HTTP/2 %v, cut at %d: the module saw %s", chunked, http2, at, ends)
			}
		}
	}
}

func text(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
}

func first(b []byte, n int) []byte { return b[:min(n, len(b))] }

func TestAStreamedResponseArrivesPieceByPiece(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				clock.Wait(r.Context(), nil, time.Second)
			}
		})
	})
	st := s.Start(1, hostsim.Get("/x"))
	s.Settle()
	if got := string(st.Response().Body); got != "data: 0\n\n" || st.Done() {
		t.Fatalf("at first %q", got)
	}
	s.Advance(time.Second)
	if got := string(st.Response().Body); got != "data: 0\n\ndata: 1\n\n" {
		t.Fatalf("after a second %q", got)
	}
	s.Advance(2 * time.Second)
	if r := st.Response(); !r.Complete || r.Get("transfer-encoding") != "" || r.Get("content-length") != "" {
		t.Fatalf("at last %+v", r)
	}
	wantLogs(t, s, "request-headers end=true", "response-headers end=false", "response-body size=9 end=false",
		"response-body size=9 end=false", "response-body size=9 end=false", "response-body size=0 end=true", "done")
}

func TestClusterStates(t *testing.T) {
	for name, c := range map[string]struct {
		cluster string
		state   hostsim.ClusterState
		log     string // of a call to it
		status  int    // of a request routed to it
		body    string
		details string
	}{
		"unknown":  {"nobody", hostsim.ClusterUp, "call: error status returned by host: bad argument", 503, "", "cluster_not_found"},
		"no hosts": {"backend", hostsim.ClusterNoHosts, "call: error status returned by host: internal failure", 503, "no healthy upstream", "no_healthy_upstream"},
		"refusing": {"backend", hostsim.ClusterRefusing, `call answered 503 "upstream connect error`, 503, "upstream connect error", "upstream_reset_before_response_started{remote_connection_failure"},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) { o.Route = hostsim.RouteTo(c.cluster) })
			s.SetCluster(c.cluster, c.state)
			resp := do(s, "x-on-request-headers", "call "+c.cluster+" / 9")
			s.Settle()
			if resp.Status != c.status || !strings.HasPrefix(string(resp.Body), c.body) || !strings.HasPrefix(resp.Details, c.details) {
				t.Errorf("got %d %q %s", resp.Status, resp.Body, resp.Details)
			}
			if all := fmt.Sprint(s.Logs()); !strings.Contains(all, c.log) {
				t.Errorf("log %s, want %q", all, c.log)
			}
		})
	}
}

func TestShaping(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) {
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Server", "backend")
			w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
			switch r.URL.Path {
			case "/204":
				w.WriteHeader(204)
			case "/304":
				w.Header().Set("ETag", `"x"`)
				w.WriteHeader(304)
			default:
				fmt.Fprint(w, "body")
			}
		})
	})
	for _, c := range []struct{ method, path, status, body, length string }{
		{"GET", "/", "200", "body", "4"},
		{"HEAD", "/", "200", "", "4"},
		{"GET", "/204", "204", "", ""},
		{"GET", "/304", "304", "", ""},
	} {
		r := s.Do(1, hostsim.NewRequest(c.method, c.path, "x-on-quiet", "1"))
		if fmt.Sprint(r.Status) != c.status || string(r.Body) != c.body || r.Get("content-length") != c.length ||
			r.Get("server") != "envoy" || r.Get("date") != "Tue, 01 Jan 2030 00:00:00 GMT" || fmt.Sprint(r.Headers.Values("set-cookie")) != "[a=1 b=2]" {
			t.Errorf("%s %s: got %+v", c.method, c.path, r)
		}
	}
}

func TestTheRouteTimesOut(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock = clock
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				fmt.Fprint(w, "begun")
				w.(http.Flusher).Flush()
			}
			clock.Wait(r.Context(), nil, time.Hour)
		})
	})
	r := s.Do(1, hostsim.Get("/headers", "x-on-quiet", "1"))
	if r.Status != 504 || string(r.Body) != "upstream request timeout" || r.Details != "response_timeout" || clock.Since() != 15*time.Second {
		t.Errorf("got %+v after %v", r, clock.Since())
	}
	r = s.Do(1, hostsim.Get("/body", "x-on-quiet", "1"))
	if r.Status != 200 || string(r.Body) != "begun" || r.Complete || r.Details != "response_timeout" {
		t.Errorf("got %+v", r)
	}
}
