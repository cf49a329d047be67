package h2c

import (
	"net"
	"strings"
	"time"
)

// Listener serves the connections of another listener that begin with the preface, and accepts
// those that don't: HTTP/1.1, which is net/http's.
type Listener struct {
	net.Listener
	server *Server
	begin  time.Duration // in which a connection must begin
	others chan net.Conn
	ended  chan struct{}
	err    error // after ended is closed
}

// Listen takes l over. A connection must have begun within so long.
func (s *Server) Listen(l net.Listener, begin time.Duration) *Listener {
	split := &Listener{Listener: l, server: s, begin: begin, others: make(chan net.Conn), ended: make(chan struct{})}
	go split.run()
	return split
}

// Accept gives the next connection of HTTP/1.1, from its beginning.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.others:
		return c, nil
	case <-l.ended:
		return nil, l.err
	}
}

// run accepts until the listener is closed. Where there are too many open files it waits, as
// net/http does.
func (l *Listener) run() {
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			wait = least
			go l.sort(nc)
			continue
		}
		if passing, ok := err.(interface{ Temporary() bool }); !ok || !passing.Temporary() {
			l.err = err
			close(l.ended)
			return
		}
		time.Sleep(wait)
		wait = min(2*wait, most)
	}
}

func (l *Listener) sort(nc net.Conn) {
	head, ok := l.head(nc)
	switch {
	case !ok:
		nc.Close()
	case string(head) == Preface:
		l.server.Serve(nc)
	default:
		select {
		case l.others <- &begun{nc, head}:
		case <-l.ended:
			nc.Close()
		}
	}
}

// head reads until it is the preface or can't be.
func (l *Listener) head(nc net.Conn) (head []byte, ok bool) {
	_ = nc.SetReadDeadline(time.Now().Add(l.begin)) // what is broken can't be read from either
	buf, n := make([]byte, len(Preface)), 0
	for n < len(buf) && strings.HasPrefix(Preface, string(buf[:n])) {
		more, err := nc.Read(buf[n:])
		if n += more; err != nil {
			return nil, false
		}
	}
	return buf[:n], nc.SetReadDeadline(time.Time{}) == nil
}

// begun is a connection whose first bytes have been read.
type begun struct {
	net.Conn
	head []byte // what is left of them
}

func (c *begun) Read(b []byte) (int, error) {
	if len(c.head) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.head)
	c.head = c.head[n:]
	return n, nil
}
