package hostsim

import (
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
	latency         time.Duration
	exhausted       bool // the last attempt that the route allows failed, too
}

// ClusterState is how a cluster answers.
type ClusterState int

const (
	// ClusterUp: the handler answers.
	ClusterUp ClusterState = iota
	// ClusterRefusing: connections are refused; calls get 503 in their callback.
	ClusterRefusing
	// ClusterNoHosts: no healthy host; calls fail at once with InternalFailure.
	ClusterNoHosts
	// ClusterFull: its circuit breaker is open; calls fail at once with InternalFailure.
	ClusterFull
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
	if r.exchange != nil {
		// Resumed in the callback that then continued: Envoy sends it once more.
		startExchange(st.sim.clock, st, st.String(), st.sim.clusters[r.cluster], r.headers, end, discard{})
		return
	}
	if st.sim.opts.Direct != nil {
		if status, body := st.sim.opts.Direct(h.Clone()); status != 0 {
			r.reply(status, body, "direct_response")
			return
		}
	}
	r.cluster = st.route(h)
	switch cluster := st.sim.clusters[r.cluster]; {
	case r.cluster == "":
		r.reply(404, "", "route_not_found")
	case cluster == nil:
		r.reply(503, "", "cluster_not_found")
	case cluster.state == ClusterNoHosts:
		r.reply(503, "no healthy upstream", "no_healthy_upstream")
	case cluster.state == ClusterUp && !h.Has(":method"):
		r.attempts++
		r.reply(503, missingMethod, "filter_removed_required_request_headers{"+strings.ReplaceAll(missingMethod, " ", "_")+"}")
	default:
		r.expectTimeout(h)
		r.headers = h.Clone()
		r.attempt(end)
	}
	if end {
		r.requestComplete()
	}
}

// missingMethod is what the codec says to a request from which the module took its method.
const missingMethod = "missing required header: :method"

// attempt sends the request's headers to the cluster, with an end if there is no body.
func (r *router) attempt(end bool) {
	st := r.st
	r.attempts++
	cluster := st.sim.clusters[r.cluster]
	switch cluster.state {
	case ClusterRefusing:
		st.post(func() { r.onReset(resetRefused) })
		return
	case ClusterFull:
		st.post(func() { r.onReset(resetOverflow) })
		return
	}
	r.exchange = startExchange(st.sim.clock, st, st.String(), cluster, r.headers, end, r)
	r.exchange.body.drained = st.upload.resume
}

// route is the cluster of the request's route, "" where none matches: Envoy finds
// none for a request whose x-forwarded-proto or :path the module took away.
func (st *Stream) route(h *Headers) string {
	if !h.Has("x-forwarded-proto") || !h.Has(":path") {
		return ""
	}
	return st.sim.opts.Route(h.Clone())
}

// expectTimeout tells the cluster how long it has; the access log's request has it, too.
func (r *router) expectTimeout(h *Headers) {
	if t := r.st.sim.opts.RouteTimeout; t > 0 {
		h.Set("x-envoy-expected-rq-timeout-ms", strconv.FormatInt(t.Milliseconds(), 10))
	}
}

// reply answers in the cluster's place; decoding is over by then.
func (r *router) reply(status int, body, details string) {
	st := r.st
	st.post(func() { st.localReply(localReply{status: status, body: []byte(body), details: details}) })
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

func (r *router) passTrailers(h *Headers) {
	if r.exchange != nil && !r.closed {
		r.exchange.sendTrailers(*h)
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

func (r *router) onHeaders(h Headers, end bool) {
	st := r.st
	if h.Get(":status") >= "500" && r.again() {
		return
	}
	r.upstreamStarted = true
	st.explain("via_upstream")
	if !r.sentAt.IsZero() {
		r.latency = st.sim.clock.Now().Sub(r.sentAt)
	}
	h.Set("x-envoy-upstream-service-time", strconv.FormatInt(r.latency.Milliseconds(), 10))
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

// full reports that of the response more is held, by the filter or for the
// client, than the limit allows.
func (r *router) full() bool {
	st := r.st
	return st.response.full() || len(st.unread) > st.response.limit
}

func (r *router) onPanic(value any) { r.st.sim.failPanic(r.st, r.cluster, value) }

// uploadFull reports that the cluster reads more slowly than the request comes.
func (r *router) uploadFull() bool {
	return r.exchange != nil && r.exchange.body.size() > r.st.sim.opts.BufferLimit
}

// resume lets the upstream go on when there is room again.
func (r *router) resume() {
	if r.exchange != nil {
		r.exchange.flow.resume()
	}
}

func (r *router) close() {
	r.closed = true
	r.st.sim.clock.stop(r.timeout)
	r.st.sim.clock.stop(r.retry)
	if r.exchange != nil {
		r.exchange.close()
	}
}
