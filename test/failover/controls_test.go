package failover

import (
	"testing"

	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/stack"
)

// What operators have set is acknowledged only once replicas have it: a cache stays off when the
// primary dies at that moment, also for a bridge that starts afterwards.
func TestOffOutlivesThePrimary(t *testing.T) {
	set := stack.ReplicatedT(t, 2)
	w := newWorld(t)
	b := w.bridge(set.Env(), patient)
	w.read(b, 0) // miss, and stored
	_, err := b.SetControls(w.ctx, redisbridge.ControlsRequest{Policy: scope.Policy, Cache: "stats", Set: redisbridge.ControlSettings{Off: true}})
	w.check(err)
	w.check(set.Servers[0].Kill())

	other := w.bridge(set.Env(), func(o *redisbridge.Options) { patient(o); o.Trust = trust })
	w.eventually("the quarantine has ended", func() bool {
		a, err := other.Lookup(w.ctx, wire.LookupRequest{
			Scope: scope, Key: wire.EntryKey("user", scope.Policy, "", "GET", "/", "d"), Groups: []string{wire.GroupCache("user")},
		})
		return err == nil && a.State == wire.LookupMiss
	})
	w.read(other, 0)
	if got := w.log.tail(1)[0]; got.what != suspended {
		t.Errorf("after the failover a read of the cache that is off: %v", got)
	}
	answer, err := other.Controls(w.ctx, scope.Policy)
	if err != nil || len(answer.Controls.Caches) != 1 || !answer.Controls.Caches[0].Off {
		t.Errorf("controls after the failover: %+v, %v", answer.Controls, err)
	}
}
