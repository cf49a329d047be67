package hostsim

import (
	"cmp"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// begin sends the request's headers and body into the filter chain.
func (st *Stream) begin() {
	req := st.req
	trailers := req.Trailers
	if !req.HTTP2 {
		trailers = nil // Envoy drops them in HTTP/1 unless enable_trailers is set
	}
	end := len(req.Body) == 0 && req.Trailers == nil && !req.Open
	st.ctx = st.worker.streamContext(st)
	if refusal := st.refusal(); refusal != nil {
		st.directReply(*refusal)
		return
	}
	st.request.recvHeaders(st.downstreamHeaders(end), end)
	st.afterDecode()
	if end {
		return
	}
	st.recvBody(req.Body, !req.Open && trailers == nil)
	if trailers != nil {
		st.send(func() { st.request.recvTrailers(trailers.Clone()); st.afterDecode() })
	}
}

// refusal is the connection manager's own answer to what it lets no filter see.
func (st *Stream) refusal() *localReply {
	if st.req.HTTP10 {
		return &localReply{status: 426, body: []byte("Upgrade Required"), details: "low_version"}
	}
	path, ok := st.sim.opts.normalizePath(st.req.Path)
	if st.path = path; !ok {
		return &localReply{status: 400}
	}
	if to, asks := st.req.upgrade(); asks && !strings.EqualFold(to, "h2c") { // no upgrade_configs; h2c is never one
		return &localReply{status: 403, details: "upgrade_failed"}
	}
	return nil
}

// downstreamHeaders are the request's fields as the first filter sees them.
func (st *Stream) downstreamHeaders(end bool) Headers {
	req := st.req
	h := Headers{
		{":authority", cmp.Or(req.Authority, "example.com")},
		{":path", st.path},
		{":method", cmp.Or(req.Method, "GET")},
		{":scheme", cmp.Or(req.Scheme, "http")},
	}
	_, upgrade := req.upgrade() // to h2c, which the codec takes out of the request
	for _, f := range req.Headers {
		if upgrade && strings.EqualFold(f[0], "http2-settings") {
			continue
		}
		switch {
		case isHopByHop(f[0]), isInternal(f[0]), strings.EqualFold(f[0], "expect"): // the connection manager answers 100 itself
		case !strings.EqualFold(f[0], "te"):
			h.Add(f[0], f[1])
		case httpguts.HeaderValuesContainsToken([]string{f[1]}, "trailers"):
			h.Set("te", "trailers")
		}
	}
	if !end && !h.Has("content-length") && !h.Has("transfer-encoding") && !req.HTTP2 {
		if req.Open || req.Trailers != nil {
			h.Add("transfer-encoding", "chunked")
		} else {
			h.Add("content-length", strconv.Itoa(len(req.Body)))
		}
	}
	switch forwarded := strings.ToLower(h.Get("x-forwarded-proto")); {
	case forwarded == "" || st.sim.opts.UseRemoteAddress:
		h.Set("x-forwarded-proto", h.Get(":scheme"))
	case !req.HTTP2 && (forwarded == "http" || forwarded == "https"): // an HTTP/1 request names no scheme itself
		h.Set(":scheme", forwarded)
	}
	if !h.Has("x-request-id") {
		h.Add("x-request-id", st.sim.uuid())
	}
	return h
}

// recvBody shapes a piece of body as the codec does: HTTP/1 tells the end by an
// empty event of its own, HTTP/2 with the last bytes.
func (st *Stream) recvBody(b []byte, last bool) {
	for len(b) > 0 {
		n := min(len(b), sliceSize)
		part := append([]byte(nil), b[:n]...)
		b = b[n:]
		end := last && len(b) == 0 && st.req.HTTP2
		st.send(func() {
			st.received += int64(len(part))
			st.request.recvData(part, end)
			st.afterDecode()
		})
		if end {
			return
		}
	}
	if last {
		st.send(func() { st.request.recvData(nil, true); st.afterDecode() })
	}
}

// send lets a piece of the request arrive when there is room for it.
func (st *Stream) send(piece func()) {
	st.upload.add(func() {
		if !st.finished {
			piece()
		}
	})
}

// uploadFull: the filter holds too much of the request, or the cluster reads too slowly.
func (st *Stream) uploadFull() bool { return st.request.full() || st.router.uploadFull() }

// SendBody sends more of an open request's body.
func (st *Stream) SendBody(b []byte) { st.recvBody(b, false) }

// EndBody ends an open request.
func (st *Stream) EndBody() { st.recvBody(nil, true) }

// StopReading lets the client take no more of its response until ReadOn; what
// comes meanwhile is held, and above the limit the upstream has to wait.
func (st *Stream) StopReading() { st.stalled = true }

// ReadOn undoes StopReading.
func (st *Stream) ReadOn() {
	st.post(func() {
		st.stalled = false
		st.client.Body = append(st.client.Body, st.unread...)
		st.unread = nil
		if st.unreadEnd {
			st.finish(st.lengthHolds())
			return
		}
		st.router.resume()
	})
}

// Disconnect lets the client leave: it closes its connection, or over HTTP/2 resets its stream.
func (st *Stream) Disconnect() {
	details := "downstream_remote_disconnect"
	if st.req.HTTP2 {
		details = "http2.remote_reset"
	}
	st.post(func() { st.reset(details) })
}
