package h2c

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// readBuffer is what a connection reads at once, bytes: few frames of the filters are longer, and what
	// is goes past it.
	readBuffer = 512
	// receiveWindow is what a client may send before it hears from the server, bytes: on a connection, and
	// on each of its streams.
	receiveWindow = 1 << 20
	// initialWindow and initialFrame are what holds for a peer until it says otherwise (RFC 9113, section 6.5.2).
	initialWindow = 65_535
	initialFrame  = 16_384
	// greatestWindow is what no window may exceed (section 6.9.1).
	greatestWindow = 1<<31 - 1
	// lingering is how long a client has to close a connection that says that it goes away.
	lingering = 500 * time.Millisecond
	// sweepEvery is how often bodies are looked through for those that take too long.
	sweepEvery = time.Second
)

// conn is a connection. One goroutine reads from it, see serve; handlers answer on it.
type conn struct {
	server *Server
	nc     net.Conn
	ctx    context.Context // done when the connection has ended
	end    context.CancelFunc

	// Only the reading goroutine uses these.
	in       *bufio.Reader
	framer   *http2.Framer // reads; what is written goes to out
	begun    bool          // the client's settings have come
	received int           // bytes of bodies that the client hasn't been told of
	swept    time.Time
	deadline time.Time // that was set for reading, when it was set, and for how long
	patience time.Duration

	mu        sync.Mutex
	room      sync.Cond // windows have grown, out has been written, or a stream or the connection has ended
	streams   map[uint32]*stream
	busy      int    // streams that aren't over: a handler that was left alone counts, too
	open      int    // of them: whose handler hasn't begun
	last      uint32 // the greatest stream so far
	window    int64  // what the client takes on all streams
	initial   int64  // and on a new one
	maxFrame  int    // that the client takes
	out       []byte // frames to write; from buffers
	writing   bool   // somebody writes
	tableSaid bool   // the client knows that no dynamic table is used
	going     bool   // GOAWAY was sent
	final     uint32 // with this as the last stream
	failed    bool   // nothing can be written any more
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{
		server: s, nc: nc, in: bufio.NewReaderSize(nc, readBuffer), streams: make(map[uint32]*stream),
		window: initialWindow, initial: initialWindow, maxFrame: initialFrame,
	}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.room.L = &c.mu
	c.framer = http2.NewFramer(nil, c.in)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(initialFrame)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.framer.MaxHeaderListSize = uint32(s.MaxHeaderBytes)
	return c
}

// serve reads frames until the connection ends:
//
//  1. a request's header section opens its stream, DATA adds to its body
//  2. its body is complete: a goroutine begins that calls the handler
//  3. the handler returns: the answer goes out, as far as the client's windows let it
//  4. or the client resets the stream before: the handler's context is done, and what it
//     answers is dropped; until it has returned it counts as a stream, so that resets don't
//     let a client have more handlers than streams
func (c *conn) serve() {
	defer c.close()
	c.start()
	for {
		c.await()
		frame, err := c.framer.ReadFrame()
		if err == nil {
			err = c.take(frame)
		}
		var stream http2.StreamError
		if errors.As(err, &stream) {
			c.noted(stream.StreamID)
			c.resetStream(stream.StreamID, stream.Code)
			err = nil
		}
		if err != nil {
			c.leave(err)
			return
		}
	}
}

// start says what holds here.
func (c *conn) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = appendSettings(buffer(c.out),
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(c.server.MaxStreams)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: receiveWindow},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.server.MaxHeaderBytes)})
	c.out = appendWindowUpdate(c.out, 0, receiveWindow-initialWindow)
	c.flush()
}

// await bounds the wait for the next frame.
func (c *conn) await() {
	if c.in.Buffered() > 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	patience := c.server.IdleTimeout
	switch {
	case c.going && c.busy == 0:
		patience = lingering
	case c.receiving(now):
		patience = c.server.ReadTimeout
	}
	// A deadline costs more than a look at the clock.
	if patience != c.patience || now.Sub(c.deadline) > sweepEvery || patience < 2*sweepEvery {
		c.deadline, c.patience = now, patience
		_ = c.nc.SetReadDeadline(now.Add(patience)) // a connection that is broken can't be read from either
	}
}

