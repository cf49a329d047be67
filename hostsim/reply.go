package hostsim

import "strconv"

// localReply is an answer that Envoy gives by itself, for the module or for the router.
type localReply struct {
	status     int
	headers    Headers
	body       []byte
	details    string
	grpcStatus *int32
	module     bool // it is the module's
}

// checkReply notes a reply to a stream that has been answered.
func (st *Stream) checkReply() {
	switch {
	case st.finished:
		st.sim.fail(SecondReply, st, nil, "the stream has ended; in its own proxy_on_log Envoy would end it again and again, until it dies")
	case st.answered || st.prepared != nil || st.asked.reply:
		st.sim.fail(SecondReply, st, nil, "it has been answered locally")
	case st.headersSent:
		st.sim.fail(SecondReply, st, nil, "response headers have reached the client; Envoy resets the stream")
	}
	st.asked.reply = true
}

// localReply answers the stream (FilterManager::sendLocalReply): before there
// is a response, through the response side of the filter chain, so that the
// module sees it; while the module holds a response, directly; after headers
// were sent, only a reset is left. The module may so replace the router's own answer, too.
func (st *Stream) localReply(r localReply) {
	st.asked.reply = false
	switch {
	case st.finished || st.prepared != nil || !st.failedOnce && (st.answered || st.replied && !r.module):
	case st.headersSent:
		st.explain(r.details)
		st.reset(r.details)
	case st.response.headersSeen:
		st.replied, st.answered = true, r.module
		st.directReply(r)
	case st.decoding > 0:
		st.prepared = &r
		st.request.aborted = true
	default:
		st.replied, st.answered = true, r.module
		st.replyThroughFilter(r)
	}
}

// afterDecode sends a reply that was prepared inside a request callback.
func (st *Stream) afterDecode() {
	if st.prepared == nil || st.decoding > 0 || st.finished {
		return
	}
	r := *st.prepared
	st.prepared, st.replied, st.answered = nil, true, r.module
	st.replyThroughFilter(r)
}

// replyHeaders are the reply's fields before the filter sees them.
func (st *Stream) replyHeaders(r localReply) Headers {
	h := Headers{{":status", strconv.Itoa(r.status)}}
	for _, f := range r.headers {
		h.Add(f[0], f[1])
	}
	if st.isGRPC() {
		return grpcReply(h, r, st.isHead())
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

// headersAlone reports whether the reply has no body on its way.
func (st *Stream) headersAlone(r localReply) bool {
	return len(r.body) == 0 || st.isHead() || st.isGRPC()
}

func (st *Stream) replyThroughFilter(r localReply) {
	st.request.aborted = true
	st.router.close()
	st.explain(r.details)
	h := st.replyHeaders(r)
	end := st.headersAlone(r)
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
	end := st.headersAlone(r)
	out := clientSide{st}
	out.passHeaders(&st.direct, end)
	if !end {
		out.passData(r.body, true)
	}
}

func (st *Stream) isHead() bool { return st.req.Method == "HEAD" }
