package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"chatcache/envoy/image"
)

// errUsage says that the command was called wrongly.
var errUsage = errors.New("wrong usage")

// options is what the command was asked for.
type options struct {
	which             string // filter or bridge
	wasm              string
	binaries          map[string]string // file by architecture
	description       image.Description
	layout, tar, push string
	insecure, json    bool
}

func parseOptions(which string, args []string) (options, error) {
	o := options{which: which, binaries: make(map[string]string)}
	flags := flag.NewFlagSet(which, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if which == "filter" {
		flags.StringVar(&o.wasm, "wasm", "", "")
	} else {
		flags.Func("binary", "", o.addBinary)
	}
	flags.StringVar(&o.layout, "layout", "", "")
	flags.StringVar(&o.tar, "tar", "", "")
	flags.StringVar(&o.push, "push", "", "")
	flags.BoolVar(&o.insecure, "insecure", false, "")
	flags.StringVar(&o.description.Version, "version", "", "")
	flags.StringVar(&o.description.Revision, "revision", "", "")
	flags.StringVar(&o.description.Source, "source", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w: %w; `image help` shows the flags", errUsage, err)
	case flags.NArg() > 0:
		return o, fmt.Errorf("%w: unexpected argument %q", errUsage, flags.Arg(0))
	case which == "filter" && o.wasm == "":
		return o, fmt.Errorf("%w: image filter needs --wasm FILE", errUsage)
	case which == "bridge" && len(o.binaries) == 0:
		return o, fmt.Errorf("%w: image bridge needs --binary ARCH=FILE", errUsage)
	}
	return o, nil
}

func (o *options) addBinary(value string) error {
	arch, path, ok := strings.Cut(value, "=")
	if !ok || arch == "" || path == "" {
		return errors.New("want ARCH=FILE")
	}
	if o.binaries[arch] != "" {
		return fmt.Errorf("%s is given twice", arch)
	}
	o.binaries[arch] = path
	return nil
}

// make makes the image, puts it where it was asked for, and prints its digests.
func (o options) make(ctx context.Context, stdout io.Writer) error {
	made, r, err := o.image()
	if err != nil {
		return err
	}
	if o.layout != "" {
		if err := image.Layout(o.layout, made); err != nil {
			return err
		}
		r.Written = append(r.Written, "OCI layout "+o.layout)
	}
	if o.tar != "" {
		if err := writeFile(o.tar, func(w io.Writer) error { return image.Tar(w, made) }); err != nil {
			return err
		}
		r.Written = append(r.Written, "OCI archive "+o.tar)
	}
	if o.push != "" {
		if err := image.Push(ctx, o.push, o.insecure, made); err != nil {
			return err
		}
		r.Reference = o.push
		r.Written = append(r.Written, "pushed to "+o.push)
	}
	return r.print(stdout, o.json)
}

func (o options) image() (image.Image, result, error) {
	r := result{Image: o.which}
	made, err := o.build(&r)
	if err != nil {
		return nil, r, err
	}
	r.Manifest, err = image.Digest(made)
	return made, r, err
}

func (o options) build(r *result) (image.Image, error) {
	if o.which == "filter" {
		wasm, err := os.ReadFile(o.wasm)
		if err != nil {
			return nil, err
		}
		r.File = image.FileSHA256(wasm)
		return image.Filter(wasm, o.description)
	}
	binaries := make(map[string][]byte)
	for arch, path := range o.binaries {
		binary, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		binaries[arch] = binary
	}
	return image.Bridge(binaries, o.description)
}

// writeFile leaves no half-written file behind.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Close())
	if err != nil {
		os.Remove(path)
	}
	return err
}
