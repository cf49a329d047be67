package failover

import (
	"testing"
	"time"

	"chatcache/test/stack"
)

// The primary's machine falls silent, with the Sentinel on it, which is the one that the bridge asks: it asks another one.
func TestSentinelFallsSilent(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	env := set.Env()
	env["REDIS_SENTINELS"] = set.Sentinels[0].Addr() // which names the others
	b := w.bridge(env, nil)
	w.load(b)
	w.eventually("hits", func() bool { return w.log.count(hit, w.began) > 100 })

	paused := time.Now()
	w.check(set.Sentinels[0].Pause())
	w.check(set.Servers[0].Pause())
	w.eventually("hits of the new primary", func() bool { return w.log.count(hit, paused.Add(time.Second)) > 100 })
	w.end()
	w.log.degraded(t, b, paused)
	w.never(t, 0)
}
