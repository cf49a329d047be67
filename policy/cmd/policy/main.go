// Command policy checks policies, explains what they do to a request, and writes what deploys them.
//
//	policy check [--json] [--strict] [--for TARGET] FILE…
//	policy explain [options] FILE METHOD URL
//	policy diff [--json] OLD NEW
//	policy render --for TARGET [options] FILE
//
// It exits with 0 when the answer is yes, 1 when it is no (the policy has
// problems, no rule matches, the target can't do what the policy says, two policies differ), and 2 when it was called wrongly or can't read a file.
package main

import (
	"fmt"
	"io"
	"os"
)

// Exit codes.
const (
	exitOK    = 0
	exitNo    = 1
	exitUsage = 2
)

const usage = `policy checks chatcache policies, explains what they do and writes what deploys them.

  policy check [--for TARGET] FILE…          report every problem of the policies, and warnings (--strict: they count)
  policy explain [options] FILE METHOD URL   say what a policy does to a request
  policy diff OLD NEW                        say what a change of the policy does to each cache
  policy render --for TARGET [options] FILE  write the YAML that loads the filter with the policy

TARGET is envoy, istio or envoy-gateway.

FILE may be - for standard input. "policy COMMAND -h" tells the options.
Exit codes: 0 yes, 1 no (the policy has problems, no rule matches, render: the target can't do it, diff: they differ),
2 wrong usage, or a file can't be read (diff: or has problems).
`

// streams is where a command reads and writes, and the environment that it sees.
type streams struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
}

func main() {
	os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr, os.Getenv}))
}

func run(args []string, s streams) int {
	if len(args) == 0 {
		fmt.Fprint(s.err, usage)
		return exitUsage
	}
	switch args[0] {
	case "check":
		return check(args[1:], s)
	case "explain":
		return explain(args[1:], s)
	case "diff":
		return diff(args[1:], s)
	case "render":
		return render(args[1:], s)
	case "help", "-h", "--help":
		fmt.Fprint(s.out, usage)
		return exitOK
	}
	fmt.Fprintf(s.err, "policy: there is no command %q\n\n%s", args[0], usage)
	return exitUsage
}
