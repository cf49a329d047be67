package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chatcache/test/loopback"

	"github.com/redis/go-redis/v9"
)

// slots is how many hash slots a cluster has.
const slots = 16384

// RedisCluster is a Redis Cluster, as envoy/redis/cluster.conf describes its nodes.
type RedisCluster struct {
	Nodes []*RedisNode // the first Primaries of them begin as primaries
	// IDs are the nodes' names in the cluster, in the order of Nodes.
	IDs []string
}

// RedisClusterT starts a cluster of that many primaries, each with that many replicas,
// and ends it with the test. It returns once every node knows every other and
// every replica follows. More are arguments of the nodes.
func RedisClusterT(t testing.TB, primaries, replicas int, more ...string) *RedisCluster {
	t.Helper()
	requireRedisT(t)
	c, dir := new(RedisCluster), t.TempDir()
	for _, name := range nodeNames("node", primaries*(1+replicas)) {
		bus, err := loopback.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		n := nodeT(t)(newRedisNode(dir, name, "cluster.conf", nil, append([]string{"--cluster-port", strconv.Itoa(bus)}, more...)...))
		c.Nodes = append(c.Nodes, n)
	}
	startNodesT(t, c.Nodes)
	if err := c.join(t.Context(), primaries); err != nil {
		t.Fatal(err)
	}
	WaitT(t, "the nodes know each other", func(ctx context.Context) error { return c.agree(ctx, primaries) })
	for i, n := range c.Nodes[primaries:] {
		WaitT(t, n.Name+" is a replica", func(ctx context.Context) error {
			return n.Client.ClusterReplicate(ctx, c.IDs[i%primaries]).Err()
		})
	}
	for i := range primaries {
		WaitT(t, "replicas follow", func(ctx context.Context) error { return following(ctx, c.Nodes[i], replicas) })
	}
	WaitT(t, "the cluster is up", func(ctx context.Context) error { return c.agree(ctx, primaries) })
	return c
}

// join gives every primary its share of the slots and introduces the nodes.
func (c *RedisCluster) join(ctx context.Context, primaries int) error {
	for i, n := range c.Nodes {
		id, err := n.Client.ClusterMyID(ctx).Result()
		if err != nil {
			return err
		}
		c.IDs = append(c.IDs, id)
		if i < primaries {
			err = n.Client.ClusterAddSlotsRange(ctx, i*slots/primaries, (i+1)*slots/primaries-1).Err()
		}
		// Without epochs of their own, the nodes would have to settle collisions first.
		err = errors.Join(err, n.Client.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i > 0 {
			bus := n.arguments[slices.Index(n.arguments, "--cluster-port")+1]
			err = errors.Join(err, c.Nodes[0].Client.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", n.Port, bus).Err())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
	}
	return nil
}

// agree says nil once every node sees all of them and all slots served.
func (c *RedisCluster) agree(ctx context.Context, primaries int) error {
	for _, n := range c.Nodes {
		info, err := n.Client.ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		for _, want := range []string{"cluster_state:ok", fmt.Sprint("cluster_known_nodes:", len(c.Nodes)), fmt.Sprint("cluster_size:", primaries)} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("%s: not yet %s", n.Name, want)
			}
		}
	}
	return nil
}

// Env is what tells a bridge where the cluster is.
func (c *RedisCluster) Env() map[string]string {
	var addresses []string
	for _, n := range c.Nodes {
		addresses = append(addresses, n.Addr())
	}
	return map[string]string{"REDIS_CLUSTER": strings.Join(addresses, ",")}
}

// Slot gives the slot of a key, as node asked computes it.
func (c *RedisCluster) Slot(ctx context.Context, asked int, key string) (int, error) {
	slot, err := c.Nodes[asked].Client.ClusterKeySlot(ctx, key).Result()
	return int(slot), err
}

// Owner gives the number of the node that serves a slot, as node asked sees it;
// -1 if none does.
func (c *RedisCluster) Owner(ctx context.Context, asked, slot int) (int, error) {
	ranges, err := c.Nodes[asked].Client.ClusterSlots(ctx).Result()
	if err != nil {
		return -1, err
	}
	for _, r := range ranges {
		if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 {
			return slices.Index(c.IDs, r.Nodes[0].ID), nil
		}
	}
	return -1, nil
}

// Migration moves one slot, in steps that a test can look between.
type Migration struct {
	cluster        *RedisCluster
	slot, from, to int
}

// Migrate marks a slot as on its way from one node to another: keys that the
// first doesn't have any more are asked for at the second.
func (c *RedisCluster) Migrate(ctx context.Context, slot, from, to int) (*Migration, error) {
	return &Migration{c, slot, from, to}, errors.Join(
		c.Nodes[to].Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", c.IDs[from]).Err(),
		c.Nodes[from].Client.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", c.IDs[to]).Err())
}

// Key moves one key. A key that isn't there is none of its business.
func (m *Migration) Key(ctx context.Context, key string) error {
	to := m.cluster.Nodes[m.to]
	err := m.cluster.Nodes[m.from].Client.Do(ctx, "MIGRATE", "127.0.0.1", to.Port, key, 0, 5000, "REPLACE").Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// Keys lists what the first node still has of the slot.
func (m *Migration) Keys(ctx context.Context) ([]string, error) {
	return m.cluster.Nodes[m.from].Client.ClusterGetKeysInSlot(ctx, m.slot, 1000).Result()
}

// Finish moves what is left and gives the slot away.
func (m *Migration) Finish(ctx context.Context) error {
	for {
		keys, err := m.Keys(ctx)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		for _, key := range keys {
			if err := m.Key(ctx, key); err != nil {
				return err
			}
		}
	}
	for _, i := range []int{m.to, m.from} {
		if err := m.cluster.Nodes[i].Client.Do(ctx, "CLUSTER", "SETSLOT", m.slot, "NODE", m.cluster.IDs[m.to]).Err(); err != nil {
			return err
		}
	}
	return nil
}
