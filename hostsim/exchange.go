package hostsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// receiver hears of a handler's response as it comes, on the loop.
type receiver interface {
	onHeaders(h Headers, end bool)
	onData(b []byte, end bool)
	onTrailers(h Headers)
	onReset(cause string)
	// onPanic hears of a handler that panicked (other than to abort its response); a reset follows.
	onPanic(value any)
	// full reports that no more of the response can be taken now; the exchange's
	// resume goes on with it.
	full() bool
}

// Causes of a reset, as Envoy names them in response code details.
const (
	resetTermination = "connection_termination"
	resetRefused     = "remote_connection_failure"
	resetProtocol    = "protocol_error"
	resetRemote      = "remote_reset"
	resetOverflow    = "overflow"
)

// discard hears a response that nobody waits for.
type discard struct{}

func (discard) onHeaders(Headers, bool) {}
func (discard) onData([]byte, bool)     {}
func (discard) onTrailers(Headers)      {}
func (discard) onReset(string)          {}
func (discard) onPanic(any)             {}
func (discard) full() bool              { return false }

// exchange is one request to a handler and its response.
type exchange struct {
	clock  *Clock
	http2  bool
	to     receiver
	flow   flow // of the response
	ctx    context.Context
	cancel context.CancelFunc
	body   *uploadBody
	closed bool // touched on the loop only: nothing more is delivered
}

// startExchange calls handler with the request as a job. end says that the
// request has no body; otherwise it comes through send.
func startExchange(c *Clock, lane any, name string, cluster *clusterEntry, h Headers, end bool, to receiver) *exchange {
	handler := cluster.handler
	ctx, cancel := context.WithCancel(context.Background())
	x := &exchange{
		clock: c, http2: cluster.http2, to: to, cancel: cancel,
		flow: flow{clock: c, lane: lane, full: to.full}, body: &uploadBody{end: end},
	}
	c.startJob(ctx, name, func(ctx context.Context) {
		x.ctx, x.body.ctx = ctx, ctx
		req, err := newHTTPRequest(ctx, h, x.body, end, cluster.http2)
		if err != nil { // what no server would hand to a handler
			req = (&http.Request{Method: h.Get(":method"), URL: &url.URL{Path: "/"}, Header: h.toHTTP(), Body: http.NoBody}).WithContext(ctx)
			handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, err.Error(), http.StatusBadRequest) })
		}
		x.body.trailer = req.Trailer
		x.serve(handler, req)
	})
	return x
}

func newHTTPRequest(ctx context.Context, h Headers, body io.ReadCloser, end, http2 bool) (*http.Request, error) {
	path := h.Get(":path")
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, fmt.Errorf("bad :path %q: %w", path, err)
	}
	req := (&http.Request{
		Method: h.Get(":method"), URL: u, RequestURI: path, Host: h.Get(":authority"),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.toHTTP(), Body: body, ContentLength: -1, RemoteAddr: "127.0.0.1:40000",
	}).WithContext(ctx)
	if http2 || !h.Has("content-length") {
		announceTrailers(req, h)
	}
	req.Header.Del("Trailer")
	switch n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); {
	case end:
		req.Body, req.ContentLength = http.NoBody, 0
	case err == nil:
		req.ContentLength = n
	}
	return req, nil
}

// announceTrailers tells the handler which trailers come; an HTTP/1 message with
// a content-length has none.
func announceTrailers(req *http.Request, h Headers) {
	for _, names := range h.Values("trailer") {
		for name := range strings.SplitSeq(names, ",") {
			if req.Trailer == nil {
				req.Trailer = http.Header{}
			}
			req.Trailer[http.CanonicalHeaderKey(strings.TrimSpace(name))] = nil
		}
	}
}

// serve runs the handler on the job's goroutine.
func (x *exchange) serve(handler http.Handler, req *http.Request) {
	w := &responseWriter{x: x, head: req.Method == http.MethodHead, header: http.Header{}, declared: -1}
	defer func() {
		switch p := recover(); {
		case p == nil:
			w.finish()
		case errors.Is(asError(p), http.ErrAbortHandler):
			w.abort()
		default:
			x.deliver(func() { x.to.onPanic(p) })
			w.abort()
		}
	}()
	handler.ServeHTTP(w, req)
}

func asError(v any) error {
	err, _ := v.(error)
	return err
}

// deliver runs f on the loop when its turn comes, unless the exchange has been
// closed by then.
func (x *exchange) deliver(f func()) {
	x.flow.add(func() {
		if !x.closed {
			f()
		}
	})
}

// socketPieces is how much a handler may send ahead of what the proxy takes.
const socketPieces = 64

// awaitRoom lets a handler wait that is too far ahead.
func (x *exchange) awaitRoom() {
	if j, _ := x.ctx.Value(jobKey{}).(*job); j != nil && x.flow.waiting() > socketPieces {
		j.park(func() bool { return x.flow.waiting() <= socketPieces || x.ctx.Err() != nil })
	}
}

// send hands a piece of the request's body over.
func (x *exchange) send(b []byte, end bool) { x.body.push(b, end) }

// sendTrailers ends the request's body; HTTP/1 has no trailers (enable_trailers
// is off), and a handler sees those that the request has announced.
func (x *exchange) sendTrailers(h Headers) {
	if x.http2 {
		x.body.trailers = h.Clone()
	}
	x.body.push(nil, true)
}

// close ends the exchange: the handler's context is cancelled and whatever it
// still says is dropped.
func (x *exchange) close() {
	x.closed = true
	x.cancel()
}
