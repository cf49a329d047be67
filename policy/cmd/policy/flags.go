package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// newFlags gives the flags of a command. What is wrong with them, and what there are, parseArgs tells.
func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parseArgs reads flags that may stand before, between and after the other arguments; usage is what -h says above
// the flags. code is the exit code where there is nothing left to do, otherwise -1.
func parseArgs(flags *flag.FlagSet, usage string, args []string, s streams) (rest []string, code int) {
	for {
		if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(s.out, usage)
			flags.SetOutput(s.out)
			flags.PrintDefaults()
			return nil, exitOK
		} else if err != nil {
			return nil, misused(flags, s, err.Error())
		}
		if args = flags.Args(); len(args) == 0 {
			return rest, -1
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// misused says what is wrong with the arguments, and where to find what is right.
func misused(flags *flag.FlagSet, s streams, problem string) int {
	fmt.Fprintf(s.err, "policy: %s\n\"policy %s -h\" tells the options.\n", problem, flags.Name())
	return exitUsage
}

// wrongNumber is the problem of more or fewer arguments than are wanted.
func wrongNumber(found []string, want string) string {
	return fmt.Sprintf("found %d arguments, want %s", len(found), want)
}
