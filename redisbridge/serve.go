package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"chatcache/redisbridge/h2c"
	"chatcache/redisbridge/wire"
)

// drainTime bounds how long calls in flight may take at the end.
const drainTime = 5 * time.Second

// Listen opens "host:port" or "unix:/path". A socket file that nobody listens on
// any more is replaced.
func Listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		return l, nil
	}
	if c, dialErr := net.Dial("unix", path); dialErr == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another process listens there: %w", path, err)
	}
	if info, statErr := os.Lstat(path); statErr != nil || info.Mode().Type() != fs.ModeSocket {
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return net.Listen("unix", path)
}

// Serve answers on l, HTTP/1.1 and HTTP/2 in clear text, until ctx is done. Then
// it drains: /readyz says no, held polls are answered, calls in flight finish.
func (b *Bridge) Serve(ctx context.Context, l net.Listener) error {
	server, streams := newServer(b), b.newStreams()
	done := make(chan error, 1)
	go func() { done <- server.Serve(streams.Listen(l, server.ReadHeaderTimeout)) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	b.Drain()
	if b.options.DrainDelay > 0 {
		b.clock.Wait(context.WithoutCancel(ctx), nil, b.options.DrainDelay)
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := errors.Join(server.Shutdown(limit), streams.Shutdown(limit))
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

const (
	readTimeout    = 10 * time.Second // of a body
	writeTimeout   = wire.MaxHold*time.Millisecond + 10*time.Second
	idleTimeout    = 5 * time.Minute
	maxHeaderBytes = 16 << 10
)

// newServer serves HTTP/1.1.
func newServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}

// newStreams serves HTTP/2.
func (b *Bridge) newStreams() *h2c.Server {
	return &h2c.Server{
		Handler: b, Limit: b.bodyLimit, MaxStreams: 1000, MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, Log: b.log,
	}
}

// bodyLimit is how much of a body is taken before its call is looked at: nothing of those that show no token.
func (b *Bridge) bodyLimit(r *http.Request) int {
	authorization, now := r.Header.Get("Authorization"), b.clock.Now()
	if _, err := b.filterTokens.admit(authorization, now); err == nil {
		return wire.MaxFrame
	}
	if _, err := b.admitViewer(authorization, now); err == nil {
		return maxAdminBody
	}
	return 0
}
