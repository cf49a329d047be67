package hostsim

import "strings"

// streamCalls: continue, close, local reply.
var streamCalls = []hostcall{
	{"proxy_continue_stream", "i", callContinueStream},
	{"proxy_close_stream", "i", callCloseStream},
	{"proxy_send_local_response", "iiiiiiii", callSendLocalResponse},
}

// Stream types of the ABI.
const (
	streamRequest uint32 = iota
	streamResponse
	streamDownstream
	streamUpstream
)

// callContinueStream defers the resume to the end of the running callback; the
// request's maps are gone at once, for either direction (Context::continueStream).
func callContinueStream(a *callArgs) status {
	c, kind := a.ctx, a.num(0)
	switch kind {
	case streamRequest, streamResponse:
		if st := c.stream; st != nil {
			st.checkResume(kind)
			a.vm.deferred = append(a.vm.deferred, func() { st.resume(kind) })
		}
	case streamDownstream:
		return statusOK
	case streamUpstream:
		return statusUnimplemented
	default:
		return statusBadArgument
	}
	c.requestHeaders, c.requestBody, c.requestTrailers = nil, nil, nil
	return statusOK
}

func callCloseStream(a *callArgs) status {
	kind := a.num(0)
	if kind > streamUpstream {
		return statusBadArgument
	}
	if st := a.ctx.stream; st != nil && kind <= streamResponse {
		if st.finished {
			st.sim.fail(ClosedAtEnd, st, nil, "Envoy would end it again and again, until it dies")
			return statusOK
		}
		if !st.detailed {
			st.explain("wasm_close_stream")
		}
		a.vm.deferred = append(a.vm.deferred, func() { st.reset(st.details) })
	}
	return statusOK
}

func callSendLocalResponse(a *callArgs) status {
	r := localReply{status: int(a.num(0)), details: strings.ReplaceAll(a.str(1), " ", "_"), module: true}
	r.body, r.headers = a.bytes(3), a.pairs(5)
	grpc := int32(a.num(7))
	if a.bad {
		return statusInvalidMemory
	}
	if grpc >= 0 && grpc <= 16 {
		r.grpcStatus = &grpc
	}
	if st := a.ctx.stream; st != nil {
		st.checkReply()
		a.vm.deferred = append(a.vm.deferred, func() { st.localReply(r) })
	}
	a.vm.stopIteration = true
	return statusOK
}
