package stack

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main is what a command does: run, until it has ended or is interrupted; a second Ctrl-C ends the process at once. An error
// is told behind the command's name, and makes the exit code 1.
func Main(command string, run func(ctx context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", command, err)
		os.Exit(1)
	}
}
