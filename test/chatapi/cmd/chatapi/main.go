// Command chatapi serves the sample chat API; package chatapi lists its routes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"chatcache/test/chatapi"
)

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "usage: chatapi [-listen ADDRESS] [-latency SCALE]\n\nServes the sample chat API until SIGINT or SIGTERM.\n\n")
		flag.PrintDefaults()
	}
	listen := flag.String("listen", "127.0.0.1:3000", "address to serve")
	latency := flag.Float64("latency", 1, "scale of every route's latency; 0 answers at once")
	flag.Parse()
	if flag.NArg() > 0 || *latency < 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, chatapi.New(chatapi.Options{Latency: *latency})); err != nil {
		fmt.Fprintln(os.Stderr, "chatapi:", err)
		os.Exit(1)
	}
}

// serve serves until ctx is done, then lets what is in flight end for 5 s.
func serve(ctx context.Context, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("chatapi: serving http://%s\n", l.Addr())
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}
