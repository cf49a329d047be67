package hostsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// callCalls: calls to clusters.
var callCalls = []hostcall{
	{"proxy_http_call", "iiiiiiiiii", callHTTP},
}

// call is one proxy_http_call that has not been answered.
type call struct {
	root     *vmContext
	sim      *Sim    // whose clusters it is for
	stream   *Stream // in whose callback it was made; nil for the root's own
	token    uint32
	cluster  string
	exchange *exchange // nil where nothing answers
	timeout  *timer
	answer   callResponse
	sentAt   time.Duration // since the clock's start
}

// callResponse is what the module reads in proxy_on_http_call_response.
type callResponse struct {
	headers  Headers
	body     []byte
	trailers *Headers
}

// sizes are what the callback is told of an answer, 0 of none.
func (r *callResponse) sizes() (headers, body, trailers int) {
	if r == nil {
		return 0, 0, 0
	}
	if r.trailers != nil {
		trailers = len(*r.trailers)
	}
	return len(r.headers), len(r.body), trailers
}

func callHTTP(a *callArgs) status {
	name, headers, body, trailers, timeout := a.str(0), a.pairs(2), a.bytes(4), a.pairs(6), int32(a.num(8))
	if a.bad || !a.vm.putUint32(a.ptr(9), 0) {
		return statusInvalidMemory
	}
	if timeout < 0 {
		return statusBadArgument
	}
	token, s := a.ctx.startCall(name, headers, body, trailers, time.Duration(timeout)*time.Millisecond)
	if s != statusOK {
		return s
	}
	return a.giveUint32(token, 9)
}

// startCall does what Envoy's Context::httpCall does: the call belongs to the
// root context, and what is wrong at once is said at once.
func (c *vmContext) startCall(name string, headers Headers, body []byte, trailers Headers, timeout time.Duration) (uint32, status) {
	root, s, lane := c.rootContext(), c.sim(), c.worker()
	for i := range headers {
		headers[i][0] = mapRequestHeaders.field(headers[i][0])
	}
	cluster := s.clusters[name]
	if cluster == nil || !headers.Has(":method") || !headers.Has(":path") || !headers.Has(":authority") {
		return 0, statusBadArgument
	}
	if cluster.state == ClusterNoHosts || cluster.state == ClusterFull {
		return 0, statusInternalFailure
	}
	h := s.callHeaders(headers, len(body), timeout)
	root.vm.lastCall += callIncrement
	k := &call{root: root, sim: s, stream: c.stream, token: root.vm.lastCall, cluster: name, sentAt: s.clock.Since()}
	root.calls[k.token] = k
	if cluster.state == ClusterRefusing {
		s.clock.post(lane, func() { k.onReset(resetRefused) })
		return k.token, statusOK
	}
	end := len(body) == 0 && len(trailers) == 0
	k.exchange = startExchange(s.clock, lane, fmt.Sprintf("call %d to %s %s", k.token, name, headers.Get(":path")), cluster, h, end, k)
	if !end {
		k.exchange.send(body, true)
	}
	if timeout > 0 {
		k.timeout = s.clock.after(timeout, k.onTimeout)
	}
	return k.token, statusOK
}

// callHeaders are the module's headers as the cluster sees them.
func (s *Sim) callHeaders(headers Headers, bodySize int, timeout time.Duration) Headers {
	var h Headers
	for _, f := range headers {
		h.Add(f[0], f[1])
	}
	if bodySize > 0 {
		h.Set("content-length", strconv.Itoa(bodySize))
	}
	h.Set("x-envoy-internal", "true")
	if timeout > 0 {
		h.Set("x-envoy-expected-rq-timeout-ms", strconv.FormatInt(timeout.Milliseconds(), 10))
	}
	return h
}

func (k *call) onHeaders(h Headers, end bool) {
	h.Set("x-envoy-upstream-service-time", strconv.FormatInt((k.sim.clock.Since()-k.sentAt).Milliseconds(), 10))
	k.answer.headers = h
	if end {
		k.finish()
	}
}

func (k *call) onData(b []byte, end bool) {
	if k.answer.body = append(k.answer.body, b...); len(k.answer.body) > maxAnswer {
		k.cut()
		return
	}
	if end {
		k.finish()
	}
}

func (k *call) onTrailers(h Headers) {
	k.answer.trailers = &h
	k.finish()
}

// onReset: before headers Envoy's router answers 503 in the cluster's place; in
// the body the call fails without any headers.
func (k *call) onReset(cause string) {
	if k.answer.headers == nil {
		k.fail(503, resetBody(cause))
		return
	}
	k.cut()
}

// onTimeout: as onReset, since the router can't answer in the place of what has begun to answer (AsyncStreamImpl::sendLocalReply).
func (k *call) onTimeout() {
	if k.answer.headers == nil {
		k.fail(504, timeoutBody)
		return
	}
	k.cut()
}

// cut ends the call in its body.
func (k *call) cut() {
	k.root.statusCode, k.root.statusText = brokenConnection, "reset"
	k.callBack(nil)
}

func (k *call) onPanic(value any) { k.sim.failPanic(nil, k.cluster, value) }

// full: a call's answer is held whole, up to maxAnswer.
func (k *call) full() bool { return false }

// fail answers in the cluster's place.
func (k *call) fail(status int, body string) {
	k.answer = callResponse{body: []byte(body), headers: Headers{
		{":status", strconv.Itoa(status)}, {"content-length", strconv.Itoa(len(body))}, {"content-type", "text/plain"},
	}}
	k.finish()
}

// callIncrement is from one call's token to the next one's: a VM numbers its calls, whichever root context makes them, and
// the token's low bits tell it from those of gRPC calls (include/proxy-wasm/wasm.h).
const callIncrement = 4

// maxAnswer is the longest body of an answer, bytes (http.async_response_buffer_limit); a call with a longer one is cut.
const maxAnswer = 32 << 20

// brokenConnection is the status of a call that was cut in its body (WasmResult of proxy-wasm-cpp-host).
const brokenConnection = 11

func (k *call) finish() { k.callBack(&k.answer) }

// callBack hands the module an answer, or none where the call was cut. It is
// readable through the root context during the callback, whatever the effective context is.
func (k *call) callBack(answer *callResponse) {
	c := k.root
	if c.calls[k.token] != k {
		return
	}
	k.cancel()
	if c.vm.failed {
		return
	}
	c.response, c.vm.answering = answer, k.stream
	headers, body, trailers := answer.sizes()
	c.vm.deferred = append(c.vm.deferred, func() { c.response, c.vm.answering = nil, nil })
	c.vm.callback(c, "proxy_on_http_call_response", nil, uint64(c.id), uint64(k.token),
		uint64(headers), uint64(body), uint64(trailers))
	c.response, c.vm.answering, c.statusText = nil, nil, ""
}

// cancel forgets the call without an answer.
func (k *call) cancel() {
	delete(k.root.calls, k.token)
	k.sim.clock.stop(k.timeout)
	if k.exchange != nil {
		k.exchange.close()
	}
}

// resetBody is the body of the router's answer to a reset.
func resetBody(cause string) string {
	return "upstream connect error or disconnect/reset before headers. reset reason: " + strings.ReplaceAll(cause, "_", " ")
}
