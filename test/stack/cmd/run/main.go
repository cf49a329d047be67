// Command run is `make run`: the sample chat API, Valkey, the bridge and one
// Envoy with the filter, on loopback, until Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"chatcache/test/chatapi"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	settings, err := readSettings(os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "make run:", err)
		os.Exit(2)
	}
	stack.Main("make run", func(ctx context.Context) error { return run(ctx, settings) })
}

// run starts everything and returns when ctx is done, or with an error when a
// part ended on its own.
func run(ctx context.Context, s settings) error {
	if s.redisURL != "" {
		if err := checkRedis(ctx, s.redisURL); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "chatcache-run-")
	if err != nil {
		return err
	}
	fmt.Println("starting; the first start of the filter takes some seconds")
	mesh, err := stack.Start(ctx, stack.Options{
		Dir: dir, Workers: 2, Ports: s.ports, RedisURL: s.redisURL,
		Origin: chatapi.New(chatapi.Options{Latency: s.latency}),
	})
	if errors.Is(err, loopback.ErrPortTaken) {
		err = fmt.Errorf("%w\n%s", err, portHelp)
	}
	if err != nil {
		return stack.Failed(ctx, dir, err)
	}
	stack.WarmUp(ctx, mesh.Envoys[0].URL())
	fmt.Print(banner(mesh, dir))
	died := mesh.Wait(ctx)
	fmt.Println("\nstopping")
	if err := errors.Join(died, mesh.Close()); err != nil {
		return err // the logs stay
	}
	return os.RemoveAll(dir)
}
