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

	"chatcache/redisbridge/wire"
)

const (
	// drainTime bounds how long calls in flight may take at the end.
	drainTime = 5 * time.Second
	// answerTimeout bounds how long a poll's answer may take to be written.
	answerTimeout = 10 * time.Second
	// idleTimeout is how long a connection may wait for its next request.
	idleTimeout = 5 * time.Minute
)

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
	parking := newParking(b, l.Addr())
	server := newServer(b)
	server.BaseContext = func(net.Listener) context.Context {
		return context.WithValue(context.Background(), parkingKey{}, parking)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(joinedListener{l}) }()
	go server.Serve(parking) // ends with the server
	select {
	case err := <-done:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	b.Drain()
	if b.options.DrainDelay > 0 {
		b.clock.Wait(context.WithoutCancel(ctx), nil, b.options.DrainDelay)
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(limit)
	if err == nil {
		err = parking.wait(limit)
	}
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

func newServer(h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		Protocols:         protocols,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      wire.MaxHold*time.Millisecond + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
}
