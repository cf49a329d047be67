package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"chatcache/test/loopback"
)

// Origin serves a handler on loopback, HTTP/1.1 and HTTP/2 without TLS.
type Origin struct {
	Port    int
	handler http.Handler
	server  *http.Server
}

// Start listens and serves.
func (o *Origin) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", loopback.Addr(o.Port))
	if err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	o.server = &http.Server{Handler: o.handler, Protocols: &protocols, ReadHeaderTimeout: 10 * time.Second}
	go o.server.Serve(l) // ends with Stop; a listener that breaks shows as refused requests
	return nil
}

// Stop closes the listener and every connection.
func (o *Origin) Stop() error {
	if o.server == nil {
		return nil
	}
	return o.server.Close()
}

// URL is the origin's base URL.
func (o *Origin) URL() string { return "http://" + loopback.Addr(o.Port) }
