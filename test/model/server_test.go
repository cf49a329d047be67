package model

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge"
	"chatcache/test/stack"
)

// onEachServer runs a test on miniredis, and on a real server where there is one.
func onEachServer(t *testing.T, test func(*testing.T, redisbridge.Options)) {
	t.Run("miniredis", func(t *testing.T) {
		address := miniredis.RunT(t).Addr()
		test(t, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{address}}, Miniredis: true})
	})
	t.Run("valkey", func(t *testing.T) {
		test(t, redisbridge.Options{Redis: redis.UniversalOptions{Addrs: []string{stack.ScratchValkeyT(t).Socket}}})
	})
}
