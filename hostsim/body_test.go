package hostsim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"chatcache/hostsim"
)

func TestAPausedRequestWithABody(t *testing.T) {
	lookup := []string{"x-on-request-headers", "call backend /look 9; ACTION", "x-on-call", "resume-request"}
	for name, c := range map[string]struct {
		action string
		allow  bool
		want   []string
	}{
		"plain pause stops everything": {"pause", false, []string{
			"request-headers end=false", `call answered 200 "GET /look "`,
			"request-body size=5 end=true"}},
		"with allow_on_headers_stop_iteration the body goes on, and takes the headers along": {"pause", true, []string{
			"request-headers end=false", "request-body size=5 end=false", "request-body size=0 end=true",
			`call answered 200 "GET /look "`}},
		"StopAllIterationAndWatermark stops everything with it too": {"stopall", true, []string{
			"request-headers end=false", `call answered 200 "GET /look "`,
			"request-body size=5 end=true"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) { o.AllowOnHeadersStopIteration = c.allow })
			script := append([]string(nil), lookup...)
			script[1] = strings.Replace(script[1], "ACTION", c.action, 1)
			resp := s.Do(1, hostsim.Post("/x", "hello", script...))
			if string(resp.Body) != "POST /x hello" {
				t.Fatalf("got %+v", resp)
			}
			var got []string
			for _, l := range s.Logs() {
				if strings.HasPrefix(l.Message, "request-") || strings.HasPrefix(l.Message, "call ") {
					got = append(got, strings.TrimSpace(l.Message))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("order\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(c.want, "\n  "))
			}
			s.Settle()
			if c.allow && c.action == "pause" {
				s.Expect(hostsim.ResumeWithoutPause) // it was no longer paused
			}
		})
	}
}

// TestABodyKeyedRequest: with the flag, headers and body are held, the body
// comes cumulatively, and nothing reaches the origin on a reply.
func TestABodyKeyedRequest(t *testing.T) {
	origin := 0
	s := probe(t, func(o *hostsim.Options) {
		o.AllowOnHeadersStopIteration = true
		o.Clusters["backend"] = counting(&origin)
	})
	s.Do(1, hostsim.Post("/x", "hello", "x-on-request-headers", "pause",
		"x-on-request-body", "body request; buffer", "x-on-quiet", "1"))
	s.Expect(hostsim.NeverResumed)
	wantLogs(t, s, `body "hello"`, `body "hello"`)
	if origin != 0 {
		t.Errorf("the origin got %d requests", origin)
	}
}

func TestAnOverlongBufferedRequestIs413(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.BufferLimit, o.AllowOnHeadersStopIteration = 20_000, true })
	resp := s.Do(1, hostsim.Post("/x", strings.Repeat("x", 40_000), "x-on-request-headers", "pause", "x-on-request-body", "buffer"))
	if resp.Status != 413 || string(resp.Body) != "Payload Too Large" || resp.Details != "request_payload_too_large" {
		t.Errorf("got %d %q %s", resp.Status, resp.Body, resp.Details)
	}
}

func TestOnePieceLargerThanTheBufferIs413AtOnce(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.BufferLimit, o.AllowOnHeadersStopIteration = 4, true })
	req := hostsim.Post("/x", "hello", "x-on-request-headers", "pause", "x-on-request-body", "buffer")
	req.Open = true // nothing follows that would be checked
	if resp := s.Do(1, req); resp.Status != 413 {
		t.Errorf("got %+v", resp)
	}
}

func TestBuffersCanBeReplaced(t *testing.T) {
	s := probe(t, func(o *hostsim.Options) { o.Clusters["backend"] = text(strings.Repeat("x", 3000)) })
	resp := do(s, "x-on-quiet", "1", "x-on-response-body", "setbody response answer;")
	if got := string(resp.Body); got != "answeranswer" { // once for the data, once for the end
		t.Errorf("body %q", got)
	}
}

func TestABodyMustHaveItsContentLength(t *testing.T) {
	var upstream string
	s := probe(t, func(o *hostsim.Options) {
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			upstream = string(body)
			fmt.Fprint(w, "0123456789")
		})
	})
	resp := s.Do(1, hostsim.Post("/x", "hello", "x-on-quiet", "1",
		"x-on-request-body", "setbody request longer", "x-on-response-end", "setbody response short", "x-on-response-body", "setbody response x"))
	found := s.Expect(hostsim.BodyLength)
	if len(found) != 2 || found[0].Detail != "the request says content-length: 5, its body has 12 bytes" ||
		found[1].Detail != "the response says content-length: 10, its body has 6 bytes" {
		t.Errorf("failures %v", found)
	}
	if resp.Complete || string(resp.Body) != "xshort" || upstream == "hello" {
		t.Errorf("got %+v, the upstream %q", resp, upstream)
	}
}

