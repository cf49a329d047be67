package redisbridge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge/wire"
)

// plainConn is a client's connection with HTTP/1.1.
type plainConn struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

func dialPlain(t *testing.T, l net.Listener) *plainConn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &plainConn{c, t, bufio.NewReader(c)}
}

// requestText is a POST with more lines in its header section.
func requestText(path string, body []byte, lines ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bridge\r\nContent-Length: %d\r\n%s\r\n%s", path, len(body), strings.Join(lines, ""), body)
}

func (c *plainConn) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// receive gives the next answer.
func (c *plainConn) receive() (*http.Response, []byte) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal("no answer: ", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal("an answer's body: ", err)
	}
	return r, body
}

// ended fails where the server has more to say.
func (c *plainConn) ended(what string) {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.t.Errorf("%s: the connection has %q, %v, want its end", what, b, err)
	}
}

// follows fails unless the next answer is a poll's.
func (c *plainConn) follows(want wire.Ticket) {
	c.t.Helper()
	r, body := c.receive()
	a, err := wire.DecodeFollowAnswer(body)
	if err != nil || a.Last != want || r.StatusCode != http.StatusOK || r.Close || r.Header.Get("Content-Type") != wire.ContentType || r.Header.Get("Date") == "" {
		c.t.Errorf("a poll: %d, close %t, %v, %+v, %v, want number %v", r.StatusCode, r.Close, r.Header, a, err, want)
	}
}

// found fails unless the next answer is a lookup's.
func (c *plainConn) found() {
	c.t.Helper()
	r, body := c.receive()
	if _, err := wire.DecodeLookupAnswer(body); err != nil || r.StatusCode != http.StatusOK {
		c.t.Errorf("a lookup: %d %s, %v", r.StatusCode, body, err)
	}
}

func (w *world) pollText(cursor wire.Ticket, lines ...string) string {
	return requestText(wire.PathFollow, wire.FollowRequest{FeedRequest: w.pollRequest(cursor, 30_000)}.Encode(), lines...)
}

func (w *world) lookupText() string {
	return requestText(wire.PathLookup, wire.LookupRequest{Scope: w.scope, Key: w.key, Groups: w.groups}.Encode())
}

func (w *world) heldPolls() int64 { return w.policies.known("chat").counters.held.Load() }

func parkingWorld(t *testing.T) (w *world, clock *stepClock, l net.Listener, stop func() error) {
	clock = newStepClock()
	w = newMemoryWorld(t, func(o *Options) { o.Clock = clock })
	l, stop = serving(t, w.Bridge, "127.0.0.1:0")
	return w, clock, l, stop
}

// A connection that a poll was held on has other requests after it, and another poll, also such as were sent before the answer.
func TestParkedConnectionsGoOn(t *testing.T) {
	w, clock, l, stop := parkingWorld(t)
	cursor := w.look().Ticket
	c := dialPlain(t, l)
	c.send(w.lookupText())
	c.found()
	for range 2 {
		c.send(w.pollText(cursor))
		<-clock.waiting
		clock.release <- struct{}{}
		c.follows(cursor)
		c.send(w.lookupText())
		c.found()
	}
	c.send(w.pollText(cursor) + w.lookupText() + w.pollText(cursor))
	<-clock.waiting
	clock.release <- struct{}{}
	c.follows(cursor)
	c.found()
	<-clock.waiting
	c.send(w.lookupText()) // while it is held
	clock.release <- struct{}{}
	c.follows(cursor)
	c.found()
	for _, behind := range []string{"\r\n", "\r", "\n"} { // old clients send them behind a body
		c.send(w.pollText(cursor) + behind)
		<-clock.waiting
		clock.release <- struct{}{}
		c.follows(cursor)
		c.send(behind + w.lookupText())
		c.found()
	}
	c.send(w.pollText(cursor, "Connection: close\r\n"))
	<-clock.waiting
	clock.release <- struct{}{}
	if r, _ := c.receive(); r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("the last poll: %d, close %t", r.StatusCode, r.Close)
	}
	c.ended("after the last poll")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// A poll whose client is gone isn't held any longer: its VM must not be registered anew.
