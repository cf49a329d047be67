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
	clusters               pairs
	workers                int
	allow                  bool
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

func (m *moduleFlags) register(f *flag.FlagSet) {
	f.StringVar(&m.wasm, "wasm", "", "the module's `FILE`")
	f.StringVar(&m.config, "config", "", "`FILE` with the plugin configuration")
	f.StringVar(&m.vmConfig, "vm-config", "", "`FILE` with the VM configuration")
	f.Var(&m.env, "env", "`NAME=VALUE` in the module's environment; NAME=$OTHER takes it from this process's; repeatable")
	f.Var(&m.clusters, "cluster", "`NAME=URL` that the module can call; repeatable")
	f.IntVar(&m.workers, "workers", 1, "worker threads, each with a VM of its own")
	f.BoolVar(&m.allow, "allow-on-headers-stop-iteration", false, "as in Envoy's plugin configuration")
	f.BoolVar(&m.verbose, "v", false, "show what the module logs")
}

// parse reads the flags; the code is -1 when the command can go on.
func parse(f *flag.FlagSet, args []string, stdout, stderr io.Writer) int {
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		printUsage(f, stdout)
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "hostsim %s: %v\n", f.Name(), err)
		printUsage(f, stderr)
		return exitUsage
	}
	return -1
}

func printUsage(f *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "usage: hostsim %s [flags]\n", f.Name())
	f.SetOutput(w)
	f.PrintDefaults()
}

// options reads the files that the flags name.
func (m *moduleFlags) options() (hostsim.Options, error) {
	o := hostsim.Options{Workers: m.workers, AllowOnHeadersStopIteration: m.allow, Env: map[string]string{}}
	if m.wasm == "" {
		return o, errors.New("--wasm is missing: which module shall run?")
	}
	if m.workers < 1 || m.workers > 64 {
		return o, fmt.Errorf("--workers is %d, want 1 to 64", m.workers)
	}
	for _, file := range []struct {
		path string
		to   *[]byte
	}{{m.wasm, &o.Module}, {m.config, &o.PluginConfig}, {m.vmConfig, &o.VMConfig}} {
		if file.path == "" {
			continue
		}
		b, err := os.ReadFile(file.path)
		if err != nil {
			return o, err
		}
		*file.to = b
	}
	for name, value := range m.env {
		if other, ok := strings.CutPrefix(value, "$"); ok {
			value = os.Getenv(other)
		}
		o.Env[name] = value
	}
	return o, nil
}

// handlers are the real servers behind --cluster.
func (m *moduleFlags) handlers(clock *hostsim.Clock, poke chan struct{}, patience time.Duration) (map[string]http.Handler, error) {
	all := map[string]http.Handler{}
	for name, text := range m.clusters {
		u, err := parseURL(text)
		if err != nil {
			return nil, fmt.Errorf("--cluster %s: %w", name, err)
		}
		all[name] = live.NewCluster(clock, u, poke, patience)
	}
	return all, nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("found %q, want http://HOST:PORT", text)
	}
	return u, nil
}