func TestAHeldResponse(t *testing.T) {
	held := []string{"x-on-response-headers", "call backend /ack 9; pause"}
	t.Run("goes on", func(t *testing.T) {
		s := probe(t, nil)
		resp := do(s, append(held, "x-on-call", "set response x-late yes; resume-response")...)
		if resp.Get("x-late") != "yes" || string(resp.Body) != "GET /x " {
			t.Errorf("got %+v", resp)
		}
		wantLogs(t, s, "request-headers end=true", "response-headers end=false", `call answered 200 "GET /ack "`,
			"response-body size=7 end=true", "done")
	})
	t.Run("is replaced", func(t *testing.T) {
		s := probe(t, nil)
		resp := do(s, append(held, "x-on-call", "reply 201 instead")...)
		if resp.Status != 201 || string(resp.Body) != "instead" || !resp.Complete {
			t.Errorf("got %+v", resp)
		}
		wantLogs(t, s, "request-headers end=true", "response-headers end=false", `call answered 200 "GET /ack "`, "done")
	})
	t.Run("is reset by the upstream", func(t *testing.T) {
		s := probe(t, func(o *hostsim.Options) {
			o.Clusters["bad"] = hostsim.ResetAt(2, "hello", false)
			o.Route = hostsim.RouteTo("bad")
		})
		resp := do(s, "x-on-response-headers", "pause")
		if resp.Status != 502 || !resp.Complete {
			t.Errorf("got %+v", resp)
		}
	})
}

func TestTheClientStreams(t *testing.T) {
	s := probe(t, nil)
	req := hostsim.Post("/x", "one ")
	req.Open = true
	st := s.Start(1, req)
	s.Settle()
	st.SendBody([]byte("two"))
	s.Settle()
	st.EndBody()
	s.Finish(st)
	if got := string(st.Response().Body); got != "POST /x one two" {
		t.Errorf("body %q", got)
	}
}

func TestHTTP2EndsWithTheLastData(t *testing.T) {
	s := probe(t, nil)
	req := hostsim.Post("/x", "hello")
	req.HTTP2 = true
	s.Do(1, req)
	if all := fmt.Sprint(s.Logs()); !strings.Contains(all, "request-body size=5 end=true") {
		t.Errorf("log %s", all)
	}
}

// TestAReplyElsewhereStopsTheRunningBody: a local reply sets a flag that
// changes the result of whichever callback runs, here of another stream's.
func TestAReplyElsewhereStopsTheRunningBody(t *testing.T) {
	s := probe(t, nil)
	other := s.Start(1, hostsim.Get("/x", "x-on-request-headers", "hold; pause"))
	s.Settle()
	resp := do(s, "x-on-response-end", "release reply")
	if string(other.Response().Body) != "released" || resp.Complete {
		t.Errorf("the other got %+v, this one %+v", other.Response(), resp)
	}
	s.Expect(hostsim.NeverResumed)
}

// TestAFailedSetEffectiveContextHitsAnotherStream: the previous context stays.
func TestAFailedSetEffectiveContextHitsAnotherStream(t *testing.T) {
	s := probe(t, nil)
	gone := s.Start(1, hostsim.Get("/gone", "x-on-request-headers", "hold; pause"))
	s.Settle()
	gone.Disconnect()
	resp := do(s, "x-on-request-headers", "release reply; pause")
	if string(resp.Body) != "released" || !logged(s, "release err=error status returned by host: bad argument") {
		t.Errorf("got %+v, log %v", resp, s.Logs())
	}
}

func TestAnOverlongBufferedResponseIs500OrCut(t *testing.T) {
	big := strings.Repeat("x", 40_000)
	s := probe(t, func(o *hostsim.Options) { o.BufferLimit, o.Clusters["backend"] = 20_000, text(big) })
	if r := do(s, "x-on-quiet", "1", "x-on-response-body", "buffer"); r.Complete || r.Details != "response_payload_too_large" {
		t.Errorf("with headers sent: %d complete=%v %s", r.Status, r.Complete, r.Details)
	}
	s = probe(t, func(o *hostsim.Options) {
		o.BufferLimit, o.Clusters["backend"], o.AllowOnHeadersStopIteration = 20_000, text(big), true
	})
	if r := do(s, "x-on-quiet", "1", "x-on-response-headers", "pause", "x-on-response-body", "buffer"); r.Status != 500 || r.Details != "response_payload_too_large" {
		t.Errorf("with headers held: %d %s", r.Status, r.Details)
	}
}

// TestABufferedBodyIsAtHandUntilItGoesOn: from the callback of a call, too, the module reads and changes all that it has buffered,
// also of a body that came in one piece.
func TestABufferedBodyIsAtHandUntilItGoesOn(t *testing.T) {
	for name, s := range map[string]*hostsim.Sim{"HTTP/1.1": probe(t, nil), "HTTP/2": probe(t, nil)} {
		req := hostsim.Post("/x", "hello", "x-on-quiet", "1", "x-on-request-headers", "remove request content-length",
			"x-on-request-body", "buffer", "x-on-request-end", "buffer; call backend /other 5000",
			"x-on-call", "body request; setbody request changed; resume-request")
		req.HTTP2 = name == "HTTP/2"
		resp := s.Do(1, req)
		if string(resp.Body) != "POST /x changed" {
			t.Errorf("%s: %q, want the upstream to have the changed body", name, resp.Body)
		}
		wantLogs(t, s, `call answered 200 "GET /other "`, `body "hello"`)
	}
}