// receiving tells whether a body is incomplete. It lets go of those that have taken too long.
func (c *conn) receiving(now time.Time) bool {
	if c.open == 0 || now.Sub(c.swept) < sweepEvery {
		return c.open > 0
	}
	c.swept = now
	for id, s := range c.streams {
		if !s.handled && now.Sub(s.began) > c.server.ReadTimeout {
			c.drop(s)
			c.out = appendReset(buffer(c.out), id, http2.ErrCodeCancel)
		}
	}
	c.flush()
	return c.open > 0
}

// take does what a frame says. Errors are of http2: of the stream or of the connection.
func (c *conn) take(frame http2.Frame) error {
	if _, ok := frame.(*http2.SettingsFrame); !ok && !c.begun {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(f)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.SettingsFrame:
		c.begun = true
		return c.takeSettings(f)
	case *http2.WindowUpdateFrame:
		return c.takeWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.takeReset(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			c.say(func(out []byte) []byte { return appendPingAck(out, f.Data) })
		}
	case *http2.PushPromiseFrame, *http2.ContinuationFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil // what is unknown, or of no use here, is ignored (section 5.5)
}

func (c *conn) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingInitialWindowSize:
			more := int64(s.Val) - c.initial
			c.initial = int64(s.Val)
			for _, st := range c.streams {
				if st.window += more; st.window > greatestWindow {
					return http2.ConnectionError(http2.ErrCodeFlowControl)
				}
			}
		case http2.SettingMaxFrameSize:
			c.maxFrame = int(min(s.Val, 1<<20))
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.out = appendSettingsAck(buffer(c.out))
	c.room.Broadcast()
	c.drain()
	return nil
}

func (c *conn) takeWindowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > greatestWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	} else if f.StreamID > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	} else if s := c.streams[f.StreamID]; s != nil {
		if s.window += int64(f.Increment); s.window > greatestWindow {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
		}
	}
	c.room.Broadcast()
	return nil
}

func (c *conn) takeReset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.StreamID > c.last {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if s := c.streams[f.StreamID]; s != nil {
		c.drop(s)
	}
	return nil
}

// noted remembers that a stream was there whose header section couldn't be used.
func (c *conn) noted(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, id)
}

// resetStream ends a stream.
func (c *conn) resetStream(id uint32, code http2.ErrCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.streams[id]; s != nil {
		c.drop(s)
	}
	c.out = appendReset(buffer(c.out), id, code)
	c.drain()
}

// say writes frames of the reading goroutine's.
func (c *conn) say(frames func(out []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = frames(buffer(c.out))
	c.drain()
}

// drain writes what the reading goroutine has to say. While the client doesn't take that, nothing more is read:
// so it can't make the server remember any number of answers to pings.
func (c *conn) drain() {
	c.flush()
	for len(c.out) > maxOut && !c.failed {
		c.room.Wait()
	}
}

// goAway takes no more requests; the connection is closed when those under way have been answered.
func (c *conn) goAway() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.going {
		c.going, c.final = true, c.last
		c.out = appendGoAway(buffer(c.out), c.last, http2.ErrCodeNo)
		c.flush()
		c.endIfIdle()
	}
}

// endIfIdle lets the reading goroutine end soon where nothing is left to do.
func (c *conn) endIfIdle() {
	if c.going && c.busy == 0 {
		_ = c.nc.SetReadDeadline(time.Now().Add(lingering))
	}
}

// leave tells the client why the connection ends, if it is the client's fault.
func (c *conn) leave(err error) {
	var code http2.ErrCode
	var fault http2.ConnectionError
	var timeout net.Error
	switch {
	case errors.As(err, &fault):
		code = http2.ErrCode(fault)
	case errors.Is(err, http2.ErrFrameTooLarge):
		code = http2.ErrCodeFrameSize
	case errors.As(err, &timeout) && timeout.Timeout():
		code = http2.ErrCodeNo
	default:
		return // it is gone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.last
	if c.going {
		last = c.final // what came later wasn't begun
	}
	c.out = appendGoAway(buffer(c.out), last, code)
	c.flush()
}

// close ends whatever is under way.
func (c *conn) close() {
	c.mu.Lock()
	for _, s := range c.streams {
		c.drop(s)
	}
	c.fail()
	c.mu.Unlock()
	c.end()
	c.nc.Close()
}

// fail lets nobody wait for the client any more.
func (c *conn) fail() {
	c.failed = true
	c.room.Broadcast()
}