func TestParkedPollsEndWithTheirConnections(t *testing.T) {
	w, clock, l, stop := parkingWorld(t)
	c := dialPlain(t, l)
	c.send(w.pollText(w.look().Ticket))
	<-clock.waiting
	if n := w.heldPolls(); n != 1 {
		t.Fatalf("%d polls are held, want 1", n)
	}
	c.Close()
	eventually(t, "the poll isn't held any more", func() bool { return w.heldPolls() == 0 })
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// timedConn is a connection that keeps what deadlines it was given.
type timedConn struct {
	net.Conn
	read, write time.Time
}

func (d *timedConn) Write(b []byte) (int, error)         { return len(b), nil }
func (d *timedConn) SetReadDeadline(at time.Time) error  { d.read = at; return nil }
func (d *timedConn) SetWriteDeadline(at time.Time) error { d.write = at; return nil }

// Who doesn't read an answer, or has no request after it, keeps a parked connection for as long as net/http's.
func TestParkedConnectionsAreBounded(t *testing.T) {
	var c timedConn
	before := time.Now()
	if err := new(answer).write(&c, false, before); err != nil {
		t.Fatal(err)
	}
	for _, d := range []struct {
		what string
		at   time.Time
		want time.Duration
	}{{"the answer may be written", c.write, answerTimeout}, {"the next request may take", c.read, newServer(nil).IdleTimeout}} {
		if got := d.at.Sub(before); got < d.want || got > d.want+patience {
			t.Errorf("%s for %v, want %v", d.what, got, d.want)
		}
	}
}

// At the end of the server a poll that is held is answered, as its connection's last, and connections end that wait for a request.
func TestServerEndsParkedConnections(t *testing.T) {
	w, clock, l, stop := parkingWorld(t)
	cursor := w.look().Ticket
	idle, held := dialPlain(t, l), dialPlain(t, l)
	idle.send(w.pollText(cursor))
	<-clock.waiting
	clock.release <- struct{}{}
	idle.follows(cursor)
	held.send(w.pollText(cursor))
	<-clock.waiting
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := w.heldPolls(); n != 0 {
		t.Errorf("the server has ended with %d polls held", n)
	}
	if r, _ := held.receive(); r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("the held poll: %d, close %t", r.StatusCode, r.Close)
	}
	held.ended("the poll that was held")
	idle.ended("the connection that waited")
}

// What is refused before a poll is held, and after it, says the same as over HTTP/2.
func TestParkedPollsAreRefused(t *testing.T) {
	var log bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) { withTokens(o); o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	l, stop := serving(t, w.Bridge, "127.0.0.1:0")
	good := "Authorization: Bearer " + filterToken + "\r\n"
	c := dialPlain(t, l)
	w.memory.SetError("ERR out of order")
	for _, one := range []struct {
		name, text string
		status     int
		begins     string
	}{
		{"another token", w.pollText(wire.Ticket{}, "Authorization: Bearer other\r\n"), 401, "unauthorized"},
		{"no frame", requestText(wire.PathFollow, []byte("x"), good), 400, "wire: not a valid frame"},
		{"no VM", requestText(wire.PathFollow, wire.FollowRequest{FeedRequest: wire.FeedRequest{Scope: w.scope}}.Encode(), good), 400, `bad request: poll of VM ""`},
		{"Redis refuses", w.pollText(wire.Ticket{}, good), 503, "redis: ERR out of order"},
	} {
		c.send(one.text)
		if r, body := c.receive(); r.StatusCode != one.status || !strings.HasPrefix(string(body), one.begins) || r.Close ||
			r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d, close %t, %s %s, want %d %s", one.name, r.StatusCode, r.Close, r.Header, body, one.status, one.begins)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "out of order") {
		t.Errorf("the log has nothing of Redis:\n%s", &log)
	}
}

// A defect ends a poll's connection, and nothing else.
func TestPanicOfAParkedPoll(t *testing.T) {
	var log bytes.Buffer
	w := newMemoryWorld(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	l, err := Listen("127.0.0.1:0")
	w.check(err)
	p := newParking(w.Bridge, l.Addr())
	server := newServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !p.park(rw, r, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a defect") })) {
			t.Error("not parked")
		}
	}))
	go server.Serve(l)
	defer server.Close()
	for range 2 {
		c := dialPlain(t, l)
		c.send(requestText("/", nil))
		c.ended("after a defect")
	}
	w.check(p.wait(w.ctx))
	if text := log.String(); strings.Count(text, "internal error: a defect") != 2 {
		t.Errorf("the log:\n%s", text)
	}
}

// A poll that is parked takes a fraction of what net/http takes for it.
func TestParkedPollsAreSmall(t *testing.T) {
	const polls = 400
	each := func(serve func(*Bridge, net.Listener)) float64 {
		w := newMemoryWorld(t, nil)
		l, err := Listen("127.0.0.1:0")
		w.check(err)
		serve(w.Bridge, l)
		text := w.pollText(w.look().Ticket)
		before := inUse()
		for range polls {
			dialPlain(t, l).send(text)
		}
		eventually(t, "all polls are held", func() bool { return w.heldPolls() == polls })
		after := inUse()
		w.Drain()
		eventually(t, "none is", func() bool { return w.heldPolls() == 0 })
		return float64(after-before) / polls
	}
	plain := each(func(b *Bridge, l net.Listener) {
		server := newServer(b)
		go server.Serve(l)
		t.Cleanup(func() { server.Close() })
	})
	parked := each(func(b *Bridge, l net.Listener) {
		go b.Serve(t.Context(), l)
	})
	t.Logf("%.0f bytes for each, without parking %.0f", parked, plain)
	if parked > plain*3/4 { // the race detector has its own part
		t.Errorf("%.0f bytes for each, %.0f without parking: want three quarters at most", parked, plain)
	}
}

// inUse is what heap and stacks take, bytes.
func inUse() int64 {
	runtime.GC() // ends what was swept
	runtime.GC() // shrinks stacks
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
