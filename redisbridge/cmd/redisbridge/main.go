// Command redisbridge stands between chatcache's filters and Redis, and is the
// administrator's tool for what they keep there.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"chatcache/redisbridge"

	// Whom Mozilla trusts, for TLS to Redis where the system says nothing (the bridge's image holds no certificates).
	_ "golang.org/x/crypto/x509roots/fallback"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK    = 0
	exitNo    = 1 // it was understood and failed, or the answer is no
	exitUsage = 2
	exitWait  = 3 // it was done, and what was waited for didn't come in time
)

const usage = `redisbridge stands between chatcache's filters and Redis.

Usage:
  redisbridge serve  [flags]     answer the filters
  redisbridge purge  [flags]     invalidate stored responses
  redisbridge status [flags]     show what a bridge has done
  redisbridge controls [flags] [set|unset CACHE SETTING…]
                                 show or change what counts for caches, without a restart
  redisbridge inspect [flags] URL|KEY
                                 say what is stored for a request, and whether it is valid
  redisbridge doctor [flags]     look for what is wrong, and say what to do
  redisbridge rollout CACHE [flags]
                                 serve a cache to ever more users, while it holds
  redisbridge warm [flags] FILE  send the reads of a file through a proxy
  redisbridge version            say what this program was built as; status says it of a bridge

redisbridge COMMAND -h shows the flags.
`

// run is the command; it gives the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, []string, environment) int{
		"serve":  serve,
		"purge":  purge,
		"status": status, "controls": controls, "inspect": inspect, "doctor": doctor,
		"warm": warm, "rollout": rollout,
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "version", "--version":
		fmt.Fprintf(stdout, "redisbridge %s %s %s/%s\n", redisbridge.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return exitOK
	case "help", "-h", "-help", "--help":
		if len(args) > 1 && commands[args[1]] != nil {
			return commands[args[1]](ctx, []string{"-h"}, environment{getenv, stdout, stderr})
		}
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(stderr, "redisbridge: no command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	return command(ctx, args[1:], environment{getenv, stdout, stderr})
}

// environment is what a command sees of the process.
type environment struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

// fail reports an error and gives the code.
func (e environment) fail(code int, err error) int {
	fmt.Fprintln(e.stderr, "redisbridge:", err)
	return code
}
