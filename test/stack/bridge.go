package stack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"chatcache/test/loopback"
)

// Bridge is the mesh's redisbridge.
type Bridge struct {
	*Process
	Port int
}

func newBridge(o Options, paths programs, died chan<- *Process) *Bridge {
	b := &Bridge{Port: o.Ports.Bridge}
	b.Process = &Process{
		Name: "redisbridge", Log: filepath.Join(o.Dir, "redisbridge.log"), died: died,
		command: func(start int) *exec.Cmd {
			args := []string{"serve", "--listen", loopback.Addr(b.Port), "--policy", paths.policy}
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
		probe: func(ctx context.Context) error { return ExpectOK(ctx, b.URL()+"/readyz") },
	}
	return b
}

// URL is the bridge's base URL.
func (b *Bridge) URL() string { return "http://" + loopback.Addr(b.Port) }

// ExpectOK asks for url and wants a 200: the probe of a process that serves HTTP.
func ExpectOK(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
