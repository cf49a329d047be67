package hostsim

import (
	"cmp"
	"fmt"
	"strings"
)

// Stream is one HTTP request and its response at one worker.
type Stream struct {
	ID      uint64
	sim     *Sim
	worker  *worker
	version int // of the plugin's configuration that took it
	req     *Request
	ctx     *vmContext // nil where the module doesn't see the stream
	started int64      // ns since the clock's start
	path    string     // after the connection manager's normalisation

	upload            flow  // of the request
	received          int64 // bytes of the request's body so far
	request, response chain
	router            router
	client            Response

	stalled     bool   // the client doesn't read
	unread      []byte // meanwhile
	unreadEnd   bool   // and the end
	headersSent bool   // response headers reached the client
	finished    bool
	decoding    int         // request callbacks of the module that are running
	prepared    *localReply // to be sent when decoding is over
	encoding    bool        // a response callback of the module is running
	direct      Headers     // headers of a reply that bypassed the filter
	replied     bool        // locally, by the router or the module
	answered    bool        // by the module
	asked       asked
	failedOnce  bool // the failure policy's 503 was sent: callbacks are skipped
	details     string
	detailed    bool // details are set, be it to ""

	filterState map[string][]byte // proxy_set_property, by path
	envoyState  map[string][]byte // set_envoy_filter_state, by name
	trace       ring
	hostCalls   int
	reported    bool // as never resumed
}

// asked is what the module has asked for in the callback that is running and
// what happens only when that returns.
type asked struct{ reply, request, response bool }

// Trace is the stream's call trace: callbacks as "==> name(args)" and
// "<== name = result", host calls between them.
func (st *Stream) Trace() []string { return st.trace.lines() }

// Request is what the client sent.
func (st *Stream) Request() *Request { return st.req }

// HostCalls is how many host calls the module has made for the stream.
func (st *Stream) HostCalls() int { return st.hostCalls }

// FilterState is what the module left for others in Envoy's filter state:
// "wasm.NAME" for what it set as its property, else what
// set_envoy_filter_state named.
func (st *Stream) FilterState(name string) ([]byte, bool) {
	own, isOwn := strings.CutPrefix(name, "wasm.")
	if isOwn {
		v, ok := st.filterState[own]
		return v, ok
	}
	v, ok := st.envoyState[name]
	return v, ok
}

// Done reports whether the stream has ended, completely or by a reset.
func (st *Stream) Done() bool { return st.finished }

// paused reports whether the module holds a direction of the stream.
func (st *Stream) paused() bool {
	return !st.finished && (st.request.paused() || st.response.paused())
}

// Response is what the client has got so far; nil before the headers.
func (st *Stream) Response() *Response {
	if !st.headersSent && !st.finished {
		return nil
	}
	r := st.client
	r.Details = st.details
	return &r
}

func (st *Stream) post(f func()) {
	st.sim.clock.post(st, func() {
		if !st.finished {
			f()
		}
	})
}

// checkResume notes a resume that Envoy would not survive or would do nothing with.
func (st *Stream) checkResume(kind uint32) {
	c, name, before := &st.request, "request", &st.asked.request
	if kind == streamResponse {
		c, name, before = &st.response, "response", &st.asked.response
	}
	if c.paused() && !c.aborted && st.prepared == nil && !st.asked.reply && !*before {
		*before = true
		return
	}
	st.sim.fail(ResumeWithoutPause, st, nil, "the %s was resumed, but %s", name, st.whyNotPaused(c))
}

func (st *Stream) whyNotPaused(c *chain) string {
	switch {
	case st.replied || st.prepared != nil || st.asked.reply:
		return "the stream has been answered locally"
	case st.asked.request || st.asked.response:
		return "it has been resumed in the same callback"
	case st.finished || c.aborted:
		return "the stream has ended"
	case !c.headersSeen:
		return "its headers have not arrived (Envoy segfaults on this for a response)"
	}
	return "it isn't paused: the callback must have returned a pause before (it takes effect when the callback returns)"
}

func (st *Stream) resume(kind uint32) {
	c := &st.request
	if kind == streamResponse {
		c = &st.response
		st.asked.response = false
	} else {
		st.asked.request = false
	}
	switch {
	case c.aborted || st.finished:
		return
	case c.paused():
		c.proceed()
	case c.headersSeen && !c.headersContinued && kind == streamRequest:
		// Inside the callback that is going to continue: what goes on now goes
		// on again then.
		c.next.passHeaders(&c.headers, c.end)
	}
	st.afterDecode()
}

// reset ends the stream before its end; the client sees it as cut off, or as
// 502 when it has seen nothing (ActiveStreamDecoderFilter::resetStream).
func (st *Stream) reset(details string) {
	if st.finished {
		return
	}
	if st.details == "" || st.details == "via_upstream" {
		st.explain(details)
	}
	st.finish(false)
}

// explain sets the response code details.
func (st *Stream) explain(details string) { st.details, st.detailed = details, true }

// finish ends the stream: the router stops, the module hears of log, done and delete.
func (st *Stream) finish(complete bool) {
	if st.finished {
		return
	}
	st.finished = true
	st.client.Complete = complete
	st.request.aborted, st.response.aborted = true, true
	st.router.close()
	st.endContext()
	delete(st.sim.streams, st)
}

// endContext runs proxy_on_log, proxy_on_done and proxy_on_delete, in Envoy's order.
func (st *Stream) endContext() {
	c := st.ctx
	if c == nil {
		return
	}
	v, id := c.vm, uint64(c.id)
	c.logging = true
	v.callback(c, "proxy_on_log", nil, id)
	c.logging = false
	v.callback(c, "proxy_on_done", nil, id)
	v.callback(c, "proxy_on_delete", nil, id)
	delete(v.contexts, c.id)
}

// sentHeaders are the response headers as the access log sees them, or nil.
func (st *Stream) sentHeaders() *Headers {
	switch {
	case st.direct != nil:
		return &st.direct
	case st.response.headersSeen:
		return &st.response.headers
	}
	return nil
}

func (st *Stream) String() string {
	return fmt.Sprintf("stream %d: %s %s", st.ID, cmp.Or(st.req.Method, "GET"), st.req.Path)
}
