package redisbridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// errNotReady says why a bridge shouldn't get calls.
var errNotReady = errors.New("not ready")

// server is what the bridge can tell of its Redis.
type server struct {
	Mode        string        // standalone, cluster, sentinel; memory for a miniredis
	Version     string        // Redis' or Valkey's own
	Policy      string        // maxmemory-policy; empty if the server won't say
	PingLatency time.Duration // of one PING
}

// healthz says that the process runs.
func (b *Bridge) healthz(w http.ResponseWriter, _ *http.Request) error {
	_, err := fmt.Fprintln(w, "ok")
	return err
}

// readyz says whether calls can succeed: Redis answers, forgets only what
// may be lost, and the bridge isn't draining.
func (b *Bridge) readyz(w http.ResponseWriter, r *http.Request) error {
	if b.draining.Load() {
		return fmt.Errorf("%w: draining", errNotReady)
	}
	s, err := b.inspect(r.Context())
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	if err := checkEviction(s.Policy); err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, "ready")
	return err
}

// checkEviction refuses policies that evict keys without an expiry: that would
// lose suspensions.
func checkEviction(policy string) error {
	if policy == "" || policy == "noeviction" || strings.HasPrefix(policy, "volatile-") {
		return nil
	}
	return fmt.Errorf("%w: Redis' maxmemory-policy is %s, which may evict open suspensions: set noeviction or one of volatile-*", errNotReady, policy)
}

// inspect asks Redis for itself. The error matches ErrRedis.
func (b *Bridge) inspect(ctx context.Context) (server, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	began := b.clock.Now()
	if err := b.redis.Ping(ctx).Err(); err != nil {
		return server{}, redisError(err)
	}
	s := server{Mode: "memory", Version: "miniredis", PingLatency: b.clock.Now().Sub(began)}
	if b.options.Miniredis {
		return s, nil
	}
	info, err := b.redis.Info(ctx, "server", "memory").Result()
	if err != nil {
		return server{}, redisError(err)
	}
	s.Mode = or(infoField(info, "redis_mode"), infoField(info, "server_mode"))
	s.Version = or(infoField(info, "valkey_version"), infoField(info, "redis_version"))
	s.Policy = infoField(info, "maxmemory_policy")
	return s, nil
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
