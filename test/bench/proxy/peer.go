package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// peer is another product's cache before the same origin, asked the same. It is measured where the machine
// has what it needs.
type peer struct {
	needs []need
	redis bool   // it keeps its answers in Redis, whose processor time counts, too
	hit   string // what stands in the header section of a hit
	// command gives what starts it in the foreground.
	command func(place) (*exec.Cmd, error)
}

// need is a program, or a file by its absolute path.
type need struct{ what, debian string }

// place is where a peer runs: a directory of its own, and ports.
type place struct {
	dir                 string
	port, origin, redis int
}

// The peers by the name that rows have.
var peers = map[string]peer{
	"nginx": {needs: []need{{"nginx", "nginx-core"}}, hit: "x-cache: hit", command: nginxWith("", nginxCaches)},
	"nginx + Lua + Redis": {
		needs: []need{{"nginx", "nginx-core"}, {nginxModules + "ngx_http_lua_module.so", "libnginx-mod-http-lua"}, {"/usr/share/lua/5.1/nginx/redis.lua", "lua-nginx-redis"}},
		redis: true, hit: "x-cache: hit", command: nginxWith(luaModules, luaCaches),
	},
	"Node + ioredis": {needs: []need{{"node", "nodejs"}, {"npm", "npm"}}, redis: true, hit: "x-cache: hit", command: nodeServer},
	"Varnish": {needs: []need{{"varnishd", "varnish"}}, hit: "age: ", command: func(at place) (*exec.Cmd, error) {
		return exec.Command("varnishd", "-F", "-j", "none", "-n", filepath.Join(at.dir, "varnish"), "-a", loopback.Addr(at.port),
			"-b", loopback.Addr(at.origin), "-s", "malloc,64m", "-t", "3600"), nil
	}},
}

// nodeServer installs what test/bench/proxy/node needs beside a copy of it, in the versions that its
// package-lock.json pins by their hashes.
func nodeServer(at place) (*exec.Cmd, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(at.dir, "node")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "test", "bench", "proxy", "node"))); err != nil {
		return nil, err
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir, install.Stderr = dir, os.Stderr
	if err := install.Run(); err != nil { // no registry, most likely
		return nil, fmt.Errorf("%w: what npm ci installs: %w", errMissing, err)
	}
	return exec.Command("node", filepath.Join(dir, "server.js"), strconv.Itoa(at.port), strconv.Itoa(at.origin), strconv.Itoa(at.redis)), nil
}

// errMissing says that the machine lacks what a peer needs.
var errMissing = errors.New("not on this machine")

func (p peer) check() error {
	for _, n := range p.needs {
		find := func(name string) error { _, err := exec.LookPath(name); return err }
		if filepath.IsAbs(n.what) {
			find = func(name string) error { _, err := os.Stat(name); return err }
		}
		if find(n.what) != nil {
			return fmt.Errorf("%w: %s (Debian: %s)", errMissing, n.what, n.debian)
		}
	}
	return nil
}

// running is a peer that has been started.
type running struct {
	*stack.Process
	port int
}

// startPeers starts those that rows ask for and the machine has; missing tells by their names what the others lack.
func (m *mesh) startPeers(ctx context.Context, dir string, list []row) (missing map[string]string, err error) {
	m.peers, missing = map[string]running{}, map[string]string{}
	for _, w := range list {
		if _, done := m.peers[w.peer]; done || w.peer == "" || missing[w.peer] != "" {
			continue
		}
		started, err := m.startPeer(ctx, dir, w.peer)
		switch {
		case errors.Is(err, errMissing):
			missing[w.peer] = err.Error()
		case err != nil:
			return nil, fmt.Errorf("%s: %w", w.peer, err)
		default:
			m.peers[w.peer] = started
		}
	}
	return missing, nil
}

func (m *mesh) startPeer(ctx context.Context, dir, name string) (r running, err error) {
	p := peers[name]
	if err := p.check(); err != nil {
		return r, err
	}
	at := place{origin: m.Origin.Port, redis: m.Valkey.Port}
	if at.port, err = loopback.FreePort(); err != nil {
		return r, err
	}
	if at.dir, err = os.MkdirTemp(dir, "peer"); err != nil {
		return r, err
	}
	command, err := p.command(at)
	if err != nil {
		return r, err
	}
	process := stack.NewProcess(name, filepath.Join(at.dir, "log"),
		func(int) *exec.Cmd { return exec.Command(command.Path, command.Args[1:]...) },
		func(ctx context.Context) error { return stack.Connects(ctx, at.port) })
	if err := process.Start(ctx); err != nil {
		return r, err
	}
	return running{process, at.port}, sameAnswer(ctx, at.port, p)
}

// sameAnswer wants a peer's hit to be what the proxies' hits are: all fields and the body.
func sameAnswer(ctx context.Context, port int, p peer) error {
	for _, hit := range []bool{false, true} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+loopback.Addr(port)+"/items/1/same", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return err
		}
		if string(text) != bodies[1] || response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s with %d bytes, want the origin's %d", response.Status, len(text), len(bodies[1]))
		}
		for name, want := range sampleFields() {
			if got := response.Header.Get(name); got != want {
				return fmt.Errorf("it answers with %s %q, want the origin's %q", name, got, want)
			}
		}
		name, value, _ := strings.Cut(p.hit, ": ")
		if got := response.Header.Get(name); hit && !strings.HasPrefix(strings.ToLower(got), value) {
			return fmt.Errorf("it answers the second time with %s %q, want %s", name, got, value)
		}
	}
	return nil
}

func (m *mesh) stopPeers() error {
	var errs []error
	for _, p := range m.peers {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}
