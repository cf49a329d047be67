// Command hostsim runs a proxy-wasm module without a proxy: "serve" as a local
// HTTP proxy, "test" against scenario files.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK    = 0
	exitNo    = 1 // an expectation wasn't met, or the module doesn't run
	exitUsage = 2
)

const usage = `hostsim runs a proxy-wasm module without a proxy.

  hostsim serve --wasm FILE --upstream URL [flags]     a local HTTP proxy that runs the module
  hostsim test  --wasm FILE [flags] SCENARIO…          runs scenario files and compares

"hostsim COMMAND --help" tells the flags. Exit codes: 0 all is well, 1 an
expectation wasn't met or the module doesn't run, 2 wrong usage.
`

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "serve":
		return serve(ctx, args[1:], stdout, stderr)
	case "test":
		return test(args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	fmt.Fprintf(stderr, "hostsim: unknown command %q\n\n%s", args[0], usage)
	return exitUsage
}
