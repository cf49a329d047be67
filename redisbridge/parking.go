package redisbridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// parking lets polls over HTTP/1.1 wait without what net/http keeps for each: the deep stack of a goroutine, and
// two buffers. Of ten thousand that are held at a time these are most of a bridge's memory.
//
//  1. a poll has arrived: its connection is taken from net/http, whose goroutine ends
//  2. one goroutine answers it; another one reads the connection. An end of it before the answer means that
//     nobody listens
//  3. the answer is written; what is read after it begins the next request
//  4. the connection goes back to net/http, as one that was accepted just now: parking is its listener
//
// Between 1 and 4 nobody but these two has the connection: the one writes, the other one reads. A connection of
// HTTP/2 has other calls, and stays where it is.
type parking struct {
	bridge  *Bridge
	at      net.Addr
	back    chan net.Conn
	closing context.Context // done: no connection goes back any more
	close   context.CancelFunc
	parked  sync.WaitGroup // connections
}

func newParking(b *Bridge, at net.Addr) *parking {
	p := &parking{bridge: b, at: at, back: make(chan net.Conn)}
	p.closing, p.close = context.WithCancel(context.Background())
	return p
}

// Accept gives a connection whose next request has begun.
func (p *parking) Accept() (net.Conn, error) {
	select {
	case c := <-p.back:
		return c, nil
	case <-p.closing.Done():
		return nil, net.ErrClosed
	}
}

// Close ends connections that wait for a request; polls that are held are answered, and are their connections' last.
func (p *parking) Close() error {
	p.close()
	return nil
}

// Addr is where the connections were accepted first.
func (p *parking) Addr() net.Addr { return p.at }

// wait returns when no connection is parked any more.
func (p *parking) wait(ctx context.Context) error {
	left := make(chan struct{})
	go func() { p.parked.Wait(); close(left) }()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errParked says that a call is answered later, by parking.
var errParked = errors.New("parked")

// parkingKey is that of a server's parking in the contexts of its calls.
type parkingKey struct{}

// parkingOf gives where a call's connection may be parked; nil if nowhere.
func parkingOf(r *http.Request) *parking {
	p, _ := r.Context().Value(parkingKey{}).(*parking)
	return p
}

// park takes the connection of a poll whose body has been read, and lets h answer it. It tells whether it could.
func (p *parking) park(w http.ResponseWriter, r *http.Request, h http.Handler) bool {
	if r.ProtoMajor != 1 || r.ProtoMinor != 1 {
		return false
	}
	p.parked.Add(1) // before net/http forgets the connection: until then it is waited for there
	conn, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.parked.Done()
		return false
	}
	c, isParked := conn.(*parkedConn)
	if !isParked {
		c = &parkedConn{Conn: conn}
	}
	ahead, _ := buffers.Reader.Peek(buffers.Reader.Buffered()) // no error: all of it is there
	c.ahead = slices.Clone(ahead)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	r = r.WithContext(ctx)
	r.Body = http.NoBody // and not net/http's, which has its buffers
	answered := make(chan bool, 1)
	go func() { answered <- p.answer(c, r, h) }()
	go func() {
		defer p.parked.Done()
		defer cancel()
		p.listenTo(c, cancel, answered)
	}()
	return true
}

// answer answers a poll, and tells whether its connection may have another request. If not, it is closed.
func (p *parking) answer(c *parkedConn, r *http.Request, h http.Handler) (goesOn bool) {
	var a answer
	err := p.bridge.guarded(func() error { h.ServeHTTP(&a, r); return nil })
	last := r.Close || p.closing.Err() != nil
	if err == nil && r.Context().Err() == nil {
		err = a.write(c, last, p.bridge.clock.Now())
	}
	if err != nil || r.Context().Err() != nil || last {
		c.Close()
		return false
	}
	c.keep = context.AfterFunc(p.closing, func() { c.Close() })
	return true
}

// listenTo reads a connection while its poll is answered, and until its next request begins.
func (p *parking) listenTo(c *parkedConn, nobodyListens context.CancelFunc, answered <-chan bool) {
	err := c.readAhead()
	if err != nil {
		nobodyListens()
	}
	if !<-answered {
		return
	}
	if err != nil || !c.keep() {
		c.Close()
		return
	}
	select {
	case p.back <- c:
	case <-p.closing.Done():
		c.Close()
	}
}

// parkedConn is a connection of which the beginning of the next request may be read already.
type parkedConn struct {
	net.Conn
	ahead []byte
	keep  func() bool // false: closed, for the server is at its end
}

// Read gives what was read ahead first.
func (c *parkedConn) Read(b []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}

// readAhead returns when there is something to read, or never will be. Line ends that a client sends behind a POST's body aren't the
// beginning of a request: net/http knows that, but not where a connection begins.
func (c *parkedConn) readAhead() error {
	for {
		c.ahead = bytes.TrimLeft(c.ahead, "\r\n")
		if len(c.ahead) > 0 {
			return nil
		}
		first := make([]byte, 1)
		n, err := c.Conn.Read(first)
		if n == 0 && err != nil {
			return err
		}
		c.ahead = first[:n]
	}
}

// answer is an answer to be written as a whole.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = make(http.Header)
	}
	return a.header
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// write sends it, and lets the connection wait for the next request.
func (a *answer) write(c net.Conn, last bool, now time.Time) error {
	a.WriteHeader(http.StatusOK)
	a.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	response := http.Response{
		StatusCode: a.status, ProtoMajor: 1, ProtoMinor: 1, Header: a.header,
		Body: io.NopCloser(&a.body), ContentLength: int64(a.body.Len()), Close: last,
	}
	var text bytes.Buffer
	if err := response.Write(&text); err != nil {
		return err
	}
	if err := c.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(text.Bytes()); err != nil {
		return err
	}
	return c.SetReadDeadline(time.Now().Add(idleTimeout))
}
