package hostsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// router is Envoy's router filter for one stream: it finds the cluster, sends
// the request there and brings the response back.
type router struct {
	st       *Stream
	exchange *exchange
	cluster  string
	attempts uint32
	sentAt   time.Time // when the request was complete
	length   int       // of the request's body as its headers say, -1 when they don't
	sent     int
	headers  Headers // as sent upstream, with the body kept for another attempt
	body     []byte
	ended    bool // the request is complete
	retry    *timer
	timeout  *timer
	closed   bool

	upstreamStarted bool // response headers came
}

// ClusterState is how a cluster answers.
type ClusterState int

const (
	// ClusterUp: the handler answers.
	ClusterUp ClusterState = iota
	// ClusterRefusing: connections are refused; calls get 503 in their callback.
	ClusterRefusing
	// ClusterNoHosts: no healthy host (or a full circuit breaker); calls fail at once with InternalFailure.
	ClusterNoHosts
)

func (r *router) passHeaders(h *Headers, end bool) {
	st := r.st
	if r.closed {
		return
	}
	r.length = -1
	if n, err := strconv.Atoi(h.Get("content-length")); err == nil {
		r.length = n
	}
	if st.sim.opts.Direct != nil {
		if status, body := st.sim.opts.Direct(h.Clone()); status != 0 {
			r.reply(status, body, "direct_response")
			return
		}
	}
	r.cluster = st.sim.opts.Route(h.Clone())
	switch cluster := st.sim.clusters[r.cluster]; {
	case r.cluster == "":
		r.reply(404, "", "route_not_found")
	case cluster == nil:
		r.reply(503, "", "cluster_not_found")
	case cluster.state == ClusterNoHosts:
		r.reply(503, "no healthy upstream", "no_healthy_upstream")
	default:
		r.headers = r.upstreamHeaders(*h)
		r.attempt(end)
	}
	if end {
		r.requestComplete()
	}
}

// attempt sends the request's headers to the cluster, with an end if there is no body.
func (r *router) attempt(end bool) {
	st := r.st
	r.attempts++
	cluster := st.sim.clusters[r.cluster]
	if cluster.state == ClusterRefusing {
		st.post(func() { r.onReset(resetRefused) })
		return
	}
	r.exchange = startExchange(st.sim.clock, st, st.String(), cluster, r.headers, end, r)
}

// retryBackoff is Envoy's base interval between attempts.
const retryBackoff = 25 * time.Millisecond

// again begins another attempt where the route allows one.
func (r *router) again() bool {
	if int(r.attempts) > r.st.sim.opts.Retries || !r.ended || r.closed {
		return false
	}
	if r.exchange != nil {
		r.exchange.close()
	}
	r.retry = r.st.sim.clock.after(retryBackoff, func() {
		r.attempt(len(r.body) == 0)
		if len(r.body) > 0 && r.exchange != nil {
			r.exchange.send(r.body, true)
		}
	})
	return true
}

// upstreamHeaders are the request's fields as the cluster sees them.
func (r *router) upstreamHeaders(h Headers) Headers {
	up := h.Clone()
	if t := r.st.sim.opts.RouteTimeout; t > 0 {
		up.Set("x-envoy-expected-rq-timeout-ms", strconv.FormatInt(t.Milliseconds(), 10))
	}
	return up
}

// reply answers in the cluster's place; decoding is over by then.
func (r *router) reply(status int, body, details string) {
	st := r.st
	st.post(func() { st.localReply(localReply{status: status, body: []byte(body), details: details}) })
}

// answer is a reply after the cluster was tried.
func (r *router) answer(reply localReply) {
	if r.st.sim.opts.AttemptCountInResponse {
		reply.headers.Add("x-envoy-attempt-count", strconv.Itoa(int(r.attempts)))
	}
	r.st.localReply(reply)
}

