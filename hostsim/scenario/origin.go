package scenario

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"chatcache/hostsim"
)

// Answer is what the origin answers to a method and path.
type Answer struct {
	Method, Path string // Path without query; "*" is any
	Status       int
	Headers      hostsim.Headers
	Body         string
	Delay        time.Duration
	Fault        string // truncated, cut, close-delimited, no-answer, hang, or ""
}

// Origin is the server behind the proxy in scenarios. Without an answer set it
// says 200 and which request it got.
type Origin struct {
	// Wait lets time pass: hostsim.Clock.Wait on the simulator.
	Wait func(r *http.Request, d time.Duration)

	mu       sync.Mutex
	answers  []Answer
	requests []string
}

// Set makes a the answer to its method and path from now on.
func (o *Origin) Set(a Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = slices.Insert(o.answers, 0, a)
}

// Count is the number of requests so far.
func (o *Origin) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests)
}

// Requests are the requests so far, "METHOD PATH?QUERY", in the order in which they came.
func (o *Origin) Requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests)
}

func (o *Origin) find(r *http.Request) Answer {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.requests = append(o.requests, r.Method+" "+r.URL.RequestURI())
	for _, a := range o.answers {
		if (a.Method == "*" || a.Method == r.Method) && (a.Path == "*" || a.Path == r.URL.Path) {
			return a
		}
	}
	return Answer{Status: 200, Body: fmt.Sprintf("%s %s", r.Method, r.URL.RequestURI())}
}

// hanging is how long an origin that hangs stays silent; the proxy gives up before.
const hanging = time.Hour

func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	a := o.find(r)
	if a.Delay > 0 {
		o.Wait(r, a.Delay)
	}
	for _, f := range a.Headers {
		w.Header().Add(f[0], f[1])
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "text/plain")
	}
	half := len(a.Body) / 2
	switch a.Fault {
	case "":
		w.WriteHeader(a.Status)
		io.WriteString(w, a.Body)
	case "truncated":
		hostsim.Truncated(a.Body, half).ServeHTTP(w, r)
	case "cut":
		hostsim.ResetAt(half, a.Body, true).ServeHTTP(w, r)
	case "close-delimited":
		hostsim.CloseDelimited(a.Body, -1).ServeHTTP(w, r)
	case "no-answer":
		hostsim.ResetBeforeHeaders().ServeHTTP(w, r)
	case "hang":
		o.Wait(r, hanging)
	}
}

// detail reads a line under "origin".
func (a *Answer) detail(word, rest string) (err error) {
	switch word {
	case "header":
		err = addField(&a.Headers, rest)
	case "size":
		var body []byte
		body, err = filler(rest)
		a.Body = string(body)
	case "delay":
		a.Delay, err = duration(rest)
	case "fault":
		switch rest {
		case "truncated", "cut", "close-delimited", "no-answer", "hang":
			a.Fault = rest
		default:
			err = fmt.Errorf("found fault %q, want truncated, cut, close-delimited, no-answer or hang", rest)
		}
	default:
		err = fmt.Errorf("found %q, want header, size, delay or fault", word)
	}
	return err
}
