package redisbridge

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// ErrRedisConfig says that the settings that say where Redis is can't be understood.
var ErrRedisConfig = errors.New("redis settings")

// RedisFromEnv reads where Redis is from environment variables:
//
//	REDIS_URL                 redis://, rediss:// or unix://; wins over all others. Its parameters: envoy/OPERATING.md
//	REDIS_HOST, REDIS_PORT    one server; 127.0.0.1 and 6379 if unset
//	REDIS_CLUSTER             host:port,host:port… of a Redis Cluster
//	REDIS_SENTINELS           host:port,host:port… of Sentinels, with
//	REDIS_SENTINEL_MASTER     the name of the primary that they watch, and where they ask for a password
//	REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD
//	REDIS_USERNAME, REDIS_PASSWORD, REDIS_DB, REDIS_TLS (true or false)
//
// Warnings name settings that have no effect. No credential is part of an error
// or a warning. The error matches ErrRedisConfig.
func RedisFromEnv(getenv func(string) string) (o redis.UniversalOptions, warnings []string, err error) {
	if text := getenv("REDIS_URL"); text != "" {
		o, err = redisFromURL(text)
		return o, shadowed(getenv), err
	}
	o.Username, o.Password = getenv("REDIS_USERNAME"), getenv("REDIS_PASSWORD")
	if o.DB, err = envInt(getenv, "REDIS_DB", 0); err != nil {
		return o, nil, err
	}
	secure, err := envBool(getenv, "REDIS_TLS")
	if err != nil {
		return o, nil, err
	}
	if err := setAddresses(&o, getenv); err != nil {
		return o, nil, err
	}
	if secure {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if host, _, err := net.SplitHostPort(o.Addrs[0]); err == nil && len(o.Addrs) == 1 && o.MasterName == "" && !o.IsClusterMode { // others are known by the names that they are asked for by
			o.TLSConfig.ServerName = host
		}
	}
	return o, nil, nil
}

// sentinelsTime bounds how long it takes to ask the Sentinels for the primary and to reach it: more than two
// silent ones of them cost, twice each.
const sentinelsTime = 10 * time.Second

// leaveSilentSentinels lets the client ask another Sentinel when the one that it asks falls silent. With one bound on
// a connection, go-redis would keep to it:
//
//  1. the machine of the primary is gone without a word, and with it the Sentinel beside it, which the client asks
//  2. a new connection is to be made: it asks that Sentinel, first on the connection that it has and then on another
//  3. the time for the new connection is over before either has failed. That is no fault of the Sentinel's: the next
//     new connection begins with 2 again, whatever the other Sentinels have agreed on meanwhile
//
// So each single connection, to Sentinel or primary, is bounded by itself, by less than all of them together.
func leaveSilentSentinels(o *redis.UniversalOptions) {
	single := &net.Dialer{Timeout: o.DialTimeout}
	o.DialTimeout = max(o.DialTimeout, sentinelsTime)
	switch {
	case o.Dialer != nil:
	case o.TLSConfig != nil:
		o.Dialer = (&tls.Dialer{NetDialer: single, Config: o.TLSConfig}).DialContext
	default:
		o.Dialer = single.DialContext
	}
}

// DefaultReplicas is how many replicas a bridge should ask for: one where another
// server may be elected primary, none of a single server. With Sentinels one is enough for
// up to three replicas, see Options.Replicas.
func DefaultReplicas(o redis.UniversalOptions) int {
	if o.MasterName != "" || o.IsClusterMode {
		return 1
	}
	return 0
}

// urlParameters are those that REDIS_URL may have, as go-redis reads them. All others of go-redis are refused: they would
// have no effect, since each call to Redis is bounded by the bridge's own settings.
var urlParameters = []string{
	"client_name", "conn_max_idle_time", "conn_max_lifetime", "db", "max_idle_conns", "min_idle_conns", "pool_size", "protocol", "skip_verify",
}

// refusedParameters says what to do instead of those that somebody might expect to work.
var refusedParameters = map[string]string{
	"dial_timeout": boundsItself, "read_timeout": boundsItself, "write_timeout": boundsItself, "pool_timeout": boundsItself,
	"max_retries": triesItself, "min_retry_backoff": triesItself, "max_retry_backoff": triesItself,
	"max_active_conns": "the bridge opens as many connections as its calls need, and there is no setting to bound them",
	"idle_timeout":     "write conn_max_idle_time", "max_conn_age": "write conn_max_lifetime",
}

const (
	boundsItself = "the bridge bounds its calls to Redis itself, so that lookups end in time; redisbridge serve --timeout says how long these take at most"
	triesItself  = "how often a call is tried is the bridge's own, so that lookups end in time, and there is no setting for it"
)

