package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"time"
)

const warmUsage = `Usage: redisbridge warm [flags] FILE

Sends the reads of a file through a proxy, so that their responses are stored before
anybody waits for them. What is stored already is a hit, and costs the origin nothing.

FILE has one read a line; - is the standard input. A line is one of
  {"path": "/chat/sessions?page=2", "authority": "api.example.com", "header": {"authorization": "Bearer …"}}
                    JSON; only path must be there. "method" may be there too
  GET /chat/sessions?page=2 …
                    a method and a path; what follows them is left out
  … "GET /chat/sessions?page=2 HTTP/1.1" …
                    what servers' access logs have
Empty lines, lines that begin with #, and other methods than GET are left out: those
may change something, or have a body that a log doesn't show.

Flags:
  --proxy URL       where to send them (default http://127.0.0.1:10000)
  --authority NAME  the host that they ask for, where a line names none (default: the proxy's)
  -H 'name: value'  a field for each of them that doesn't have it; repeatable.
                    -H @NAME reads such lines from a file, as credentials had better be.
                    Where the origin compresses give the accept-encoding of its clients
                    (browsers: gzip, deflate, br, zstd): what is stored answers those who
                    send the same, and without it those who send "gzip"
  --rate N          requests a second at most (default 50)
  --concurrency N   requests at the same time at most (default 8)
  --timeout TIME    of one request (default 10s)
  --max-errors N    stop after so many errors, for the origin's sake; 0: don't (default 20)
  --from LINE       begin there, as one that was stopped says
  --json            print the summary as JSON

Exit codes: 0 all were answered, 1 some were not or it was stopped, 2 usage or a bad file.
`

type warmFlags struct {
	proxy, authority string
	fields           http.Header
	rate             float64
	concurrency      int
	timeout          time.Duration
	maxErrors, from  int
	json             bool
}

func (f *warmFlags) register(set *flag.FlagSet) {
	f.fields = http.Header{}
	f.proxy = "http://127.0.0.1:10000"
	set.Func("proxy", "", func(name string) (err error) {
		if strings.HasPrefix(name, "unix:") {
			return errors.New("want http://host:port or host:port")
		}
		f.proxy, err = baseURL(name)
		return err
	})
	set.StringVar(&f.authority, "authority", "", "")
	set.Func("H", "", f.addFields)
	set.Float64Var(&f.rate, "rate", 50, "")
	set.IntVar(&f.concurrency, "concurrency", 8, "")
	durationFlag(set, &f.timeout, "timeout", 10*time.Second)
	set.IntVar(&f.maxErrors, "max-errors", 20, "")
	set.IntVar(&f.from, "from", 1, "")
	set.BoolVar(&f.json, "json", false, "")
}

// addFields takes the argument of -H.
func (f *warmFlags) addFields(argument string) error {
	list, err := linesOf(argument)
	if err != nil {
		return err
	}
	for _, line := range list {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return errors.New(`write each field as "name: value"`)
		}
		if strings.EqualFold(strings.TrimSpace(name), "host") {
			return errors.New("name the host by --authority")
		}
		f.fields.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	return nil
}

// check tells what is wrong with the flags.
func (f *warmFlags) check() string {
	switch {
	case !(f.rate > 0 && f.rate <= 1e6):
		return "--rate must be more than 0, and 1000000 at most"
	case f.concurrency < 1 || f.concurrency > 1000:
		return "--concurrency must be from 1 to 1000"
	case f.timeout <= 0:
		return "--timeout must be more than 0"
	case f.maxErrors < 0:
		return "--max-errors must not be negative"
	case f.from < 1:
		return "--from counts lines from 1"
	}
	return ""
}

func warm(ctx context.Context, args []string, env environment) int {
	var f warmFlags
	set := env.flagSet("warm", warmUsage)
	f.register(set)
	name, err := env.parseOne(set, args, "FILE")
	if err != nil {
		return usageCode(err)
	}
	if problem := f.check(); problem != "" {
		return usageCode(env.misused(set, problem))
	}
	reads, leftOut, err := readReplay(ctx, name, f.from)
	switch {
	case errors.Is(err, errInterrupted):
		return env.fail(exitNo, err)
	case err != nil:
		return env.fail(exitUsage, err)
	}
	summary := newWarming(f, env.stderr, http.DefaultTransport).run(ctx, reads)
	summary.LeftOut = leftOut
	if f.json {
		if code := env.printJSON(summary); code != exitOK {
			return code
		}
	} else {
		summary.print(env.stdout)
	}
	if summary.Errors > 0 || summary.Stopped != "" {
		return exitNo
	}
	return exitOK
}

// readReplay is readFile unless it is interrupted: nobody knows when a pipe, or who types at a terminal, comes to an end.
func readReplay(ctx context.Context, name string, from int) ([]replay, int, error) {
	var reads []replay
	var leftOut int
	var err error
	read := make(chan struct{})
	go func() {
		defer close(read)
		reads, leftOut, err = readFile(name, from)
	}()
	select {
	case <-read:
		return reads, leftOut, err
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w before %s was read; nothing was sent", errInterrupted, name)
	}
}

// readFile reads the file's reads from a line on; those that are left out are counted.
func readFile(name string, from int) (reads []replay, leftOut int, err error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, 0, err
		}
		defer file.Close()
		in = file
	}
	reads, leftOut, err = parseReplay(in, from)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", name, err)
	}
	return reads, leftOut, nil
}
