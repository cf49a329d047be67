package hostsim

import (
	"strconv"
	"strings"
)

// clientSide is where a response goes after the filter: the connection manager
// and the codec.
type clientSide struct{ st *Stream }

// missingStatus is what the filter manager says of a response from which the module took its status.
const missingStatus = "missing required header: :status"

func (s clientSide) passHeaders(h *Headers, end bool) {
	st := s.st
	if !h.Has(":status") {
		st.directReply(localReply{status: 502, body: []byte(missingStatus), details: "filter_removed_required_response_headers{" + strings.ReplaceAll(missingStatus, " ", "_") + "}"})
		return
	}
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
	if st.stalled {
		st.unread, st.unreadEnd = append(st.unread, b...), end
		return
	}
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
	if got > 0 && (st.client.Status == 204 || st.client.Status == 304) {
		st.sim.fail(BodyLength, st, nil, "a response with the status %d ends with its headers, this one has a body of %d bytes", st.client.Status, got)
		st.client.Body = nil // an HTTP/1 client takes it for the next response's beginning
		return true
	}
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
