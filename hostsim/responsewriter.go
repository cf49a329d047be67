package hostsim

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// sliceSize is how much of a body one data event carries at most; Envoy reads
// sockets in slices of 16 KiB.
const sliceSize = 16 << 10

// autoLength is the body size up to which net/http's server finds the
// Content-Length by itself, and how much it holds back otherwise.
func (w *responseWriter) autoLength() int {
	if w.x.http2 {
		return 4096
	}
	return 2048
}

// responseWriter turns what a handler writes into the events that Envoy would
// see from net/http's HTTP/1.1 server: automatic Content-Length for small
// bodies, else chunked; "Transfer-Encoding: identity" for a body that ends
// with the connection; fewer bytes than declared, or a panic with
// http.ErrAbortHandler, for a reset.
type responseWriter struct {
	x        *exchange
	head     bool
	header   http.Header
	status   int
	snapshot http.Header // as it was at WriteHeader
	buf      []byte
	declared int64 // Content-Length, -1 without
	written  int64

	committed      bool // headers were delivered
	closeDelimited bool
	trailers       []string // announced names
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	if w.status != 0 || (status >= 100 && status < 200) {
		return
	}
	w.status = status
	w.snapshot = w.header.Clone()
	w.header = w.header.Clone()
	if n, err := strconv.ParseInt(w.snapshot.Get("Content-Length"), 10, 64); err == nil {
		w.declared = n
	}
	for _, names := range w.snapshot.Values("Trailer") {
		for name := range strings.SplitSeq(names, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

func (w *responseWriter) bodyAllowed() bool { return w.status != 204 && w.status != 304 }

func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.bodyAllowed() {
		return 0, http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(len(p)) > w.declared {
		return 0, http.ErrContentLength
	}
	if err := w.x.ctx.Err(); err != nil { // the proxy has gone
		return 0, err
	}
	w.written += int64(len(p))
	w.buf = append(w.buf, p...)
	if len(w.buf) >= sliceSize || (w.committed && len(w.buf) > w.autoLength()) {
		w.Flush()
	}
	return len(p), nil
}

// Flush delivers headers and what was written so far.
func (w *responseWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	w.commit(false)
	w.flushBody()
}

func (w *responseWriter) flushBody() {
	if w.head {
		w.buf = nil
	}
	for len(w.buf) > 0 {
		n := min(len(w.buf), sliceSize)
		part := w.buf[:n:n]
		w.buf = w.buf[n:]
		w.x.deliver(func() { w.x.to.onData(part, false) })
	}
	w.x.awaitRoom()
}

// flushLast delivers the rest with the end of the stream in it, as HTTP/2 does.
func (w *responseWriter) flushLast() {
	n := (max(len(w.buf), 1) - 1) / sliceSize * sliceSize
	last := w.buf[n:]
	w.buf = w.buf[:n:n]
	w.flushBody()
	w.x.deliver(func() { w.x.to.onData(last, true) })
}

// empty reports whether the response has no body by its nature.
func (w *responseWriter) empty() bool { return w.head || !w.bodyAllowed() || w.declared == 0 }

func (w *responseWriter) commit(last bool) {
	if w.committed {
		return
	}
	w.committed = true
	h := w.responseHeaders(last)
	end := w.empty()
	w.x.deliver(func() { w.x.to.onHeaders(h, end) })
}

// responseHeaders are the fields in net/http's order: the handler's sorted by
// name, then what the server adds.
func (w *responseWriter) responseHeaders(last bool) Headers {
	m := w.snapshot
	identity := m.Get("Transfer-Encoding") == "identity"
	m.Del("Transfer-Encoding")
	for name := range m {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			m.Del(name)
		}
	}
	h := Headers{{":status", strconv.Itoa(w.status)}}
	h = append(h, fromHTTP(m)...)
	var added Headers
	if _, set := m["Date"]; !set {
		added.Add("date", httpDate(w.x.clock.Now()))
	}
	if last && w.declared < 0 && w.bodyAllowed() && len(w.trailers) == 0 && !identity && (!w.head || len(w.buf) > 0) && len(w.buf) <= w.autoLength() {
		w.declared = int64(len(w.buf))
		added.Add("content-length", strconv.Itoa(len(w.buf)))
	}
	if _, set := m["Content-Type"]; !set && !identity && len(w.buf) > 0 && m.Get("Content-Encoding") == "" {
		added.Add("content-type", http.DetectContentType(w.buf))
	}
	if w.x.http2 {
		slices.Reverse(added)
	}
	h = append(h, added...)
	if w.declared < 0 && !w.empty() && !w.x.http2 {
		w.closeDelimited = identity
		if identity {
			h.Add("connection", "close")
		} else {
			h.Add("transfer-encoding", "chunked")
		}
	}
	return h
}

// finish ends the response after the handler has returned.
func (w *responseWriter) finish() {
	w.WriteHeader(http.StatusOK)
	w.commit(true)
	if t := w.trailerFields(); w.x.http2 && len(t) == 0 && !w.empty() && (w.declared < 0 || w.written == w.declared) {
		w.flushLast()
		return
	}
	short := w.declared >= 0 && w.written < w.declared
	if short && w.x.http2 && !w.empty() { // the last data say that they are the last, and are refused
		w.x.deliver(func() { w.x.to.onReset(resetProtocol) })
		return
	}
	w.flushBody()
	if w.empty() {
		return
	}
	if short {
		w.reset()
		return
	}
	// Envoy drops an HTTP/1 message's trailers unless enable_trailers is set.
	if t := w.trailerFields(); len(t) > 0 && w.x.http2 {
		w.x.deliver(func() { w.x.to.onTrailers(t) })
		return
	}
	// HTTP/1: the end is an event of its own, with no bytes.
	w.x.deliver(func() { w.x.to.onData(nil, true) })
}

func (w *responseWriter) trailerFields() Headers {
	found := http.Header{}
	for _, name := range w.trailers {
		if v := w.header[name]; len(v) > 0 {
			found[name] = v
		}
	}
	for name, v := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			found[http.CanonicalHeaderKey(rest)] = v
		}
	}
	return fromHTTP(found)
}

// abort cuts the connection: what was not flushed is lost. A response that
// ends with its connection then looks complete: nobody can tell it apart.
func (w *responseWriter) abort() {
	if w.committed && w.closeDelimited {
		w.x.deliver(func() { w.x.to.onData(nil, true) })
		return
	}
	w.reset()
}

func (w *responseWriter) reset() {
	cause := resetTermination
	if w.x.http2 {
		cause = resetRemote
	}
	w.x.deliver(func() { w.x.to.onReset(cause) })
}
