package redisbridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"
)

// errNotReady says why a bridge shouldn't get calls.
var errNotReady = errors.New("not ready")

// server is what the bridge can tell of its Redis. Of a Cluster it is the worst of
// what its primaries say, see clusterOf.
type server struct {
	Mode        string        // standalone, cluster, sentinel; memory for a miniredis
	Version     string        // Redis' or Valkey's own
	Eviction    string        // maxmemory-policy; empty if the server won't say
	PingLatency time.Duration // of one PING
	Role        string        // master or slave
	Replicas    int           // that follow
	Guarded     bool          // min-replicas-to-write demands some of them
	Keys        int64         // in the database, whoever wrote them
	Memory      int64         // used_memory, bytes
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
	s, err := b.looks.look(r.Context(), b)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotReady, err)
	}
	if err := b.checkServer(s); err != nil {
		return err
	}
	if advice := b.advice(s); advice != "" {
		_, err = fmt.Fprintf(w, "ready, but %s\n", advice)
		return err
	}
	_, err = fmt.Fprintln(w, "ready")
	return err
}

// looksASecond bounds how often /readyz, which is open to everybody, asks Redis for itself.
const looksASecond = 20

// looks are those at Redis for /readyz: whoever comes beyond the bound is told what the last one has found.
type looks struct {
	rate *rate.Limiter

	mu   sync.Mutex
	last server
	err  error
}

func newLooks() *looks {
	return &looks{rate: rate.NewLimiter(looksASecond, looksASecond), err: errors.New("Redis is being asked")}
}

func (l *looks) look(ctx context.Context, b *Bridge) (server, error) {
	if !l.rate.AllowN(b.clock.Now(), 1) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.last, l.err
	}
	// It goes on without its caller: otherwise whoever asks and leaves, as often as the bound allows, keeps everybody else from an answer.
	found, err := b.askServer(context.WithoutCancel(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.err = found, err
	return found, err
}

// checkServer refuses a server with which calls can't succeed, or that evicts keys
// without an expiry: that would lose suspensions.
func (b *Bridge) checkServer(s server) error {
	switch {
	case s.Eviction != "" && !keepsLasting(s.Eviction):
		return fmt.Errorf("%w: Redis' maxmemory-policy is %s, which may evict open suspensions: set noeviction or one of volatile-*", errNotReady, s.Eviction)
	case s.Role == "slave":
		return fmt.Errorf("%w: Redis is a replica, want its primary: name the Sentinels or the Cluster", errNotReady)
	case s.Replicas < b.options.Replicas:
		return fmt.Errorf("%w: %d replicas follow Redis' primary, --replicas wants %d: until then everything goes to the origin", errNotReady, s.Replicas, b.options.Replicas)
	}
	return nil
}

// keepsLasting tells whether by this maxmemory-policy no key without an expiry is evicted.
func keepsLasting(eviction string) bool {
	return eviction == "noeviction" || strings.HasPrefix(eviction, "volatile-")
}

// advice names what would make a failover safer, or nothing.
func (b *Bridge) advice(s server) string {
	switch {
	case s.Replicas > 0 && b.options.Replicas == 0:
		return "Redis has replicas: where one may be elected primary, set --replicas"
	case s.Mode != "cluster" && s.Replicas/2 > b.options.Replicas:
		return fmt.Sprintf("%d replicas follow Redis' primary: cut off together with %d of them it goes on being believed; set --replicas and min-replicas-to-write to %d",
			s.Replicas, b.options.Replicas, s.Replicas/2)
	case b.options.Replicas > 0 && !s.Guarded:
		return fmt.Sprintf("min-replicas-to-write is 0: a primary that was cut off is believed for up to %v", b.trustBound)
	}
	return ""
}

// askServer asks Redis for itself. The error matches ErrRedis.
func (b *Bridge) askServer(ctx context.Context) (server, error) {
	ctx, cancel := context.WithTimeout(ctx, b.adminTimeout)
	defer cancel()
	began := b.clock.Now()
	if err := b.redis.Ping(ctx).Err(); err != nil {
		return server{}, redisError(err)
	}
	s := server{Mode: "memory", Version: "miniredis", PingLatency: b.clock.Now().Sub(began)}
	if b.options.Miniredis {
		keys, err := b.redis.DBSize(ctx).Result()
		s.Keys = keys
		return s, redisError(err)
	}
	cluster, ok := b.redis.(*redis.ClusterClient)
	if !ok {
		return s, s.ask(ctx, b.redis, b.options.Redis.DB)
	}
	deciding := b.deciding(ctx, cluster)
	var mu sync.Mutex
	var primaries []primary
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		one := primary{server{PingLatency: s.PingLatency}, deciding[c]}
		if one.ask(ctx, c, 0) != nil {
			return nil // a node that doesn't answer is its entries' matter
		}
		mu.Lock()
		defer mu.Unlock()
		primaries = append(primaries, one)
		return nil
	})
	if err == nil && len(primaries) == 0 {
		err = errors.New("no primary of the Cluster answers")
	}
	if err != nil {
		return s, redisError(err)
	}
	return clusterOf(primaries), nil
}

// deciding are the primaries of a Cluster that decide the validity of a policy that the bridge knows.
func (b *Bridge) deciding(ctx context.Context, cluster *redis.ClusterClient) map[*redis.Client]bool {
	deciding := make(map[*redis.Client]bool)
	for _, name := range b.policyNames() {
		if c, err := cluster.MasterForKey(ctx, prefixOf(name)+"state"); err == nil {
			deciding[c] = true
		}
	}
	return deciding
}

// primary is one of a Cluster.
type primary struct {
	server
	decides bool // the validity of some policy
}

// clusterOf puts together what primaries of a Cluster say. Who follows one that has entries only
// doesn't matter: its word is never waited for.
func clusterOf(primaries []primary) (s server) {
	some := slices.ContainsFunc(primaries, func(p primary) bool { return p.decides })
	for i, p := range primaries {
		if some && !p.decides {
			p.Replicas, p.Guarded = math.MaxInt, true
		}
		if i == 0 {
			s = p.server
		} else {
			s = s.worse(p.server)
		}
	}
	return s
}

// ask fills in what one server says of itself, and of one of its databases. The error matches ErrRedis.
func (s *server) ask(ctx context.Context, c redis.Cmdable, database int) error {
	info, err := c.Info(ctx, "server", "memory", "replication", "keyspace").Result()
	if err != nil {
		return redisError(err)
	}
	s.Mode = cmp.Or(infoField(info, "redis_mode"), infoField(info, "server_mode"))
	s.Version = cmp.Or(infoField(info, "valkey_version"), infoField(info, "redis_version"))
	s.Eviction = infoField(info, "maxmemory_policy")
	s.Role = infoField(info, "role")
	s.Replicas = strings.Count(info, "state=online")
	s.Guarded = infoField(info, "min_slaves_good_slaves") != ""
	s.Memory, _ = strconv.ParseInt(infoField(info, "used_memory"), 10, 64)
	keys, _, _ := strings.Cut(strings.TrimPrefix(infoField(info, fmt.Sprint("db", database)), "keys="), ",") // keys=7,expires=3,…
	s.Keys, _ = strconv.ParseInt(keys, 10, 64)
	return nil
}

// worse puts two primaries of a Cluster together.
func (s server) worse(other server) server {
	if keepsLasting(s.Eviction) {
		s.Eviction = other.Eviction
	}
	s.Replicas, s.Guarded = min(s.Replicas, other.Replicas), s.Guarded && other.Guarded
	s.Keys, s.Memory = s.Keys+other.Keys, s.Memory+other.Memory
	return s
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
