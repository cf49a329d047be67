package stack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"chatcache/test/loopback"
)

// Bridge is the mesh's redisbridge.
type Bridge struct {
	*Process
	Port   int    // nobody listens there if Socket isn't empty
	Socket string // the path of the Unix socket that it listens on instead
}

func newBridge(o Options, paths programs, died chan<- *Process) *Bridge {
	b := &Bridge{Port: o.Ports.Bridge, Socket: o.BridgeSocket}
	listen := loopback.Addr(b.Port)
	if b.Socket != "" {
		listen = "unix:" + b.Socket
	}
	b.Process = &Process{
		Name: "redisbridge", Log: filepath.Join(o.Dir, "redisbridge.log"), died: died,
		command: func(start int) *exec.Cmd {
			args := []string{"serve", "--listen", listen, "--policy", paths.policy}
			if start == 0 {
				// No proxy runs yet. Later starts can't assert that.
				args = append(args, "--bootstrap")
			}
			cmd := exec.Command(paths.bridge, append(args, o.BridgeArgs...)...)
			cmd.Dir = o.Dir
			cmd.Env = append(os.Environ(),
				"REDIS_URL="+o.RedisURL,
				"CHATCACHE_PARTITION_SECRET="+PartitionSecret,
				"CHATCACHE_BRIDGE_TOKEN="+BridgeToken,
				"CHATCACHE_ADMIN_TOKEN="+AdminToken)
			return cmd
		},
		probe: func(ctx context.Context) error { return expectOK(ctx, b.client(), b.URL()+"/readyz") },
	}
	return b
}

// client speaks to the bridge, wherever it listens.
func (b *Bridge) client() *http.Client {
	if b.Socket == "" {
		return http.DefaultClient
	}
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", b.Socket)
	}}}
}

// URL is the bridge's base URL.
func (b *Bridge) URL() string { return "http://" + loopback.Addr(b.Port) }

// ExpectOK asks for url and wants a 200: the probe of a process that serves HTTP.
func ExpectOK(ctx context.Context, url string) error { return expectOK(ctx, http.DefaultClient, url) }

func expectOK(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
