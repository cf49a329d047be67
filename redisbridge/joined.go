package redisbridge

import (
	"bytes"
	"net"
)

const (
	// frameHeader is the length of an HTTP/2 frame's header, bytes (RFC 9113, section 4.1).
	frameHeader                                 = 9
	frameHeaders, flagEndStream, flagEndHeaders = 0x1, 0x1, 0x4
	// status200 begins a header section of that status (RFC 7541, appendix A: index 8).
	status200 = 0x88

	// maxJoined bounds what one connection keeps back, bytes.
	maxJoined = 4 << 10
)

// joinedListener takes connections on which an answer's header section goes out together
// with its content.
//
// net/http writes the frame HEADERS of an HTTP/2 response by itself, waits until it is written,
// and only then writes DATA. The filters' proxy is so woken twice for one answer, which
// costs both sides more than all else that there is to do for it.
type joinedListener struct{ net.Listener }

func (l joinedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &joinedConn{Conn: c}, nil
}

// joinedConn keeps back HEADERS of status 200 that don't end their stream, until the next write: every handler
// of the bridge writes its content right after. Nothing needs to come after those of another status, 100 for one. Whatever else the server has to say
// (an end of the stream, of the connection) lets them go, too.
type joinedConn struct {
	net.Conn
	begun, plain bool   // plain: HTTP/1.1, nothing is kept back
	kept         []byte // frames
	// Where in a frame the last write has ended: so many bytes of its header are in head, or so many
	// of its payload are missing.
	head [frameHeader]byte
	have int
	rest int
}

// Write is called by one goroutine at a time, as net/http does.
func (c *joinedConn) Write(b []byte) (int, error) {
	if !c.begun {
		c.begun, c.plain = true, bytes.HasPrefix(b, []byte("HTTP/"))
	}
	switch {
	case c.plain:
		return c.Conn.Write(b)
	case c.passFrames(b) && len(c.kept)+len(b) <= maxJoined:
		c.kept = append(c.kept, b...)
		return len(b), nil
	case len(c.kept) == 0:
		return c.Conn.Write(b)
	}
	kept := len(c.kept)
	n, err := c.Conn.Write(append(c.kept, b...))
	c.kept = c.kept[:0]
	return max(n-kept, 0), err
}

// passFrames goes through what is written, and tells whether it is HEADERS alone that content
// follows.
func (c *joinedConn) passFrames(b []byte) (heads bool) {
	heads = c.rest == 0 && c.have == 0
	for len(b) > 0 {
		if c.rest > 0 {
			n := min(c.rest, len(b))
			c.rest, b = c.rest-n, b[n:]
			continue
		}
		n := copy(c.head[c.have:], b)
		if c.have, b = c.have+n, b[n:]; c.have < len(c.head) {
			return false
		}
		c.have, c.rest = 0, int(c.head[0])<<16|int(c.head[1])<<8|int(c.head[2])
		kind, flags := c.head[3], c.head[4]
		heads = heads && kind == frameHeaders && flags&(flagEndStream|flagEndHeaders) == flagEndHeaders &&
			c.rest > 0 && len(b) >= c.rest && b[0] == status200
	}
	return heads
}
