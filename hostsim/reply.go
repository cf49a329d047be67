package hostsim

import "strconv"

// localReply is an answer that Envoy gives by itself, for the module or for the router.
type localReply struct {
	status     int
	headers    Headers
	body       []byte
	details    string
	grpcStatus *int32
}

// checkReply notes a reply to a stream that has been answered.
func (st *Stream) checkReply() {
	switch {
	case st.finished:
		st.sim.fail(SecondReply, st, nil, "the stream has ended")
	case st.replied || st.prepared != nil || st.asked.reply:
		st.sim.fail(SecondReply, st, nil, "it has been answered locally")
	case st.headersSent:
		st.sim.fail(SecondReply, st, nil, "response headers have reached the client; Envoy resets the stream")
	}
	st.asked.reply = true
}

// localReply answers the stream (FilterManager::sendLocalReply): before there
// is a response, through the response side of the filter chain, so that the
// module sees it; while the module holds a response, directly; after headers
// were sent, only a reset is left.
func (st *Stream) localReply(r localReply) {
	st.asked.reply = false
	switch {
	case st.finished || st.prepared != nil || (st.replied && !st.failedOnce):
	case st.headersSent:
		st.explain(r.details)
		st.reset(r.details)
	case st.response.headersSeen:
		st.replied = true
		st.directReply(r)
	case st.decoding > 0:
		st.prepared = &r
		st.request.aborted = true
	default:
		st.replied = true
		st.replyThroughFilter(r)
	}
}

// afterDecode sends a reply that was prepared inside a request callback.
func (st *Stream) afterDecode() {
	if st.prepared == nil || st.decoding > 0 || st.finished {
		return
	}
	r := *st.prepared
	st.prepared, st.replied = nil, true
	st.replyThroughFilter(r)
}

// replyHeaders are the reply's fields before the filter sees them.
func (st *Stream) replyHeaders(r localReply) Headers {
	h := Headers{{":status", strconv.Itoa(r.status)}}
	for _, f := range r.headers {
		h.Add(f[0], f[1])
	}
	if len(r.body) == 0 {
		h.Del("content-length")
		h.Del("content-type")
		return h
	}
	h.Set("content-length", strconv.Itoa(len(r.body)))
	if !h.Has("content-type") {
		h.Add("content-type", "text/plain")
	}
	return h
}

func (st *Stream) replyThroughFilter(r localReply) {
	st.request.aborted = true
	st.router.close()
	st.explain(r.details)
	h := st.replyHeaders(r)
	end := len(r.body) == 0 || st.isHead()
	st.response.recvHeaders(h, end)
	if !end && !st.finished {
		st.response.recvData(append([]byte(nil), r.body...), true)
	}
}

func (st *Stream) directReply(r localReply) {
	st.request.aborted, st.response.aborted = true, true
	st.router.close()
	st.explain(r.details)
	st.direct = st.replyHeaders(r)
	end := len(r.body) == 0 || st.isHead()
	out := clientSide{st}
	out.passHeaders(&st.direct, end)
	if !end {
		out.passData(r.body, true)
	}
}

func (st *Stream) isHead() bool { return st.req.Method == "HEAD" }

// clientSide is where a response goes after the filter: the connection manager
// and the codec.
type clientSide struct{ st *Stream }

func (s clientSide) passHeaders(h *Headers, end bool) {
	st := s.st
	sent := st.shapeResponse(h, end)
	st.client.length = -1
	if n, err := strconv.Atoi(sent.Get("content-length")); err == nil && !st.isHead() {
		st.client.length = n
	}
	st.client.Status, _ = strconv.Atoi(sent.Get(":status"))
	st.client.Headers = sent.without(":status")
	st.headersSent = true
	if end {
		st.finish(true)
	}
}

func (s clientSide) passData(b []byte, end bool) {
	st := s.st
	if !st.isHead() {
		st.client.Body = append(st.client.Body, b...)
	}
	if end {
		st.finish(st.lengthHolds())
	}
}

// lengthHolds reports whether the body has the length that its headers said.
// Envoy doesn't look: an HTTP/1 client gets a broken message, or the next
// response's beginning as this one's end.
func (st *Stream) lengthHolds() bool {
	want, got := st.client.length, len(st.client.Body)
	if want < 0 || want == got {
		return true
	}
	st.sim.fail(BodyLength, st, nil, "the response says content-length: %d, its body has %d bytes", want, got)
	st.client.Body = st.client.Body[:min(want, got)]
	return got > want
}

func (s clientSide) passTrailers(h *Headers) {
	if s.st.req.HTTP2 {
		s.st.client.Trailers = h.Clone()
	}
	s.st.finish(true)
}

// shapeResponse is what the connection manager and codec do to response
// headers: server is overwritten, date is set where it lacks, connection
// fields go; a message without body gets its content-length.
func (st *Stream) shapeResponse(h *Headers, end bool) Headers {
	h.Set("server", "envoy")
	if !h.Has("date") {
		h.Add("date", httpDate(st.sim.clock.Now()))
	}
	for _, name := range []string{"connection", "transfer-encoding", "keep-alive", "proxy-connection"} {
		h.Del(name)
	}
	sent := h.Clone()
	code := sent.Get(":status")
	switch {
	case code == "204" || code == "304":
		if code == "204" {
			sent.Del("content-length")
		}
	case end && !st.isHead() && !sent.Has("content-length") && !st.req.HTTP2:
		sent.Add("content-length", "0")
	}
	return sent
}
