package hostsim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/toolchain"
)

func TestARequestPassesThrough(t *testing.T) {
	s := probe(t, nil)
	resp := do(s)
	if resp.Status != 200 || string(resp.Body) != "GET /x " || !resp.Complete || resp.Details != "via_upstream" {
		t.Fatalf("got %+v", resp)
	}
	wantLogs(t, s,
		"request-headers end=true",
		"response-headers end=false",
		"response-body size=7 end=false",
		"response-body size=0 end=true",
		"done")
}

func TestAPausedRequestGoesOnWhenItsCallIsAnswered(t *testing.T) {
	s := probe(t, nil)
	resp := do(s, "x-on-request-headers", "call backend /other 100; pause", "x-on-call", "resume-request")
	if resp.Status != 200 || string(resp.Body) != "GET /x " {
		t.Fatalf("got %+v", resp)
	}
	wantLogs(t, s,
		"request-headers end=true",
		`call answered 200 "GET /other "`,
		"response-headers end=false",
		"response-body size=7 end=false",
		"response-body size=0 end=true",
		"done")
}

func TestALocalReplyEntersTheModuleAgain(t *testing.T) {
	for name, script := range map[string][]string{
		"in the headers callback": {"x-on-request-headers", "reply 203 hello; pause"},
		"in a call's callback":    {"x-on-request-headers", "call backend /other 100; pause", "x-on-call", "reply 203 hello"},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, nil)
			resp := do(s, append(script, "x-on-quiet", "1", "x-on-response-headers", "log reply-seen", "x-on-response-body", "body response")...)
			if resp.Status != 203 || string(resp.Body) != "hello" || resp.Get("x-reply") != "yes" ||
				resp.Get("content-length") != "5" || resp.Get("content-type") != "text/plain" || resp.Get("server") != "envoy" {
				t.Fatalf("got %+v", resp)
			}
			logs := s.Logs()
			if n := len(logs); logs[n-2].Message != "reply-seen" || logs[n-1].Message != `body "hello"` {
				t.Fatalf("logs %v", logs)
			}
		})
	}
}

func TestWhatEnvoyWouldNotSurviveIsAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		want   hostsim.FailureKind
	}{
		"resume with nothing paused":   {[]string{"x-on-request-headers", "resume-request"}, hostsim.ResumeWithoutPause},
		"resume of a response to come": {[]string{"x-on-request-headers", "resume-response"}, hostsim.ResumeWithoutPause},
		"two replies":                  {[]string{"x-on-request-headers", "reply 200 a; reply 200 b; pause"}, hostsim.SecondReply},
		"reply and resume":             {[]string{"x-on-request-headers", "call backend / 9; pause", "x-on-call", "reply 200 a; resume-request"}, hostsim.ResumeWithoutPause},
		"reply after the end":          {[]string{"x-on-done", "reply 200 a"}, hostsim.SecondReply},
		"never resumed":                {[]string{"x-on-request-headers", "pause"}, hostsim.NeverResumed},
		"response never resumed":       {[]string{"x-on-response-headers", "pause"}, hostsim.NeverResumed},
		"panic":                        {[]string{"x-on-request-headers", "panic"}, hostsim.VMDied},
		"map out of its phase":         {[]string{"x-on-response-headers", "header request x-on-quiet"}, hostsim.MapOutOfPhase},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &failing{TB: t}
			s := hostsim.RunT(inner, hostsim.Options{
				Module: toolchain.Module(t, "probe"), Route: hostsim.RouteTo("backend"),
				Clusters: clusters(echo),
			})
			do(s, c.script...)
			found := s.Failures()
			if len(found) == 0 || found[0].Kind != c.want || len(found[0].Trace) == 0 {
				t.Fatalf("failures %v, want %q with a trace", found, c.want)
			}
			inner.finish()
			if len(inner.errors) == 0 {
				t.Error("the test that ran it didn't fail")
			}
		})
	}
}

// TestTheClientLeavesAtAnyPoint of an upload in pieces, a held response and a
// streamed body, a millisecond each: the module hears once of the end, and nothing is left.
func TestTheClientLeavesAtAnyPoint(t *testing.T) {
	const ms = time.Millisecond
	for _, http2 := range []bool{false, true} {
		for after := range 12 {
			clock := hostsim.NewClock(time.Time{})
			s := probe(t, func(o *hostsim.Options) {
				o.Clock = clock
				o.Clusters["lookup"] = slow(clock, ms)
				o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					for range 3 {
						clock.Wait(r.Context(), nil, ms)
						io.WriteString(w, "piece")
						w.(http.Flusher).Flush()
					}
				})
			})
			req := hostsim.Post("/x", "one", "x-on-response-headers", "call lookup /a 0; pause", "x-on-call", "resume-response")
			req.HTTP2, req.Open = http2, true
			st := s.Start(1, req)
			for i := range 12 {
				if s.Settle(); i == after {
					st.Disconnect()
				}
				switch i {
				case 1, 2:
					st.SendBody([]byte("more"))
				case 3:
					st.EndBody()
				}
				s.Advance(ms)
			}
			if ends := workerLogs(s, "done"); !st.Done() || len(ends) != 1 || len(s.Pending()) != 0 {
				t.Errorf("HTTP/2 %v, left after %d ms: ended %v, the module logged %v, pending %v", http2, after, st.Done(), ends, s.Pending())
			}
		}
	}
}

