package hostsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// retryBackoff is Envoy's base interval between attempts.
const retryBackoff = 25 * time.Millisecond

// timeoutBody is the body of the answer to a request that took too long.
const timeoutBody = "upstream request timeout"

// again begins another attempt where the route allows one.
func (r *router) again() bool {
	if retries := r.st.sim.opts.Retries; int(r.attempts) > retries || !r.ended || r.closed {
		r.exhausted = r.exhausted || retries > 0
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

// answer is a reply after the cluster was tried.
func (r *router) answer(reply localReply) {
	if r.st.sim.opts.AttemptCountInResponse {
		reply.headers.Add("x-envoy-attempt-count", strconv.Itoa(int(r.attempts)))
	}
	r.st.localReply(reply)
}

func (r *router) onTimeout() {
	st := r.st
	switch {
	case r.closed || st.finished:
	case r.upstreamStarted:
		r.cut(localReply{status: 504, body: []byte(timeoutBody), details: "response_timeout"})
	default:
		r.answer(localReply{status: 504, body: []byte(timeoutBody), details: "response_timeout"})
	}
}

func (r *router) onReset(cause string) {
	if r.upstreamStarted {
		if cause == resetTermination { // in an HTTP/1 message the end comes too early
			cause = resetProtocol
		}
		reply := localReply{status: 503, body: []byte(resetBody(cause)), details: fmt.Sprintf("upstream_reset_after_response_started{%s}", cause)}
		if cause == resetProtocol {
			reply.status = 502
		}
		r.cut(reply)
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
	reply := localReply{status: 503, body: []byte(body), details: details}
	if cause == resetOverflow {
		reply.headers.Add("x-envoy-overloaded", "true")
	}
	r.answer(reply)
}

// cut ends a response that had started: the client is cut off, or gets the
// reply where the module still holds the headers.
func (r *router) cut(reply localReply) {
	if !r.st.headersSent {
		r.st.localReply(reply)
		return
	}
	r.st.reset(reply.details)
}
