package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// peer is another product's cache before the same origin, asked the same. It is measured where the machine
// has it: the Debian packages are nginx-core and varnish.
type peer struct {
	program string
	// command starts it in the foreground with its files in dir, listening on port.
	command func(dir string, port, origin int) (*exec.Cmd, error)
}

// The peers by the name that rows have.
var peers = map[string]peer{
	"nginx": {"nginx", func(dir string, port, origin int) (*exec.Cmd, error) {
		file := filepath.Join(dir, "nginx.conf")
		user := ""
		if os.Getuid() == 0 { // its worker would be somebody who can't read dir
			user = "user root;"
		}
		return exec.Command("nginx", "-p", dir, "-c", file), os.WriteFile(file, fmt.Appendf(nil, nginxConfiguration, dir, port, origin, user), 0o600)
	}},
	"Varnish": {"varnishd", func(dir string, port, origin int) (*exec.Cmd, error) {
		return exec.Command("varnishd", "-F", "-j", "none", "-n", filepath.Join(dir, "varnish"), "-a", loopback.Addr(port),
			"-b", loopback.Addr(origin), "-s", "malloc,64m", "-t", "3600"), nil
	}},
}

// nginxConfiguration has one worker, as Envoy has.
const nginxConfiguration = `%[4]s daemon off; worker_processes 1; pid %[1]s/nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  proxy_cache_path %[1]s/cache keys_zone=bench:10m;
  server {
    listen 127.0.0.1:%[2]d;
    location / { proxy_pass http://127.0.0.1:%[3]d; proxy_cache bench; proxy_cache_valid 200 1h; add_header age $upstream_cache_status; }
  }
}
`

// running is a peer that has been started.
type running struct {
	*stack.Process
	port int
}

// startPeers starts those that rows ask for and the machine has; missing has the names of the others.
func (m *mesh) startPeers(ctx context.Context, dir string, list []row) (missing []string, err error) {
	m.peers = map[string]running{}
	for _, w := range list {
		if _, started := m.peers[w.peer]; started || w.peer == "" {
			continue
		}
		p := peers[w.peer]
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, w.peer)
			continue
		}
		port, err := loopback.FreePort()
		if err != nil {
			return nil, err
		}
		own := filepath.Join(dir, p.program)
		if err := os.Mkdir(own, 0o700); err != nil {
			return nil, err
		}
		command, err := p.command(own, port, m.Origin.Port)
		if err != nil {
			return nil, err
		}
		process := stack.NewProcess(w.peer, filepath.Join(dir, p.program+".log"),
			func(int) *exec.Cmd { return exec.Command(command.Path, command.Args[1:]...) },
			func(ctx context.Context) error { return stack.Connects(ctx, port) })
		if err := process.Start(ctx); err != nil {
			return nil, err
		}
		m.peers[w.peer] = running{process, port}
	}
	return missing, nil
}

func (m *mesh) stopPeers() error {
	var errs []error
	for _, p := range m.peers {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}