// checkParameters refuses parameters of REDIS_URL that would have no effect. One that nobody knows isn't shown: it may be
// the rest of a password with a "?" in it.
func checkParameters(query url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if why := refusedParameters[name]; why != "" {
			return fmt.Errorf("%w: REDIS_URL has the parameter %s: take it out; %s", ErrRedisConfig, name, why)
		}
		if !slices.Contains(urlParameters, name) {
			return fmt.Errorf("%w: REDIS_URL has a parameter that the bridge doesn't take, want some of %s, or none (in a password, write ? as %%3F)",
				ErrRedisConfig, strings.Join(urlParameters, ", "))
		}
	}
	return nil
}

func redisFromURL(text string) (redis.UniversalOptions, error) {
	if u, err := url.Parse(text); err == nil {
		if err := checkParameters(u.Query()); err != nil {
			return redis.UniversalOptions{}, err
		}
	}
	single, err := redis.ParseURL(text)
	if err != nil {
		// The URL holds a password, and the error may quote it.
		return redis.UniversalOptions{}, fmt.Errorf("%w: REDIS_URL can't be read, want redis://[user:password@]host:port[/db], rediss:// for TLS, or unix:///path", ErrRedisConfig)
	}
	for _, n := range []int{single.PoolSize, single.MinIdleConns, single.MaxIdleConns} {
		if n < 0 || n > 65535 {
			return redis.UniversalOptions{}, fmt.Errorf("%w: REDIS_URL wants %d connections, want a number up to 65535", ErrRedisConfig, n)
		}
	}
	return redis.UniversalOptions{
		Addrs: []string{single.Addr}, Username: single.Username, Password: single.Password,
		DB: single.DB, TLSConfig: single.TLSConfig, Protocol: single.Protocol, ClientName: single.ClientName,
		PoolSize: single.PoolSize, MinIdleConns: single.MinIdleConns, MaxIdleConns: single.MaxIdleConns,
		ConnMaxIdleTime: single.ConnMaxIdleTime, ConnMaxLifetime: single.ConnMaxLifetime,
	}, nil
}

// shadowed names what REDIS_URL makes ineffective.
func shadowed(getenv func(string) string) (warnings []string) {
	for _, name := range []string{
		"REDIS_HOST", "REDIS_PORT", "REDIS_CLUSTER", "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER",
		"REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD",
		"REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_DB", "REDIS_TLS",
	} {
		if getenv(name) != "" {
			warnings = append(warnings, name+" has no effect: REDIS_URL is set and wins")
		}
	}
	return warnings
}

func setAddresses(o *redis.UniversalOptions, getenv func(string) string) error {
	cluster, sentinels, master := getenv("REDIS_CLUSTER"), getenv("REDIS_SENTINELS"), getenv("REDIS_SENTINEL_MASTER")
	switch {
	case cluster != "" && sentinels != "":
		return fmt.Errorf("%w: both REDIS_CLUSTER and REDIS_SENTINELS are set, want one", ErrRedisConfig)
	case (sentinels == "") != (master == ""):
		return fmt.Errorf("%w: REDIS_SENTINELS and REDIS_SENTINEL_MASTER need each other", ErrRedisConfig)
	case cluster != "":
		o.Addrs, o.IsClusterMode = splitList(cluster), true
	case sentinels != "":
		o.Addrs, o.MasterName = splitList(sentinels), master
		o.SentinelUsername, o.SentinelPassword = getenv("REDIS_SENTINEL_USERNAME"), getenv("REDIS_SENTINEL_PASSWORD")
	default:
		port, err := envInt(getenv, "REDIS_PORT", 6379)
		if err != nil {
			return err
		}
		o.Addrs = []string{net.JoinHostPort(cmp.Or(getenv("REDIS_HOST"), "127.0.0.1"), strconv.Itoa(port))}
	}
	for _, address := range o.Addrs {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%w: the address %q, want host:port", ErrRedisConfig, address)
		}
	}
	if o.IsClusterMode && o.DB != 0 {
		return fmt.Errorf("%w: REDIS_DB=%d with REDIS_CLUSTER: a cluster has database 0 only", ErrRedisConfig, o.DB)
	}
	return nil
}

// splitList takes a list apart, with spaces or without.
func splitList(list string) []string {
	words := strings.Split(list, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return words
}

func envInt(getenv func(string) string, name string, otherwise int) (int, error) {
	s := getenv(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 65535 {
		return 0, fmt.Errorf("%w: %s=%q, want a number up to 65535", ErrRedisConfig, name, s)
	}
	return n, nil
}

func envBool(getenv func(string) string, name string) (bool, error) {
	s := getenv(name)
	if s == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(s)
	if err != nil {
		return false, fmt.Errorf("%w: %s=%q, want true or false", ErrRedisConfig, name, s)
	}
	return v, nil
}

// Memory starts a Redis inside this process, for trying without one, and gives
// the options that reach it. Its data ends with stop.
func Memory() (o Options, stop func(), err error) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return Options{}, nil, fmt.Errorf("starting a Redis in memory: %w", err)
	}
	server.ClockTTL(true)
	return Options{
		Redis:     redis.UniversalOptions{Addrs: []string{server.Addr()}},
		Miniredis: true,
		Timeout:   250 * time.Millisecond, // its Lua is slow
	}, server.Close, nil
}
