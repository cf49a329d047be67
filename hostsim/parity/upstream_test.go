package parity_test

import (
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chatcache/hostsim"
)

// upstreamPace is what handlers wait for, in real time or in virtual time. Each wait
// ends with the request, too.
type upstreamPace struct {
	wait    func(*http.Request, time.Duration)
	opened  func(*http.Request)      // the case lets them go on
	reached func(*http.Request, int) // so many requests have come
	read    func(*http.Request, int) // the client has so many bytes of the response
	note    func(string)
}

// upstreams are the handlers that a case can choose.
func upstreams(pace upstreamPace) map[string]http.Handler {
	wait := pace.wait
	big := strings.Repeat("0123456789", 300)
	text := func(w http.ResponseWriter, s string) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, s)
	}
	return map[string]http.Handler{
		"echo": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			text(w, fmt.Sprintf("%s %s %s", r.Method, r.URL, body))
		}),
		"headers": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h["Set-Cookie"] = []string{"a=1", "b=2"}
			h.Set("Server", "origin")
			h.Set("X-Empty", "")
			h.Set("Age", "7")
			text(w, "body")
		}),
		"request": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var names []string
			for name := range r.Header {
				if name != "X-Request-Id" && name != "X-On-Quiet" {
					names = append(names, name+"="+r.Header.Get(name))
				}
			}
			sort.Strings(names)
			text(w, r.Host+" "+strings.Join(names, " "))
		}),
		"204":   status(204),
		"304":   status(304),
		"404":   status(404),
		"503":   status(503),
		"empty": status(200),
		"big":   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, big) }),
		"huge":  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, strings.Repeat(big, 100)) }),
		"count": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			text(w, fmt.Sprint(n))
		}),
		"10MB": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, strings.Repeat(big, 3500)) }),
		"30MB": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { text(w, strings.Repeat(big, 10_000)) }),
		"slow": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if wait(r, 100*time.Millisecond); r.Context().Err() != nil {
				pace.note("left " + r.URL.Path)
			}
			text(w, "slow")
		}),
		"opened": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pace.opened(r); text(w, "opened") }),
		"both":   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { pace.reached(r, 2); text(w, "both") }),
		"upload": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			part := make([]byte, 100)
			n, _ := r.Body.Read(part)
			pace.note(fmt.Sprintf("read %q", part[:n]))
			rest, _ := io.ReadAll(r.Body)
			text(w, fmt.Sprintf("%s|%s", part[:n], rest))
		}),
		"trailer": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			text(w, fmt.Sprintf("%s %v", body, r.Trailer))
		}),
		"drip": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text(w, "first")
			w.(http.Flusher).Flush()
			pace.opened(r)
			io.WriteString(w, "second")
		}),
		"second-time": secondTime(),
		"sse":         http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { stream(w, r, pace) }),
		"trailers":    http.HandlerFunc(trailers),
		"hang":        http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { wait(r, 5*time.Second) }),
		"hang-body": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text(w, "begun")
			w.(http.Flusher).Flush()
			wait(r, 5*time.Second)
		}),
		"overlong":      hostsim.Overlong(big, 2500),
		"truncated":     hostsim.Truncated(big, 2500),
		"cut":           hostsim.ResetAt(7, big, false),
		"cut-chunked":   hostsim.ResetAt(2500, big, true),
		"no-answer":     hostsim.ResetBeforeHeaders(),
		"close":         hostsim.CloseDelimited(big, -1),
		"close-and-cut": hostsim.CloseDelimited(big, 2500),
	}
}

// secondTime fails every other time.
func secondTime() http.Handler {
	var n atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 1 {
			w.WriteHeader(503)
			return
		}
		io.WriteString(w, "the second time")
	})
}

func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// stream sends events, each when the client has the one before: so each is a piece of its own for the proxy.
func stream(w http.ResponseWriter, r *http.Request, pace upstreamPace) {
	w.Header().Set("Content-Type", "text/event-stream")
	sent := 0
	for i := range 3 {
		n, _ := fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
		if sent += n; r.Header.Get("X-Upstream") == "" {
			pace.wait(r, 30*time.Millisecond) // a call's answer is read whole
		} else {
			pace.read(r, sent)
		}
	}
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "body")
	w.(http.Flusher).Flush()
	w.Header().Set("X-Sum", "4")
}

// recorder notes the requests that reach the upstream, in their order, and what handlers tell of them.
type recorder struct {
	mu       sync.Mutex
	requests []string
}

func (r *recorder) note(request string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
}

// take gives what was noted and forgets it.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	return taken
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.requests)
}

// dispatch chooses the handler by the x-upstream header; calls of the module
// have none and choose it in their query.
func (r *recorder) dispatch(handlers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.note(req.Method + " " + req.URL.String())
		name := req.Header.Get("X-Upstream")
		if name == "" {
			name = or(req.URL.Query().Get("upstream"), "echo")
		}
		handlers[name].ServeHTTP(w, req)
	})
}
