package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"chatcache/test/stack"
)

// origin answers everything with a body of so many bytes.
func origin(size int) http.Handler {
	body := []byte(strings.Repeat("x", size))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(body) // a proxy that has gone shows at the client
	})
}

// clients are connections to one proxy. They speak plain HTTP/1.1: the client shares
// the machine with what it measures.
type clients []net.Conn

func dial(ctx context.Context, e *stack.Envoy, n int) (clients, error) {
	var list clients
	for range n {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", e.Port))
		if err != nil {
			list.close()
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (list clients) close() {
	for _, c := range list {
		c.Close()
	}
}

// ask asks for each of the keys from (inclusive) to (exclusive) once.
func (list clients) ask(ctx context.Context, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	for i, c := range list {
		group.Go(func() error {
			in := bufio.NewReader(c)
			for key := from + i; key < to; key += len(list) {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if err := one(c, in, key); err != nil {
					return fmt.Errorf("key %d: %w", key, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func one(c net.Conn, in *bufio.Reader, key int) error {
	if _, err := fmt.Fprintf(c, "GET /items/%d HTTP/1.1\r\nhost: soak.test\r\n\r\n", key); err != nil {
		return err
	}
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}