// TestAPauseIsReportedAtTheEndOfTheTest: nobody waited for the stream.
func TestAPauseIsReportedAtTheEndOfTheTest(t *testing.T) {
	inner := &failing{TB: t}
	s := hostsim.RunT(inner, hostsim.Options{Module: toolchain.Module(t, "probe"), Route: hostsim.RouteTo("backend"), Clusters: clusters(echo)})
	s.Start(1, hostsim.Get("/held", "x-on-response-headers", "pause"))
	if inner.finish(); len(inner.errors) != 1 {
		t.Fatalf("errors %q, want one", inner.errors)
	}
	for _, want := range []string{string(hostsim.NeverResumed), "stream 1: GET /held", "the response is paused", "==> proxy_on_response_headers", "<== proxy_on_response_headers = 1"} {
		if !strings.Contains(inner.errors[0], want) {
			t.Errorf("no %q in\n%s", want, inner.errors[0])
		}
	}
}

// TestAPauseBesideACallIsReported: a call that is under way, the root context's
// long poll, hides no stream that nothing resumes; one that a call or a tick does resume is no failure.
func TestAPauseBesideACallIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		errors int
	}{
		"nothing resumes it":              {[]string{"x-on-request-headers", "pause"}, 1},
		"a call would, after the timeout": {[]string{"x-on-request-headers", "call poll /a 9000; pause", "x-on-call", "resume-request"}, 0},
		"a tick would":                    {[]string{"x-on-request-headers", "hold; pause"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			clock, inner := hostsim.NewClock(time.Time{}), &failing{TB: t}
			s := hostsim.RunT(inner, hostsim.Options{
				Module: toolchain.Module(t, "probe"), PluginConfig: []byte("tick 1000; on-tick release resume"), Clock: clock,
				Clusters: map[string]http.Handler{"poll": slow(clock, time.Hour), "backend": http.HandlerFunc(echo)}, Route: hostsim.RouteTo("backend"),
			})
			s.Do(1, hostsim.Get("/x", "x-on-request-headers", "call poll /feed 0; reply 200; pause"))
			s.Start(1, hostsim.Get("/x", c.script...))
			if inner.finish(); len(inner.errors) != c.errors {
				t.Errorf("errors %q, want %d", inner.errors, c.errors)
			}
		})
	}
}

// TestAProxyIsKilledAtAnyPoint of its streams: nothing of them goes on in the
// time that it shared with others.
func TestAProxyIsKilledAtAnyPoint(t *testing.T) {
	for after := range 6 {
		clock := hostsim.NewClock(time.Time{})
		killed := probe(t, func(o *hostsim.Options) { o.Clock, o.Clusters["slow"] = clock, slow(clock, 2*time.Millisecond) })
		other := probe(t, func(o *hostsim.Options) { o.Clock = clock })
		st := killed.Start(1, hostsim.Post("/x", "body", "x-on-request-headers", "call slow /a 0; pause", "x-on-call", "resume-request"))
		for range after {
			clock.Advance(time.Millisecond)
		}
		killed.Close()
		killed.TakeLogs()
		if st.Disconnect(); do(other).Status != 200 {
			t.Error("the other proxy doesn't answer")
		}
		if logs := killed.TakeLogs(); len(logs) != 0 {
			t.Errorf("killed after %d ms, and yet %v", after, logs)
		}
	}
}

func TestMapsOutOfTheirPhase(t *testing.T) {
	for _, script := range [][]string{
		{"x-on-response-headers", "header request x-on-quiet"},
		{"x-on-response-headers", "headers request"},
		{"x-on-request-headers", "set response a b"},
		{"x-on-response-body", "header response :status"},
		{"x-on-response-end", "set response a b"},
		{"x-on-done", "set response a b"},
	} {
		s := probe(t, nil)
		do(s, script...)
		s.Expect(hostsim.MapOutOfPhase)
	}
}

// TestFieldsOfAResponseThatNeverCame: at a stream's end a module may ask for them, and hears that there are none.
func TestFieldsOfAResponseThatNeverCame(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) { o.Clock, o.Clusters["backend"] = clock, slow(clock, time.Hour) })
	st := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-done", "header response :status; header request :path"))
	s.Settle()
	st.Disconnect()
	s.Settle()
	wantLogs(t, s, "header: error status returned by host: not found", `header :path = "/x"`)
}

// TestARequestsHostIsItsAuthority: under either name, to read and to change.
func TestARequestsHostIsItsAuthority(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) {
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.Header["Host"]) })
	})
	resp := do(s, "x-on-quiet", "1", "x-on-request-headers", "header request Host; set request host other; header request :authority")
	if string(resp.Body) != "other[]" {
		t.Errorf("the upstream saw %s", resp.Body)
	}
	wantLogs(t, s, `header Host = "example.com"`, `header :authority = "other"`)
}

// TestABodyWhereThereCanBeNone: a client takes it for the beginning of the next response.
func TestABodyWhereThereCanBeNone(t *testing.T) {
	for _, status := range []string{"204", "304"} {
		for _, script := range [][]string{
			{"x-on-request-headers", "reply " + status + " hello; pause"},
			{"x-on-response-headers", "set response :status " + status},
		} {
			s := probe(t, nil)
			resp := do(s, script...)
			if found := s.Expect(hostsim.BodyLength); len(found) != 1 || len(resp.Body) != 0 {
				t.Errorf("%s: failures %v, body %q", script, found, resp.Body)
			}
		}
	}
}
