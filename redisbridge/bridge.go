package redisbridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

// Options say how a bridge works. Redis is required, and either both tokens or
// Insecure.
type Options struct {
	// Redis says where Redis is. Of its fields the bridge sets those that
	// bound time and retries.
	Redis redis.UniversalOptions
	// Hooks see every command on its way to Redis, in go-redis' own form: for
	// traces, and for tests that answer in Redis' place.
	Hooks []redis.Hook
	// Miniredis says that the server is a miniredis: it has no identity to
	// compare and no flags on scripts.
	Miniredis bool
	// Bootstrap asserts that no proxy runs yet: a policy that has no state in
	// Redis at its first call begins without a quarantine.
	Bootstrap bool

	Token      string // that filters must show
	AdminToken string // that administrators must show
	// ViewerToken lets its bearer see the status and nothing else; without one only
	// administrators do.
	ViewerToken string
	// TokenFile, AdminTokenFile and ViewerTokenFile have the tokens instead, see ParseTokens:
	// they are read again when they have changed.
	TokenFile, AdminTokenFile, ViewerTokenFile string
	Insecure                                   bool // let everybody in where there is none
	// AdminRate is how many calls administrators may make in a second, and viewers besides, ten
	// times as many at once; 100 if zero, no limit if negative.
	AdminRate float64

	// PartitionSecret is the secret that the filters derive partitions with;
	// needed to invalidate by identity.
	PartitionSecret string
	// Policies are those whose rules /v1/invalidate knows.
	Policies []*policy.Policy

	// Timeout bounds one lookup, suspension or close, and a fifth of a read of the feed;
	// 40 ms if zero. A filter should wait a little longer than that.
	Timeout time.Duration
	// StoreTimeout bounds one store; 1 s if zero.
	StoreTimeout time.Duration
	// AdminTimeout bounds one call of an administrator; 1 s if zero.
	AdminTimeout time.Duration
	// MaxUnderway bounds the bytes of entries that are being sent to filters, whoever reads them slowly:
	// lookups beyond get a 503. 64 MiB if zero, which a container of 256 MiB has room for.
	MaxUnderway int64
	// MaxSuspensions bounds the open suspensions of one policy; 10,000 if zero.
	MaxSuspensions int
	// Replicas is how many replicas must follow the primary for its word to be
	// taken, see DefaultReplicas; with 0 it always is. With more a bridge that still
	// asks a primary that was replaced stops using its answers within Trust, where
	// Sentinels watch a primary with twice as many replicas, and one more, at most.
	Replicas int
	// Trust is how long a primary's word is taken after its replicas were last
	// seen to follow it; 2 s if zero. All bridges of a Redis need the same.
	Trust time.Duration
	// BreakerFailures is how many calls in a row Redis may leave without an answer
	// until lookups and stores fail at once; 5 if zero, no limit if negative.
	BreakerFailures int
	// BreakerWait is how long they do before one is tried again; 1 s if zero.
	BreakerWait time.Duration
	// DrainDelay is how long Serve goes on after /readyz began to say no, so
	// that balancers can turn away.
	DrainDelay time.Duration

	Clock Clock        // the system's if nil
	Log   *slog.Logger // none if nil
}

// ErrOptions says that a bridge can't be made of its options.
var ErrOptions = errors.New("bridge options")

// Bridge stands between filters and Redis. Its methods may be called from any
// number of goroutines.
type Bridge struct {
	redis    redis.UniversalClient
	scripts  scripts
	policies policies
	handler  http.Handler
	options  Options
	clock    Clock
	log      *slog.Logger

	timeout, storeTimeout, adminTimeout, trustBound time.Duration
	maxOpen                                         int
	underway                                        underway

	tokens *keyring
	audit  *audit
	looks  *looks

	breaker       breaker
	failures      failureLog
	refusals      failureLog // of filters without a token that counts
	lookupSeconds prometheus.Histogram
	registry      *prometheus.Registry

	draining   atomic.Bool
	subscribed atomic.Bool // to what other bridges' scripts publish
	stop       context.CancelFunc
	stopped    sync.WaitGroup
}

