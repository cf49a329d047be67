// Command image makes the OCI images of the filter and of the bridge; `make image` calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"chatcache/envoy/image"
)

// Exit codes.
const (
	exitOK    = 0
	exitNo    = 1 // it was understood and failed
	exitUsage = 2
)

const usage = `image makes the OCI images of chatcache, without Docker. The same files give the same digest.

  image filter --wasm FILE [flags]            the plugin, as Istio and Envoy Gateway fetch it
  image bridge --binary ARCH=FILE… [flags]    the container, for amd64 and arm64

Where to (without any, only the digests are printed):
  --layout DIR      an OCI image layout
  --tar FILE        the same as one file: podman load, docker load (25 and later), skopeo
  --push REFERENCE  a registry, REGISTRY/NAME:TAG, with the credentials of docker or podman login
  --insecure        the registry has no TLS

What it says of itself:
  --version VERSION, --revision COMMIT, --source URL

  --json            print the digests as JSON

Exit codes: 0 done, 1 a file or the registry is at fault, 2 wrong usage.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "filter", "bridge":
	case "help", "-h", "-help", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	default:
		fmt.Fprintf(stderr, "image: there is no image %q\n\n%s", args[0], usage)
		return exitUsage
	}
	o, err := parseOptions(args[0], args[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err == nil {
		err = o.make(ctx, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "image:", err)
		if errors.Is(err, errUsage) || errors.Is(err, image.ErrReference) {
			return exitUsage
		}
		return exitNo
	}
	return exitOK
}
