package redisbridge

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

// On a cluster a script may touch one slot only, and entries live elsewhere.
func TestCluster(t *testing.T) {
	port, bus := freePort(t), freePort(t)
	server := startValkey(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", bus, "--appendonly", "no")
	direct := redis.NewClient(&redis.Options{Addr: server.socket, Network: "unix"})
	defer direct.Close()
	if err := direct.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cluster is up", func() bool {
		return strings.Contains(must(direct.ClusterInfo(t.Context()).Result()), "cluster_state:ok")
	})

	w := &world{t: t, server: server}
	w.options = Options{Redis: redis.UniversalOptions{Addrs: []string{"127.0.0.1:" + port}, IsClusterMode: true}}
	w.start(nil)
	start := w.look().Ticket
	w.fill(start, "n:named by the origin")
	w.want(wire.LookupHit, "filled")
	w.suspend("w1", 50, "c:stats")
	w.suspend("w2", 30_000, "p:stats:alice")
	w.pass(80)
	w.close("w2", true, "p:stats:alice")
	w.want(wire.LookupMiss, "after the writes")
	if a := w.poll(start, 0); !a.Continues(start) || len(a.Events) != 4 {
		t.Errorf("feed %v doesn't continue %v", a, start)
	}
	_, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})
	w.check(err)
	if s := w.Status(w.ctx); !s.Redis.OK || s.Redis.Mode != "cluster" || fmt.Sprint(s.Policies[0].Sequence) != "5" {
		t.Errorf("status %+v", s)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
