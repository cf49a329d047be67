package redisbridge

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
	"chatcache/test/loopback"
	"chatcache/test/stack"
)

// On a cluster a script may touch one slot only, and entries live elsewhere.
func TestCluster(t *testing.T) {
	port, bus := strconv.Itoa(must(loopback.FreePort())), strconv.Itoa(must(loopback.FreePort()))
	server := stack.ScratchValkeyT(t, "--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-port", bus)
	direct := redis.NewClient(&redis.Options{Addr: server.Socket, Network: "unix"})
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
	ticket := w.wantFetch("f1", "granted", "after the writes").Ticket
	w.wantFetch("f2", "leased", "while f1 fetches")
	w.fillAs("f1", ticket)
	w.wantFetch("f2", "hit", "stored")
	_, err := w.Purge(w.ctx, PurgeRequest{Policy: "chat", All: true})
	w.check(err)
	w.wantFetch("f3", "granted", "after the purge")
	w.letGo("f3", 5000)
	w.wantFetch("f4", "miss", "under the mark")
	w.usersTogether() // on different slots
	if s := w.Status(w.ctx); !s.Redis.OK || s.Redis.Mode != "cluster" || fmt.Sprint(s.Policies[0].Sequence) != "7" {
		t.Errorf("status %+v", s)
	}
}
