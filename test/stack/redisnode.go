package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"chatcache/test/loopback"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// RedisNode is one server process of a [Replicated] set or of a [RedisCluster].
type RedisNode struct {
	*Process
	Port int
	// Client speaks to this node alone, whatever its role.
	Client *redis.Client

	dir, binary string
	arguments   []string // settings file first
}

// newRedisNode prepares a node that runs a copy of one of the shipped settings
// files, in which words may be replaced (old, new, …), with a port and a
// directory of its own, and more arguments.
func newRedisNode(dir, name, settings string, replace []string, more ...string) (*RedisNode, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	n := &RedisNode{dir: filepath.Join(dir, name)}
	if n.binary, err = ValkeyPath(root); err != nil {
		return nil, err
	}
	if n.Port, err = loopback.FreePort(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return nil, err
	}
	// The server may write to its settings file.
	text, err := os.ReadFile(filepath.Join(root, "envoy", "redis", settings))
	if err != nil {
		return nil, err
	}
	own := filepath.Join(n.dir, settings)
	if err := os.WriteFile(own, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o644); err != nil {
		return nil, err
	}
	n.arguments = append([]string{own, "--port", strconv.Itoa(n.Port), "--dir", n.dir}, more...)
	n.Process = &Process{
		Name: name, Log: filepath.Join(dir, name+".log"),
		command: func(int) *exec.Cmd {
			cmd := exec.Command(n.binary, n.arguments...)
			cmd.Dir = n.dir
			return cmd
		},
		probe: func(ctx context.Context) error { return ping(ctx, "tcp", n.Addr()) },
	}
	n.Client = redis.NewClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DisableIdentity: true})
	return n, nil
}

// Addr is the node's host:port.
func (n *RedisNode) Addr() string { return loopback.Addr(n.Port) }

// startNodesT starts the nodes, and ends them at the test's end, showing what
// they logged if it failed.
func startNodesT(t testing.TB, nodes []*RedisNode) {
	t.Helper()
	t.Cleanup(func() {
		for _, n := range nodes {
			n.Client.Close()
			if err := n.Kill(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the end of %s's log:\n%s", n.Name, n.LogTail(30))
			}
		}
	})
	group, ctx := errgroup.WithContext(t.Context())
	for _, n := range nodes {
		group.Go(func() error { return n.Start(ctx) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// requireRedisT skips the test, or with CHATCACHE_REQUIRE=1 fails it, where
// there is no Redis server to run.
func requireRedisT(t testing.TB) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	_, err = ValkeyPath(root)
	Require(t, err)
}

func nodeNames(prefix string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", prefix, i))
	}
	return names
}
