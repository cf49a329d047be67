package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

const (
	// window is what a server may send before it hears from the caller, bytes.
	window = 1 << 30
	// patience is how long a caller waits for an answer.
	patience = 30 * time.Second
)

// errStatus says that a server has answered with another status.
var errStatus = errors.New("status")

// caller is one connection to a server, HTTP/2 in clear text, as an Envoy's worker has one. It
// sends POSTs to one path. It costs little, since it shares the machine with what it measures.
type caller struct {
	conn     net.Conn
	out      *bufio.Writer
	framer   *http2.Framer
	head     []byte // of every request: nothing of it is indexed
	stream   uint32 // the last one
	bodies   map[uint32][]byte
	received int              // bytes that the server may not know of
	refused  map[uint32]error // streams whose header section tells of another status
}

func dial(ctx context.Context, port int, path string) (*caller, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", loopback.Addr(port))
	if err != nil {
		return nil, err
	}
	c := &caller{conn: conn, out: bufio.NewWriterSize(conn, 1024), bodies: map[uint32][]byte{}, refused: map[uint32]error{}, head: headers(port, path)}
	c.framer = http2.NewFramer(c.out, bufio.NewReaderSize(conn, 2048))
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = c.out.WriteString(http2.ClientPreface)
	return c, errors.Join(err,
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}),
		c.framer.WriteWindowUpdate(0, window), c.out.Flush())
}

func headers(port int, path string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":authority", loopback.Addr(port)}, {":path", path},
		{"content-type", "application/octet-stream"}, {"authorization", "Bearer " + stack.BridgeToken},
	} {
		_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1], Sensitive: true}) // never fails: bytes.Buffer
	}
	return block.Bytes()
}

func (c *caller) close() error { return c.conn.Close() }

// send begins a call; flush lets it go.
func (c *caller) send(body []byte) error {
	if c.stream == 0 {
		c.stream = 1
	} else {
		c.stream += 2
	}
	if err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: c.head, EndHeaders: true}); err != nil {
		return err
	}
	return c.framer.WriteData(c.stream, true, body)
}

func (c *caller) flush() error { return c.out.Flush() }

// receive gives the next answer, good until the next call. The error matches errStatus if it isn't
// a 200.
func (c *caller) receive() ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "200" {
				c.refused[f.StreamID] = fmt.Errorf("%w %s, want 200", errStatus, status)
			}
			if f.StreamEnded() {
				return nil, c.endOf(f.StreamID)
			}
		case *http2.DataFrame:
			if body, ended := c.take(f); ended {
				return body, errors.Join(c.endOf(f.StreamID), c.open())
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = errors.Join(c.framer.WriteSettingsAck(), c.out.Flush())
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				err = errors.Join(c.framer.WritePing(true, f.Data), c.out.Flush())
			}
		case *http2.RSTStreamFrame:
			return nil, fmt.Errorf("stream reset: %v", f.ErrCode)
		case *http2.GoAwayFrame:
			return nil, fmt.Errorf("connection ended: %v", f.ErrCode)
		}
		if err != nil {
			return nil, err
		}
	}
}

// take puts an answer's bytes together.
func (c *caller) take(f *http2.DataFrame) (body []byte, ended bool) {
	c.received += len(f.Data())
	before, some := c.bodies[f.StreamID]
	if !f.StreamEnded() {
		c.bodies[f.StreamID] = append(before, f.Data()...)
		return nil, false
	}
	if !some {
		return f.Data(), true
	}
	delete(c.bodies, f.StreamID)
	return append(before, f.Data()...), true
}

// endOf tells why a stream that has ended was refused.
func (c *caller) endOf(stream uint32) error {
	refused := c.refused[stream]
	delete(c.refused, stream)
	return refused
}

// open lets the server send as much again.
func (c *caller) open() error {
	if c.received < window/4 {
		return nil
	}
	n := c.received
	c.received = 0
	return errors.Join(c.framer.WriteWindowUpdate(0, uint32(n)), c.out.Flush())
}
