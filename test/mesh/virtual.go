package mesh

import (
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/redisbridge"
	"chatcache/test/stack"

	"github.com/alicebob/miniredis/v2"
)

// VirtualRedis is a miniredis whose two clocks, TIME's and the TTLs', move with the virtual one.
func VirtualRedis(t testing.TB, clock *hostsim.Clock) *miniredis.Miniredis {
	server := miniredis.RunT(t)
	last := clock.Now()
	server.SetTime(last)
	clock.OnAdvance(func(now time.Time) {
		server.SetTime(now)
		server.FastForward(now.Sub(last))
		last = now
	})
	return server
}

// VirtualBridge is a bridge in this process, in virtual time, before one such server. Its
// tokens are those of package stack.
func VirtualBridge(t testing.TB, clock *hostsim.Clock, o redisbridge.Options) *redisbridge.Bridge {
	t.Helper()
	o.Timeout, o.Miniredis, o.Bootstrap, o.Clock = BridgePatience, true, true, clock
	o.Token, o.AdminToken = stack.BridgeToken, stack.AdminToken
	bridge, err := redisbridge.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bridge.Close() })
	return bridge
}