func (r *router) passData(b []byte, end bool) {
	r.sent += len(b)
	if end {
		b = r.checkLength(b)
	}
	if r.st.sim.opts.Retries > 0 {
		r.body = append(r.body, b...)
	}
	if r.exchange != nil && !r.closed {
		r.exchange.send(b, end)
	}
	if end {
		r.requestComplete()
	}
}

// checkLength notes a request whose body hasn't the length that its headers
// say, which an HTTP/1 upstream takes for another request or waits for.
func (r *router) checkLength(b []byte) []byte {
	if r.length < 0 || r.sent == r.length {
		return b
	}
	r.st.sim.fail(BodyLength, r.st, nil, "the request says content-length: %d, its body has %d bytes", r.length, r.sent)
	return b[:max(0, len(b)-max(0, r.sent-r.length))]
}

func (r *router) passTrailers(*Headers) {
	if r.exchange != nil && !r.closed {
		r.exchange.send(nil, true)
	}
	r.requestComplete()
}

// requestComplete starts the route's timeout.
func (r *router) requestComplete() {
	clock := r.st.sim.clock
	r.sentAt, r.ended = clock.Now(), true
	if t := r.st.sim.opts.RouteTimeout; t > 0 && !r.closed {
		r.timeout = clock.after(t, r.onTimeout)
	}
}

func (r *router) onTimeout() {
	st := r.st
	switch {
	case r.closed || st.finished:
	case r.upstreamStarted:
		r.cut("response_timeout", resetTermination)
	default:
		r.answer(localReply{status: 504, body: []byte("upstream request timeout"), details: "response_timeout"})
	}
}

func (r *router) onHeaders(h Headers, end bool) {
	st := r.st
	if h.Get(":status") >= "500" && r.again() {
		return
	}
	r.upstreamStarted = true
	st.explain("via_upstream")
	spent := time.Duration(0)
	if !r.sentAt.IsZero() {
		spent = st.sim.clock.Now().Sub(r.sentAt)
	}
	h.Set("x-envoy-upstream-service-time", strconv.FormatInt(spent.Milliseconds(), 10))
	if st.sim.opts.AttemptCountInResponse {
		h.Set("x-envoy-attempt-count", strconv.Itoa(int(r.attempts)))
	}
	r.upstreamEnded(end)
	st.response.recvHeaders(h, end)
}

func (r *router) onData(b []byte, end bool) {
	r.upstreamEnded(end)
	r.st.response.recvData(b, end)
}

func (r *router) onTrailers(h Headers) {
	r.upstreamEnded(true)
	r.st.response.recvTrailers(h)
}

// upstreamEnded stops the timeout when the upstream has answered completely.
func (r *router) upstreamEnded(end bool) {
	if end {
		r.st.sim.clock.stop(r.timeout)
	}
}

func (r *router) onReset(cause string) {
	if r.upstreamStarted {
		if cause == resetTermination { // in an HTTP/1 message the end comes too early
			cause = resetProtocol
		}
		r.cut(fmt.Sprintf("upstream_reset_after_response_started{%s}", cause), cause)
		return
	}
	if r.again() {
		return
	}
	details := fmt.Sprintf("upstream_reset_before_response_started{%s}", cause)
	if cause == resetRefused {
		details = "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}"
	}
	body := resetBody(cause)
	if r.attempts > 1 {
		body = strings.Replace(body, "reset reason", "retried and the latest reset reason", 1)
	}
	r.answer(localReply{status: 503, body: []byte(body), details: details})
}

// cut ends a response that had started: the client is cut off, or gets 502
// where the module still holds the headers.
func (r *router) cut(details, cause string) {
	st := r.st
	if !st.headersSent {
		st.localReply(localReply{status: 502, body: []byte(resetBody(cause)), details: details})
		return
	}
	st.reset(details)
}

func (r *router) onPanic(value any) { r.st.sim.failPanic(r.st, r.cluster, value) }

func (r *router) close() {
	r.closed = true
	r.st.sim.clock.stop(r.timeout)
	r.st.sim.clock.stop(r.retry)
	if r.exchange != nil {
		r.exchange.close()
	}
}
