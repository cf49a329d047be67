// Command gowasm makes a module that Go's compiler has written quicker to load and to run, see package gowasm; `make build` calls it.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"chatcache/gowasm"
)

// Exit codes.
const (
	exitOK    = 0
	exitNo    = 1 // it was understood and failed
	exitUsage = 2
)

const usage = `gowasm makes a WebAssembly module that Go's compiler has written quicker to load and to run in Envoy. It does what it did.

  gowasm [--json] [--first FILE] IN OUT    OUT may be IN

  --first FILE    names of functions, a line each, that are called often: they are put in front of the others. IN has to
                  have names (-ldflags=-w, without -s), at least one of these among them; OUT has none
  --json          print what was done as JSON

Exit codes: 0 done, 1 a file is at fault, 2 wrong usage.
`

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("gowasm", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	asJSON := flags.Bool("json", false, "")
	first := flags.String("first", "", "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	if err == nil && flags.NArg() != 2 {
		err = fmt.Errorf("found %d files, want two", flags.NArg())
	}
	if err != nil {
		fmt.Fprintf(stderr, "gowasm: %v\n\n%s", err, usage)
		return exitUsage
	}
	done, err := optimize(flags.Arg(0), flags.Arg(1), *first)
	if err != nil {
		fmt.Fprintln(stderr, "gowasm:", err)
		return exitNo
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(done)
	} else {
		_, err = fmt.Fprintf(stdout, "%s: %d instead of %d bytes; of %d functions %d are in front, nothing is inlined into %d; %d jumps are direct, %d branches have hints\n",
			flags.Arg(1), done.After, done.Before, done.Functions, done.First, done.Filled, done.Direct, done.Hints)
	}
	if err != nil {
		fmt.Fprintln(stderr, "gowasm:", err)
		return exitNo
	}
	return exitOK
}

func optimize(in, out, first string) (gowasm.Summary, error) {
	module, err := os.ReadFile(in)
	if err != nil {
		return gowasm.Summary{}, err
	}
	names, err := readNames(first)
	if err != nil {
		return gowasm.Summary{}, err
	}
	module, done, err := gowasm.Optimize(module, names...)
	if err != nil {
		return done, fmt.Errorf("%s: %w", in, err)
	}
	if len(names) > 0 && done.First == 0 { // some may be missing, since lists age; this is no list, or another module's
		return done, fmt.Errorf("%s: none of its %d names, such as %.60q, is that of one of the %d functions of %s; want names as its section of names has them, a line each",
			first, len(names), names[0], done.Functions, in)
	}
	return done, write(out, module)
}

// readNames reads the list of functions that come first: none without a file.
func readNames(file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	list, err := os.ReadFile(file)
	return gowasm.Names(list), err
}

// write writes a file that is there as a whole at any time, since proxies may be reading it, and leaves one that is right alone.
func write(name string, content []byte) error {
	if was, err := os.ReadFile(name); err == nil && bytes.Equal(was, content) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
