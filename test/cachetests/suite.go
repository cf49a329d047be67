package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// suite is a checkout of the tests.
type suite struct {
	dir    string
	server *stack.Process
}

// check looks whether the checkout is one, and can run.
func (s suite) check() error {
	if s.dir == "" {
		return errors.New("want the checkout of https://github.com/http-tests/cache-tests: -checkout DIR, or CACHE_TESTS=DIR of make")
	}
	if _, err := os.Stat(filepath.Join(s.dir, "test-engine", "cli.mjs")); err != nil {
		return fmt.Errorf("%s is no checkout of cache-tests: %w", s.dir, err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "node_modules", "undici")); err != nil {
		return fmt.Errorf("run `npm install undici@7` in %s: %w", s.dir, err)
	}
	_, err := exec.LookPath("node")
	return err
}

// node runs Node in the checkout. The tests are told what to do as npm would tell them.
func (s suite) node(ctx context.Context, settings []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "node", append([]string{"--no-warnings"}, args...)...)
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	cmd.Env = append(os.Environ(), settings...)
	return cmd
}

// loopbackOnly has the tests' server listen where nobody else reaches it.
const loopbackOnly = `data:text/javascript,import net from "node:net"; const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port) { return listen.call(this, port, "127.0.0.1") }`

// serve starts the tests' server and gives its port.
func (s *suite) serve(ctx context.Context, dir string) (port int, err error) {
	if port, err = loopback.FreePort(); err != nil {
		return 0, err
	}
	command := func(int) *exec.Cmd {
		return s.node(context.WithoutCancel(ctx), []string{
			"npm_config_protocol=http", "npm_config_port=" + strconv.Itoa(port), "npm_config_pidfile=" + filepath.Join(dir, "pid"),
		}, "--import", loopbackOnly, "test-engine/server/server.mjs")
	}
	s.server = stack.NewProcess("cache-tests", filepath.Join(dir, "cache-tests.log"), command, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback.Addr(port)+"/index.html", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(req)
		if err == nil {
			response.Body.Close()
		}
		return err
	})
	return port, s.server.Start(ctx)
}

// client runs the tests, or one of them, through the proxy at base.
func (s suite) client(ctx context.Context, base, only string) *exec.Cmd {
	return s.node(ctx, []string{"npm_config_base=" + base, "npm_config_id=" + only, "npm_package_config_id="}, "test-engine/cli.mjs")
}

func (s suite) run(ctx context.Context, base, file string) error {
	results, err := s.client(ctx, base, "").Output()
	if err != nil {
		return fmt.Errorf("the tests' client: %w", err)
	}
	return os.WriteFile(file, results, 0o644)
}

// show runs one test and prints what was sent and received, also where it fails.
func (s suite) show(ctx context.Context, base, id string) error {
	cmd := s.client(ctx, base, id)
	cmd.Stdout = os.Stdout
	failed := cmd.Run()
	log, err := os.ReadFile(s.server.Log)
	os.Stdout.Write(log)
	return errors.Join(failed, err)
}

// references are the results of other caches that come with the tests.
func (s suite) references() (files []string) {
	for _, name := range []string{"trafficserver", "apache", "squid", "varnish", "nginx"} {
		if file := filepath.Join(s.dir, "results", name+".json"); exists(file) {
			files = append(files, file)
		}
	}
	return files
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// verdict is what the tests say of themselves and of each cache.
type verdict struct {
	Caches []string
	Tests  []struct {
		ID, Name, Kind string
		Results        []string // by cache: the tests' own words, "pass" and so on
		Why            string   // what the first cache's result says
	}
}

//go:embed judge.mjs
var judge string

// judge has the tests' own code judge files of results.
func (s suite) judge(ctx context.Context, files []string) (v verdict, err error) {
	for i, file := range files {
		if files[i], err = filepath.Abs(file); err != nil {
			return v, err
		}
	}
	out, err := s.node(ctx, nil, append([]string{"--input-type=module", "-e", judge, "--"}, files...)...).Output()
	if err != nil {
		return v, fmt.Errorf("judging the results: %w", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		v.Caches = append(v.Caches, name[:len(name)-len(".json")])
	}
	return v, json.Unmarshal(out, &v.Tests)
}
