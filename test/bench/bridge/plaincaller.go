package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// plainCaller is a connection to a server likewise, with HTTP/1.1, as a worker has one for each call under way where its
// cluster says so.
type plainCaller struct {
	conn net.Conn
	in   *bufio.Reader
	head string // of every request, up to its content's length
}

func dialPlain(ctx context.Context, port int, path string) (*plainCaller, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", loopback.Addr(port))
	if err != nil {
		return nil, err
	}
	return &plainCaller{conn: conn, in: bufio.NewReaderSize(conn, 1024), head: fmt.Sprintf(
		"POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\nAuthorization: Bearer %s\r\nContent-Length: ", path, loopback.Addr(port), stack.BridgeToken)}, nil
}

func (c *plainCaller) close() error { return c.conn.Close() }

// call gives the answer to one request. The error matches errStatus if it isn't a 200.
func (c *plainCaller) call(body []byte) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(c.conn, "%s%d\r\n\r\n%s", c.head, len(body), body); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w %s, want 200", errStatus, answer.Status)
	}
	return text, err
}
