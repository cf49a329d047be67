package hostsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
)

// receiver hears of a handler's response as it comes, on the loop.
type receiver interface {
	onHeaders(h Headers, end bool)
	onData(b []byte, end bool)
	onTrailers(h Headers)
	onReset(cause string)
	// onPanic hears of a handler that panicked (other than to abort its response); a reset follows.
	onPanic(value any)
}

// Causes of a reset, as Envoy names them in response code details.
const (
	resetTermination = "connection_termination"
	resetRefused     = "remote_connection_failure"
	resetProtocol    = "protocol_error"
	resetRemote      = "remote_reset"
)

// exchange is one request to a handler and its response.
type exchange struct {
	clock  *Clock
	lane   any
	http2  bool
	to     receiver
	cancel context.CancelFunc
	body   *uploadBody
	closed bool // touched on the loop only: nothing more is delivered
}

// startExchange calls handler with the request as a job. end says that the
// request has no body; otherwise it comes through send.
func startExchange(c *Clock, lane any, name string, cluster *clusterEntry, h Headers, end bool, to receiver) *exchange {
	handler := cluster.handler
	ctx, cancel := context.WithCancel(context.Background())
	x := &exchange{clock: c, lane: lane, http2: cluster.http2, to: to, cancel: cancel, body: &uploadBody{end: end}}
	c.startJob(ctx, name, func(ctx context.Context) {
		x.body.ctx = ctx
		req, err := newHTTPRequest(ctx, h, x.body, end)
		if err != nil { // what no server would hand to a handler
			req = (&http.Request{Method: h.Get(":method"), URL: &url.URL{Path: "/"}, Header: h.toHTTP(), Body: http.NoBody}).WithContext(ctx)
			handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, err.Error(), http.StatusBadRequest) })
		}
		x.serve(handler, req)
	})
	return x
}

func newHTTPRequest(ctx context.Context, h Headers, body io.ReadCloser, end bool) (*http.Request, error) {
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
	switch n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); {
	case end:
		req.Body, req.ContentLength = http.NoBody, 0
	case err == nil:
		req.ContentLength = n
	}
	return req, nil
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

// deliver runs f on the loop unless the exchange has been closed by then.
func (x *exchange) deliver(f func()) {
	x.clock.post(x.lane, func() {
		if !x.closed {
			f()
		}
	})
}

// send hands a piece of the request's body over.
func (x *exchange) send(b []byte, end bool) { x.body.push(b, end) }

// close ends the exchange: the handler's context is cancelled and whatever it
// still says is dropped.
func (x *exchange) close() {
	x.closed = true
	x.cancel()
}

// uploadBody is a request body that arrives while the handler runs.
type uploadBody struct {
	mu   sync.Mutex
	data []byte
	end  bool
	ctx  context.Context
}

func (b *uploadBody) push(p []byte, end bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = append(b.data, p...)
	b.end = b.end || end
}

func (b *uploadBody) arrived() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.data) > 0 || b.end || b.ctx.Err() != nil
}

// Read gives what has arrived, or lets the job wait for more.
func (b *uploadBody) Read(p []byte) (int, error) {
	if j, _ := b.ctx.Value(jobKey{}).(*job); !b.arrived() {
		j.park(b.arrived)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.data) > 0 {
		n := copy(p, b.data)
		b.data = b.data[n:]
		return n, nil
	}
	if b.end {
		return 0, io.EOF
	}
	return 0, b.ctx.Err()
}

func (b *uploadBody) Close() error { return nil }
