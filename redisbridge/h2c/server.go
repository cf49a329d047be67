// Package h2c answers HTTP/2 in clear text (RFC 9113), for very many connections that mostly wait.
//
// net/http keeps three goroutines for each connection that has a request which waits, two buffers for HTTP/1.1 and
// one for the answer, and hands each request from goroutine to goroutine four times. Here a connection is one
// goroutine that reads, with a small buffer, and a request one more, from when its body is complete until it is
// answered; buffers to write are there only while something is written. What that brings is in
// test/bench/NOTES.md. Handlers are those of net/http, frames and HPACK's decoder those of golang.org/x/net/http2.
//
// What the bridge doesn't need is left out: an answer is sent when its handler has returned, trailers are
// dropped, there is no push, no priority, and no informational answer.
package h2c

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Preface is what a client of HTTP/2 begins a connection with (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Server serves connections. All fields but Log are required.
type Server struct {
	Handler http.Handler
	// Limit tells how many bytes of a request's body are kept for its handler, by its header section. If there are
	// more, the handler gets one byte more than that, and the rest is dropped. 0 lets the handler
	// begin at once, without a body.
	Limit func(*http.Request) int

	MaxStreams     int           // requests at a time on one connection; more are refused
	MaxHeaderBytes int           // of a request's header section
	ReadTimeout    time.Duration // from a request's header section to the end of its body
	WriteTimeout   time.Duration // for which an answer, or the connection, waits until the client takes more
	IdleTimeout    time.Duration // until a connection is closed from which nothing comes

	Log *slog.Logger

	mu      sync.Mutex
	conns   map[*conn]struct{}
	closing bool
	ended   chan struct{} // closed when closing and no connection is left
}

// Serve answers on a connection whose preface has been read, until it ends.
func (s *Server) Serve(nc net.Conn) {
	c := newConn(s, nc)
	if !s.add(c) {
		nc.Close()
		return
	}
	c.serve()
	s.remove(c)
}

// Shutdown takes no more requests, and returns when those under way are answered and the connections
// closed, or ctx is done.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing, s.ended = true, make(chan struct{})
		if len(s.conns) == 0 {
			close(s.ended)
		}
	}
	for c := range s.conns {
		go c.goAway()
	}
	s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.conns, c); s.closing && len(s.conns) == 0 {
		close(s.ended)
	}
}
