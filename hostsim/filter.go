package hostsim

// requestSide and responseSide show a stream's two directions to the module
// (Envoy's Context::decode… and encode…).
type (
	requestSide  struct{ st *Stream }
	responseSide struct{ st *Stream }
)

// invoke calls the module for the stream and applies the failure policy when
// the VM is or becomes dead. stopped is what the callback then results in.
func (st *Stream) invoke(name string, stopped action, convert func(uint32) action, args ...uint64) action {
	if st.ctx == nil || st.failedOnce {
		return actContinue
	}
	result := actContinue
	if !st.ctx.vm.failed {
		args = append([]uint64{uint64(st.ctx.id)}, args...)
		st.ctx.vm.callback(st.ctx, name, func(r uint32) { result = convert(r) }, args...)
	}
	if st.ctx.vm.failed {
		return st.vmFailed(stopped)
	}
	return result
}

// vmFailed answers 503 in the place of a VM that died under the stream,
// whatever the policy is: it decides on new streams (CHECK_FAIL of
// proxy-wasm-cpp-host's context.cc, measured with FAIL_OPEN).
func (st *Stream) vmFailed(stopped action) action {
	if !st.finished {
		st.failedOnce = true
		status := int32(14)
		st.localReply(localReply{status: 503, details: "wasm_fail_stream", grpcStatus: &status})
	}
	return stopped
}

func (st *Stream) headersAction(r uint32) action {
	switch {
	case st.ctx.vm.stopIteration || r > uint32(headersStopAllWatermark):
		return headersStopAllWatermark
	case action(r) == headersStop && !st.sim.opts.AllowOnHeadersStopIteration:
		return headersStopAllWatermark
	case r == 2: // not a value of this ABI; Envoy continues
		return actContinue
	}
	return action(r)
}

func (st *Stream) dataAction(r uint32) action {
	if st.ctx.vm.stopIteration || r > uint32(dataStopNoBuffer) {
		return dataStopNoBuffer
	}
	return action(r)
}

func (st *Stream) trailersAction(r uint32) action {
	if st.ctx.vm.stopIteration || r != 0 {
		return headersStop
	}
	return actContinue
}

func (s requestSide) filterHeaders(h *Headers, end bool) action {
	st := s.st
	st.decoding++
	defer func() { st.decoding-- }()
	if c := st.ctx; c != nil {
		c.requestHeaders, c.end = h, end
	}
	act := st.invoke("proxy_on_request_headers", headersStopAllWatermark, st.headersAction, uint64(len(*h)), boolArg(end))
	if act == actContinue && st.ctx != nil {
		st.ctx.requestHeaders = nil
	}
	return act
}

func (s requestSide) filterData(b *[]byte, end bool) action {
	st := s.st
	st.decoding++
	defer func() { st.decoding-- }()
	if st.ctx != nil {
		st.ctx.requestBody, st.ctx.end = b, end
	}
	act := st.invoke("proxy_on_request_body", dataStopNoBuffer, st.dataAction, uint64(len(*b)), boolArg(end))
	if st.ctx != nil {
		st.ctx.requestBody = st.request.shownNow(act, b)
	}
	return act
}

func (s requestSide) filterTrailers(h *Headers) action {
	st := s.st
	st.decoding++
	defer func() { st.decoding-- }()
	if st.ctx != nil {
		st.ctx.requestTrailers = h
	}
	act := st.invoke("proxy_on_request_trailers", headersStop, st.trailersAction, uint64(len(*h)))
	if act == actContinue && st.ctx != nil {
		st.ctx.requestTrailers = nil
	}
	return act
}

func (s responseSide) filterHeaders(h *Headers, end bool) action {
	st := s.st
	st.encoding = true
	defer func() { st.encoding = false }()
	if st.ctx != nil {
		st.ctx.responseHeaders, st.ctx.end = h, end
	}
	act := st.invoke("proxy_on_response_headers", headersStopAllWatermark, st.headersAction, uint64(len(*h)), boolArg(end))
	if act == actContinue && st.ctx != nil {
		st.ctx.responseHeaders = nil
	}
	return act
}

func (s responseSide) filterData(b *[]byte, end bool) action {
	st := s.st
	st.encoding = true
	defer func() { st.encoding = false }()
	if st.ctx != nil {
		st.ctx.responseBody, st.ctx.end = b, end
	}
	act := st.invoke("proxy_on_response_body", dataStopNoBuffer, st.dataAction, uint64(len(*b)), boolArg(end))
	if st.ctx != nil {
		st.ctx.responseBody = st.response.shownNow(act, b)
	}
	return act
}

func (s responseSide) filterTrailers(h *Headers) action {
	st := s.st
	st.encoding = true
	defer func() { st.encoding = false }()
	if st.ctx != nil {
		st.ctx.responseTrailers = h
	}
	act := st.invoke("proxy_on_response_trailers", headersStop, st.trailersAction, uint64(len(*h)))
	if act == actContinue && st.ctx != nil {
		st.ctx.responseTrailers = nil
	}
	return act
}
