package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"chatcache/test/loopback"
)

// client sends requests on so many connections, each the next one when the last is answered.
// It speaks plain HTTP/1.1 without net/http: it shares the machine with what it measures.
type client struct {
	port        int
	connections int
	http2       bool
	// oneConnection sends all by one, as so many streams of it.
	oneConnection bool
	// pause is how long each connection is left alone before its next request.
	pause   time.Duration
	traffic traffic
}

// load is what a client has sent and seen.
type load struct {
	latencies  []time.Duration
	unexpected int    // answers without what was expected
	example    string // the Cache-Status of one of them
	elapsed    time.Duration
}

func (l *load) add(other load) {
	l.latencies = append(l.latencies, other.latencies...)
	l.unexpected += other.unexpected
	l.example = cmp.Or(l.example, other.example)
}

// until sends requests until the time is over, or so many have been answered.
func (c client) until(ctx context.Context, d time.Duration, requests int) (load, error) {
	var left atomic.Int64
	left.Store(int64(requests))
	each := make([]load, c.connections)
	send := c.one
	if c.http2 && c.oneConnection {
		shared := clearText(1)
		defer shared.CloseIdleConnections()
		send = func(ctx context.Context, more func() bool) (load, error) { return c.overHTTP2(ctx, shared, more) }
	}
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	more := func() bool { return ctx.Err() == nil && left.Add(-1) >= 0 && time.Since(began) < d }
	for i := range c.connections {
		group.Go(func() (err error) {
			each[i], err = send(ctx, more)
			return err
		})
	}
	err := group.Wait()
	all := load{elapsed: time.Since(began)}
	for _, l := range each {
		all.add(l)
	}
	return all, err
}

func (c client) one(ctx context.Context, more func() bool) (load, error) {
	if c.http2 {
		own := clearText(0)
		defer own.CloseIdleConnections()
		return c.overHTTP2(ctx, own, more)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", loopback.Addr(c.port))
	if err != nil {
		return load{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // a request that waits ends, too
	defer stop()
	var l load
	in, out := bufio.NewReaderSize(conn, 64<<10), make([]byte, 0, 1024)
	for more() {
		time.Sleep(c.pause)
		out = c.traffic.next(out[:0])
		sent := time.Now()
		if _, err := conn.Write(out); err != nil {
			return l, err
		}
		expected, status, err := answer(in, c.traffic)
		if err != nil {
			return l, err
		}
		l.see(time.Since(sent), expected, status)
	}
	return l, nil
}

func (l *load) see(latency time.Duration, expected bool, status string) {
	l.latencies = append(l.latencies, latency)
	if !expected {
		l.unexpected++
		l.example = status
	}
}

// answer reads one answer, which must have the status, and tells whether its header section holds what is
// expected; where it doesn't, status is its Cache-Status.
func answer(in *bufio.Reader, t traffic) (expected bool, status string, err error) {
	head, err := readHead(in)
	if err != nil {
		return false, "", err
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 "+cmp.Or(t.status, "2"))) {
		return false, "", fmt.Errorf("want a %s answer, got:\n%s", cmp.Or(t.status, "2xx"), head)
	}
	if t.anyCase {
		head = bytes.ToLower(head)
	}
	if expected = bytes.Contains(head, []byte(t.expect)); !expected {
		value, _ := field(head, "cache-status")
		status = string(value)
	}
	if t.status == "304" {
		return expected, status, nil // it has no body
	}
	if length, ok := field(head, "content-length"); ok {
		n, err := strconv.Atoi(string(length))
		if err == nil {
			_, err = in.Discard(n)
		}
		return expected, status, err
	}
	// In chunks: nothing follows before the next request is sent, so reading ahead loses nothing.
	response, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(head)), in)), nil)
	if err != nil {
		return false, "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return expected, status, err
}

// readHead reads a header section with its empty line. It must fit into the reader's buffer.
func readHead(in *bufio.Reader) ([]byte, error) {
	for have := 1; ; have = in.Buffered() + 1 {
		if _, err := in.Peek(have); err != nil {
			return nil, err
		}
		some, _ := in.Peek(in.Buffered())
		if end := bytes.Index(some, []byte("\r\n\r\n")); end >= 0 {
			_, err := in.Discard(end + 4)
			return some[:end+4], err
		}
	}
}

// field gives the value of a field that Envoy writes in lower case.
func field(head []byte, name string) ([]byte, bool) {
	_, rest, ok := bytes.Cut(head, []byte("\r\n"+name+": "))
	if !ok {
		return nil, false
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return value, true
}

// clearText speaks HTTP/2 without TLS, by at most so many connections (0: any number).
func clearText(connections int) *http.Transport {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: &protocols, MaxConnsPerHost: connections}
}

// overHTTP2 is the same by HTTP/2.
func (c client) overHTTP2(ctx context.Context, transport *http.Transport, more func() bool) (l load, err error) {
	for more() {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback.Addr(c.port)+c.traffic.path(), nil)
		if err != nil {
			return l, err
		}
		req.Host = authority
		req.Header.Set("Authorization", "Bearer bench")
		sent := time.Now()
		response, err := transport.RoundTrip(req)
		if err != nil {
			return l, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return l, err
		}
		if response.StatusCode/100 != 2 {
			return l, fmt.Errorf("want a 2xx answer, got %s", response.Status)
		}
		status := response.Header.Get("Cache-Status")
		l.see(time.Since(sent), strings.Contains(status, c.traffic.expect), status)
	}
	return l, nil
}
