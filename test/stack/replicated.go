package stack

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// SentinelMaster is the name under which the shipped Sentinels know the primary.
const SentinelMaster = "chatcache"

// Replicated is a primary with replicas under three Sentinels, as
// envoy/redis/server.conf and sentinel.conf describe them.
type Replicated struct {
	Servers   []*RedisNode // the first one begins as the primary
	Sentinels []*RedisNode

	watchers []*redis.SentinelClient
}

// ReplicatedT starts a set with that many replicas, and ends it with the test.
// It returns once every replica follows and every Sentinel knows all of it, and could fail over.
// More are arguments of the servers, which override the settings file's.
func ReplicatedT(t testing.TB, replicas int, more ...string) *Replicated {
	t.Helper()
	requireRedisT(t)
	r, dir := new(Replicated), t.TempDir()
	for i, name := range nodeNames("server", 1+replicas) {
		arguments := slices.Clone(more)
		if i > 0 {
			arguments = append(arguments, "--replicaof", "127.0.0.1", strconv.Itoa(r.Servers[0].Port))
		}
		r.Servers = append(r.Servers, nodeT(t)(newRedisNode(dir, name, "server.conf", nil, arguments...)))
	}
	startNodesT(t, r.Servers)
	// Sentinels look for replicas when they start, and then every ten seconds.
	WaitT(t, "the replicas follow", func(ctx context.Context) error { return following(ctx, r.Servers[0], replicas) })
	const monitor = "sentinel monitor " + SentinelMaster + " 127.0.0.1 "
	here := []string{monitor + "6379", monitor + strconv.Itoa(r.Servers[0].Port)}
	for _, name := range nodeNames("sentinel", 3) {
		n := nodeT(t)(newRedisNode(dir, name, "sentinel.conf", here, "--sentinel"))
		w := redis.NewSentinelClient(&redis.Options{Addr: n.Addr(), MaxRetries: -1, DisableIdentity: true})
		t.Cleanup(func() { w.Close() })
		r.Sentinels, r.watchers = append(r.Sentinels, n), append(r.watchers, w)
	}
	startNodesT(t, r.Sentinels)
	WaitT(t, "the Sentinels know each other and the replicas", func(ctx context.Context) error { return r.known(ctx, replicas) })
	return r
}

func (r *Replicated) known(ctx context.Context, replicas int) error {
	for i, w := range r.watchers {
		master, err := w.Master(ctx, SentinelMaster).Result()
		if err != nil {
			return err
		}
		if master["num-slaves"] != strconv.Itoa(replicas) || master["num-other-sentinels"] != strconv.Itoa(len(r.watchers)-1) {
			return fmt.Errorf("sentinel-%d knows %s replicas and %s other Sentinels", i, master["num-slaves"], master["num-other-sentinels"])
		}
		// It promotes only those that it has heard of from themselves.
		list, err := w.Replicas(ctx, SentinelMaster).Result()
		if err != nil {
			return err
		}
		for _, r := range list {
			if r["flags"] != "slave" || r["master-link-status"] != "ok" {
				return fmt.Errorf("sentinel-%d knows of the replica %s: flags %s, link to the primary %s", i, r["name"], r["flags"], r["master-link-status"])
			}
		}
	}
	return nil
}

// Env is what tells a bridge where the set is.
func (r *Replicated) Env() map[string]string {
	var addresses []string
	for _, s := range r.Sentinels {
		addresses = append(addresses, s.Addr())
	}
	return map[string]string{"REDIS_SENTINELS": strings.Join(addresses, ","), "REDIS_SENTINEL_MASTER": SentinelMaster}
}

// Primary gives the server that a majority of the Sentinels names, or nil.
func (r *Replicated) Primary(ctx context.Context) *RedisNode {
	votes := make(map[string]int)
	for _, w := range r.watchers {
		if address, err := w.GetMasterAddrByName(ctx, SentinelMaster).Result(); err == nil {
			votes[net.JoinHostPort(address[0], address[1])]++
		}
	}
	for _, s := range r.Servers {
		if votes[s.Addr()]*2 > len(r.watchers) {
			return s
		}
	}
	return nil
}

// Failover asks a Sentinel to promote a replica although the primary is well.
func (r *Replicated) Failover(ctx context.Context) error {
	return r.watchers[0].Failover(ctx, SentinelMaster).Err()
}

// Split promotes the second server behind the first one's back, as the other side of
// a network that fell apart would: from now on both are primaries, and the first
// has no replica any more. No Sentinel is left to heal that.
func (r *Replicated) Split(ctx context.Context) error {
	for _, s := range r.Sentinels {
		if err := s.Kill(); err != nil {
			return err
		}
	}
	other := r.Servers[1]
	if err := other.Client.Do(ctx, "REPLICAOF", "NO", "ONE").Err(); err != nil {
		return err
	}
	for _, s := range r.Servers[2:] {
		if err := s.Client.Do(ctx, "REPLICAOF", "127.0.0.1", other.Port).Err(); err != nil {
			return err
		}
	}
	return nil
}

// following says nil once that many replicas are in step with the primary.
func following(ctx context.Context, primary *RedisNode, replicas int) error {
	info, err := primary.Client.Info(ctx, "replication").Result()
	if err != nil {
		return err
	}
	if online := strings.Count(info, "state=online"); online < replicas || !strings.Contains(info, "role:master") {
		return fmt.Errorf("%s has %d replicas online, want %d", primary.Name, online, replicas)
	}
	return nil
}

func nodeT(t testing.TB) func(*RedisNode, error) *RedisNode {
	return func(n *RedisNode, err error) *RedisNode {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
}
