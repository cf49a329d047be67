package hostsim_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// TestAHeldMessageStopsItsSender: what is shown at once of a large message that
// was held stays near the buffer's limit.
func TestAHeldMessageStopsItsSender(t *testing.T) {
	large := strings.Repeat("x", 1_000_000)
	for name, script := range map[string][]string{
		"a request":  {"x-on-request-headers", "call backend /other 100; stopall", "x-on-call", "resume-request"},
		"a response": {"x-on-response-headers", "call backend /other 100; stopall", "x-on-call", "resume-response"},
	} {
		t.Run(name, func(t *testing.T) {
			s := probe(t, func(o *hostsim.Options) { o.BufferLimit = 20_000 })
			resp := s.Do(1, hostsim.Post("/x", large, append(script, "x-on-quiet", "1", "x-on-done", "fits 40000; fits 15000")...))
			if string(resp.Body) != "POST /x "+large {
				t.Errorf("%d bytes came back", len(resp.Body))
			}
			s.Settle()
			if !logged(s, "fits 40000: true") || !logged(s, "fits 15000: false") {
				t.Errorf("log %v", s.Logs())
			}
		})
	}
}

// endless writes until the proxy has gone.
func endless(written *int, stopped *bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			n, err := w.Write(make([]byte, 1000))
			if *written += n; err != nil {
				*stopped = true
				return
			}
		}
	})
}

func TestAClientThatDoesNotReadStopsItsUpstream(t *testing.T) {
	written, stopped := 0, false
	s := probe(t, func(o *hostsim.Options) {
		o.BufferLimit = 20_000
		o.Clusters["backend"] = endless(&written, &stopped)
	})
	st := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1"))
	st.StopReading()
	s.Settle()
	got, sent := len(st.Response().Body), written
	if got != 0 || sent < 20_000 || sent > 2_000_000 {
		t.Errorf("the client got %d bytes, the upstream wrote %d", got, sent)
	}
	st.Disconnect()
	s.Settle()
	if !stopped {
		t.Error("the upstream wasn't told that the client left")
	}
}

func TestAClientThatReadsOnGetsTheRest(t *testing.T) {
	large := strings.Repeat("x", 1_000_000)
	s := probe(t, func(o *hostsim.Options) { o.BufferLimit, o.Clusters["backend"] = 20_000, text(large) })
	st := s.Start(1, hostsim.Get("/x", "x-on-quiet", "1", "x-on-response-end", "log end"))
	st.StopReading()
	s.Advance(time.Second)
	if st.Done() || logged(s, "end") {
		t.Errorf("it ended while the client didn't read: %v", s.Logs())
	}
	st.ReadOn()
	s.Finish(st)
	if resp := st.Response(); string(resp.Body) != large || !resp.Complete || !logged(s, "end") {
		t.Errorf("%d bytes, complete %v", len(resp.Body), resp.Complete)
	}
}

func TestAnUpstreamThatReadsSlowlyStopsTheClient(t *testing.T) {
	clock := hostsim.NewClock(time.Time{})
	s := probe(t, func(o *hostsim.Options) {
		o.Clock, o.BufferLimit = clock, 20_000
		o.Clusters["backend"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			clock.Wait(r.Context(), nil, time.Second)
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		})
	})
	st := s.Start(1, hostsim.Post("/x", strings.Repeat("x", 20_000_000), "x-on-quiet", "1", "x-on-request-end", "log end"))
	s.Settle()
	if logged(s, "end") {
		t.Error("the whole request was taken though nobody read it")
	}
	s.Finish(st)
	if got := string(st.Response().Body); got != "20000000" || !logged(s, "end") {
		t.Errorf("the upstream got %s bytes", got)
	}
}
