package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// newFlags gives the flags of a command; text is its usage, above them.
func newFlags(name, text string, w io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(w)
	flags.Usage = func() {
		fmt.Fprint(w, text)
		flags.PrintDefaults()
	}
	return flags
}

// parseArgs reads flags that may stand before, between and after the other arguments. code is
// the exit code where there is nothing left to do, otherwise -1.
func parseArgs(flags *flag.FlagSet, args []string) (rest []string, code int) {
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, exitOK
		} else if err != nil {
			return nil, exitUsage
		}
		if args = flags.Args(); len(args) == 0 {
			return rest, -1
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}
