package h2c

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/net/http2"
)

// bodyAtOnce is how much of a body is made room for because its header section says that it comes, bytes.
const bodyAtOnce = 64 << 10

// stream is a request and its answer. Its connection's mutex guards it.
type stream struct {
	id      uint32
	window  int64 // what the client takes
	began   time.Time
	request *http.Request
	cancel  context.CancelFunc
	handled bool // its handler was begun

	ended  bool // the client has sent all
	gone   bool // nobody waits for the answer
	limit  int
	body   []byte
	length int64 // of the body so far, what was dropped, too
	inflow int   // what the client may send still

	timer *time.Timer // ends the wait for the client's windows
}

func (c *conn) takeHeaders(f *http2.MetaHeadersFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := f.StreamID
	if s := c.streams[id]; s != nil { // trailers
		if s.ended || !f.StreamEnded() {
			return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
		}
		return c.endOfBody(s)
	}
	switch {
	case id%2 == 0:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case id <= c.last:
		return nil // trailers of a stream that is over
	}
	if c.last = id; c.going {
		return nil // the client knows that it isn't answered
	}
	if c.busy >= c.server.MaxStreams {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeRefusedStream}
	}
	if f.Truncated {
		r := response{status: http.StatusRequestHeaderFieldsTooLarge}
		r.complete(http.MethodGet)
		c.out, _ = c.appendHeaders(buffer(c.out), id, &r)
		if !f.StreamEnded() {
			c.out = appendReset(c.out, id, http2.ErrCodeNo)
		}
		c.drain()
		return nil
	}
	ctx, cancel := context.WithCancel(c.ctx)
	request, ok := newRequest(ctx, f, c.nc)
	if !ok {
		cancel()
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeProtocol}
	}
	s := &stream{
		id: id, window: c.initial, began: time.Now(), request: request, cancel: cancel,
		ended: f.StreamEnded(), inflow: receiveWindow,
	}
	c.streams[id] = s
	c.busy++
	c.open++
	if s.ended {
		return c.endOfBody(s)
	}
	if s.limit = c.server.Limit(request); s.limit == 0 || request.ContentLength > int64(s.limit) {
		c.handle(s)
		return nil
	}
	s.body = make([]byte, 0, min(max(request.ContentLength, 0), bodyAtOnce))
	return nil
}

func (c *conn) takeData(f *http2.DataFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, data, taken := f.StreamID, f.Data(), int(f.Length)
	if id > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if c.received += taken; c.received > receiveWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if c.received >= receiveWindow/2 {
		c.out = appendWindowUpdate(buffer(c.out), 0, c.received)
		c.received = 0
		c.drain()
	}
	s := c.streams[id] // drain may have let it end
	if s == nil {
		return nil // reset, or answered without its body
	}
	if s.ended {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeStreamClosed}
	}
	if s.inflow -= taken; s.inflow < 0 {
		return http2.StreamError{StreamID: id, Code: http2.ErrCodeFlowControl}
	}
	s.length += int64(len(data))
	if !s.handled {
		s.body = append(s.body, data[:min(len(data), s.limit+1-len(s.body))]...)
	}
	switch {
	case f.StreamEnded():
		return c.endOfBody(s)
	case !s.handled && len(s.body) > s.limit:
		c.handle(s)
	case s.inflow < receiveWindow/2 && !s.handled:
		c.out = appendWindowUpdate(buffer(c.out), id, receiveWindow-s.inflow)
		s.inflow = receiveWindow
		c.drain()
	}
	return nil
}

// endOfBody begins to handle a request, unless it has begun already.
func (c *conn) endOfBody(s *stream) error {
	s.ended = true
	if said := s.request.ContentLength; said >= 0 && said != s.length {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	if !s.handled {
		c.handle(s)
	}
	return nil
}

// handle calls the handler on a goroutine of its own.
func (c *conn) handle(s *stream) {
	s.handled = true
	c.open--
	s.request.ContentLength = max(s.request.ContentLength, int64(len(s.body)))
	s.request.Body = newBody(s.body)
	s.body = nil
	go c.run(s)
}

func (c *conn) run(s *stream) {
	var r response
	if c.server.call(&r, s.request) {
		c.answer(s, &r)
	} else {
		c.finish(s, http2.ErrCodeInternal)
	}
}

// call calls the handler; ok is false if that has panicked.
func (s *Server) call(w http.ResponseWriter, r *http.Request) (ok bool) {
	defer func() {
		if ok {
			return
		}
		if reason := recover(); reason != http.ErrAbortHandler {
			s.Log.Error("a handler panicked", "path", r.URL.Path, "reason", reason, "stack", string(debug.Stack()))
		}
	}()
	s.Handler.ServeHTTP(w, r)
	return true
}

// finish ends a stream whose handler has returned, with a reset where the client isn't to wait, or
// to send, any longer.
func (c *conn) finish(s *stream, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finishLocked(s, code)
	c.flush()
}

func (c *conn) finishLocked(s *stream, code http2.ErrCode) {
	if !s.gone && (code != http2.ErrCodeNo || !s.ended) {
		c.out = appendReset(buffer(c.out), s.id, code)
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.gone = true
	delete(c.streams, s.id)
	s.cancel()
	c.busy--
	c.endIfIdle()
}

// drop lets go of a stream that nobody waits for. Where a handler is at work it counts until that returns.
func (c *conn) drop(s *stream) {
	s.gone = true
	delete(c.streams, s.id)
	s.cancel()
	if !s.handled {
		c.open--
		c.busy--
		c.endIfIdle()
	}
	c.room.Broadcast()
}
