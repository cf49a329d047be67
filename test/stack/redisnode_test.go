package stack

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// The Sentinels watch the port that the servers have. (The tests give them others.)
func TestSentinelsWatchTheServers(t *testing.T) {
	found := func(file, pattern string) string {
		root, err := Root()
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(root, "envoy", "redis", file))
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(pattern).FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("%s has nothing like %s", file, pattern)
		}
		return m[1]
	}
	server, watched := found("server.conf", `(?m)^port (\d+)$`), found("sentinel.conf", `(?m)^sentinel monitor \S+ \S+ (\d+) 2$`)
	if said := found("server.conf", `--replicaof HOST (\d+)`); server != watched || server != said {
		t.Errorf("server.conf has port %s and speaks of %s, sentinel.conf watches %s", server, said, watched)
	}
}

// The shipped settings make a set that elects another primary, and a cluster
// that serves every slot.
func TestReplicated(t *testing.T) {
	r := ReplicatedT(t, 2)
	if p := r.Primary(t.Context()); p != r.Servers[0] {
		t.Fatalf("the Sentinels name %v", p)
	}
	if err := r.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	WaitT(t, "another server is the primary", func(ctx context.Context) error {
		if p := r.Primary(ctx); p == nil || p == r.Servers[0] {
			return errors.New("not yet")
		}
		return nil
	})
}

func TestRedisCluster(t *testing.T) {
	c := RedisClusterT(t, 3, 1)
	slot, err := c.Slot(t.Context(), 0, "{tag}:key")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := c.Owner(t.Context(), 0, slot)
	if err != nil || owner < 0 || owner > 2 {
		t.Fatalf("slot %d is of node %d, %v", slot, owner, err)
	}
	to := (owner + 1) % 3
	if err := c.Nodes[owner].Client.Set(t.Context(), "{tag}:key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	m, err := c.Migrate(t.Context(), slot, owner, to)
	if err == nil {
		err = m.Finish(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.Nodes[to].Client.Get(t.Context(), "{tag}:key").Result(); err != nil || v != "value" {
		t.Errorf("after the migration: %q, %v", v, err)
	}
}
