package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"chatcache/hostsim"
	"chatcache/hostsim/internal/live"
)

// moduleFlags are what serve and test have in common: which module, how it is
// configured, and what it can reach.
type moduleFlags struct {
	wasm, config, vmConfig string
	env                    pairs
	clusters               urls
	workers                int
	allow, normalize       bool
	verbose                bool
}

// pairs is a flag NAME=VALUE that can be repeated.
type pairs map[string]string

func (p *pairs) String() string { return "" }

func (p *pairs) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("found %q, want NAME=VALUE", s)
	}
	if *p == nil {
		*p = pairs{}
	}
	(*p)[name] = value
	return nil
}

// urls is a flag NAME=URL that can be repeated.
type urls map[string]*url.URL

func (u *urls) String() string { return "" }

func (u *urls) Set(s string) error {
	var one pairs
	if err := one.Set(s); err != nil {
		return err
	}
	for name, text := range one {
		parsed, err := parseURL(text)
		if err != nil {
			return err
		}
		if *u == nil {
			*u = urls{}
		}
		(*u)[name] = parsed
	}
	return nil
}

func (m *moduleFlags) register(f *flag.FlagSet) {
	f.StringVar(&m.wasm, "wasm", "", "the module's `FILE`")
	f.StringVar(&m.config, "config", "", "`FILE` with the plugin configuration")
	f.StringVar(&m.vmConfig, "vm-config", "", "`FILE` with the VM configuration")
	f.Var(&m.env, "env", "`NAME=VALUE` in the module's environment; NAME=$OTHER takes it from this process's; repeatable")
	f.Var(&m.clusters, "cluster", "`NAME=URL` that the module can call; repeatable")
	f.IntVar(&m.workers, "workers", 1, "`NUMBER` of worker threads, each with a VM of its own")
	f.BoolVar(&m.normalize, "normalize-path", false, "normalize_path and merge_slashes of Envoy's connection manager")
	f.BoolVar(&m.allow, "allow-on-headers-stop-iteration", false, "as in Envoy's plugin configuration")
	f.BoolVar(&m.verbose, "v", false, "show what the module logs")
}

// parse reads flags and other arguments, in any order; the code is -1 when the
// command can go on. usage is what --help says above the flags.
func parse(f *flag.FlagSet, usage string, args []string, stdout, stderr io.Writer) (rest []string, code int) {
	f.SetOutput(io.Discard)
	for len(args) > 0 {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(stdout, "%s\nflags:\n", usage)
			f.SetOutput(stdout)
			f.PrintDefaults()
			return nil, exitOK
		}
		if err != nil {
			return nil, misused(f, stderr, err)
		}
		if args = f.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, -1
}

// misused says what is wrong with the command line.
func misused(f *flag.FlagSet, stderr io.Writer, err error) int {
	fmt.Fprintf(stderr, "hostsim %s: %v\n\"hostsim %s --help\" tells the flags.\n", f.Name(), err, f.Name())
	return exitUsage
}

// options reads the files that the flags name.
func (m *moduleFlags) options() (hostsim.Options, error) {
	o := hostsim.Options{Workers: m.workers, AllowOnHeadersStopIteration: m.allow, NormalizePath: m.normalize, MergeSlashes: m.normalize, UseRemoteAddress: true, Env: map[string]string{}}
	if m.wasm == "" {
		return o, errors.New("--wasm is missing: which module shall run?")
	}
	if m.workers < 1 || m.workers > 64 {
		return o, fmt.Errorf("--workers is %d, want 1 to 64", m.workers)
	}
	for _, file := range []struct {
		flag, path string
		to         *[]byte
	}{{"wasm", m.wasm, &o.Module}, {"config", m.config, &o.PluginConfig}, {"vm-config", m.vmConfig, &o.VMConfig}} {
		if file.path == "" {
			continue
		}
		b, err := os.ReadFile(file.path)
		if err != nil {
			return o, fmt.Errorf("--%s: %w", file.flag, err)
		}
		*file.to = b
	}
	for name, value := range m.env {
		if other, ok := strings.CutPrefix(value, "$"); ok {
			if value, ok = os.LookupEnv(other); !ok {
				return o, fmt.Errorf("--env %s=$%s: %s is not set in this environment", name, other, other)
			}
		}
		o.Env[name] = value
	}
	return o, nil
}

// handlers are the real servers behind --cluster; out hears of those that don't answer.
func (m *moduleFlags) handlers(clock *hostsim.Clock, poke chan struct{}, patience time.Duration, out *syncWriter) map[string]http.Handler {
	all := map[string]http.Handler{}
	for name, u := range m.clusters {
		all[name] = live.NewCluster(clock, u, poke, patience, out.failed(name))
	}
	return all
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("found %q, want http://HOST:PORT", text)
	}
	return u, nil
}