// New makes a bridge. It succeeds while Redis is down: calls then fail with
// ErrRedis until it is up. Close must be called in the end.
func New(o Options) (*Bridge, error) {
	if err := checkOptions(o); err != nil {
		return nil, err
	}
	b := &Bridge{
		scripts: scriptsOf[o.Miniredis](), options: o,
		clock: o.Clock, log: o.Log,
		timeout: cmp.Or(o.Timeout, 40*time.Millisecond), storeTimeout: cmp.Or(o.StoreTimeout, time.Second),
		adminTimeout: cmp.Or(o.AdminTimeout, time.Second), maxOpen: cmp.Or(o.MaxSuspensions, 10_000),
		trustBound: cmp.Or(o.Trust, 2*time.Second), underway: underway{most: cmp.Or(o.MaxUnderway, 64<<20)},
		breaker: breaker{limit: cmp.Or(o.BreakerFailures, 5), wait: cmp.Or(o.BreakerWait, time.Second)},
	}
	if b.clock == nil {
		b.clock = systemClock{}
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if b.tokens, err = newKeyring(o, b.log, b.clock.Now()); err != nil {
		return nil, err
	}
	b.audit, b.looks = newAudit(b.log, cmp.Or(o.AdminRate, 100)), newLooks()
	b.policies.byName, b.policies.clock = make(map[string]*policyState), b.clock
	b.redis = newClient(o.Redis)
	for _, hook := range o.Hooks {
		b.redis.AddHook(hook)
	}
	b.registry, b.lookupSeconds = newMetrics(b)
	b.handler = b.routes()
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	b.stopped.Go(func() { b.listen(ctx) })
	return b, nil
}

func checkOptions(o Options) error {
	if len(o.Redis.Addrs) == 0 {
		return fmt.Errorf("%w: no address of Redis", ErrOptions)
	}
	if !o.Insecure && (o.Token+o.TokenFile == "" || o.AdminToken+o.AdminTokenFile == "") {
		return fmt.Errorf("%w: want a token for filters and one for administrators (CHATCACHE_BRIDGE_TOKEN, CHATCACHE_ADMIN_TOKEN, or --token-file, --admin-token-file), or --insecure on loopback", ErrOptions)
	}
	if n := len(o.PartitionSecret); n > 0 && n < policy.MinSecret {
		return fmt.Errorf("%w: the partition secret (CHATCACHE_PARTITION_SECRET) has %d bytes, want at least %d, and the same as the filters have", ErrOptions, n, policy.MinSecret)
	}
	if o.Token != "" && o.TokenFile != "" || o.AdminToken != "" && o.AdminTokenFile != "" || o.ViewerToken != "" && o.ViewerTokenFile != "" {
		return fmt.Errorf("%w: both a token and a token file, want one of them", ErrOptions)
	}
	return nil
}

// Bounds of go-redis' own waiting, where no call's context is shorter.
const (
	dialTimeout  = 500 * time.Millisecond
	replyTimeout = time.Second
)

// topologyAge is how old a bridge's picture of a Cluster may be. go-redis looks
// anew when a node sends it elsewhere; one that hangs sends it nowhere.
const topologyAge = time.Second

func newClient(o redis.UniversalOptions) redis.UniversalClient {
	client := bounded(o)
	switch {
	case o.IsClusterMode:
		cluster := client.Cluster()
		cluster.ClusterStateReloadInterval = topologyAge
		return redis.NewClusterClient(cluster)
	case o.MasterName != "":
		leaveSilentSentinels(client)
	}
	return redis.NewUniversalClient(client)
}

// bounded gives the client's options with its waiting bounded by each call's
// context. One retry serves connections that died while idle; every script is
// safe to repeat.
func bounded(o redis.UniversalOptions) *redis.UniversalOptions {
	o.ContextTimeoutEnabled = true
	o.MaxRetries = 1
	o.DialerRetries = 1
	o.DisableIdentity = true
	// A connection that was begun to a server that hangs gives its place up soon,
	// for one to the server that is elected instead.
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = cmp.Or(o.DialTimeout, dialTimeout), cmp.Or(o.ReadTimeout, replyTimeout), cmp.Or(o.WriteTimeout, replyTimeout)
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}

// Drain answers every held poll at once and holds no more; /readyz says no.
func (b *Bridge) Drain() {
	b.draining.Store(true)
	b.wakeAll()
}

// Close drains the bridge and frees what it holds.
func (b *Bridge) Close() error {
	b.Drain()
	b.stop()
	b.stopped.Wait()
	return b.redis.Close()
}

// ServeHTTP serves every call, see package wire and the routes.
func (b *Bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.handler.ServeHTTP(w, r) }

// policyOf gives the state of a policy to a filter, whose scope it takes in.
func (b *Bridge) policyOf(scope wire.Scope) (*policyState, error) {
	p, err := b.policies.of(scope.Policy, b.options.Bootstrap)
	if err == nil {
		p.hear(scope.Horizon, scope.Quarantine)
	}
	return p, err
}

// administered gives the state of a policy to an administrator. What is known of it is what
// filters have said, and its document.
func (b *Bridge) administered(policy string) (*policyState, error) {
	p, err := b.policies.of(policy, b.options.Bootstrap)
	if d := b.document(policy); err == nil && d != nil {
		p.hear(d.MaxTTL().Milliseconds(), d.Quarantine().Milliseconds()) // as filters say it
	}
	return p, err
}
