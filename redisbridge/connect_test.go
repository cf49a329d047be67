package redisbridge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"chatcache/redisbridge/wire"
)

func TestRedisFromEnv(t *testing.T) {
	tests := []struct{ name, env, want string }{
		{"nothing set", "", "[127.0.0.1:6379] db=0 user= password= master= cluster=false tls=false"},
		{"host and port", "REDIS_HOST=redis REDIS_PORT=6380 REDIS_DB=2", "[redis:6380] db=2 user= password= master= cluster=false tls=false"},
		{"IPv6", "REDIS_HOST=::1", "[[::1]:6379] db=0 user= password= master= cluster=false tls=false"},
		{"credentials and TLS", "REDIS_HOST=redis REDIS_USERNAME=u REDIS_PASSWORD=p REDIS_TLS=true", "[redis:6379] db=0 user=u password=p master= cluster=false tls=true redis"},
		{"URL", "REDIS_URL=redis://u:p@redis:6380/3", "[redis:6380] db=3 user=u password=p master= cluster=false tls=false"},
		{"URL with TLS", "REDIS_URL=rediss://redis", "[redis:6379] db=0 user= password= master= cluster=false tls=true redis"},
		{"URL of a socket", "REDIS_URL=unix:///run/redis.sock", "[/run/redis.sock] db=0 user= password= master= cluster=false tls=false"},
		{"URL wins", "REDIS_URL=redis://a REDIS_HOST=b REDIS_DB=x", "[a:6379] db=0 user= password= master= cluster=false tls=false" +
			"; REDIS_HOST has no effect: REDIS_URL is set and wins; REDIS_DB has no effect: REDIS_URL is set and wins"},
		{"URL with parameters", "REDIS_URL=redis://redis?db=2&protocol=2&client_name=bridge&pool_size=20&min_idle_conns=3&max_idle_conns=9&conn_max_idle_time=10m&conn_max_lifetime=1h",
			"[redis:6379] db=2 user= password= master= cluster=false tls=false protocol=2 name=bridge pool=20 idle=3-9 for 10m0s life=1h0m0s"},
		{"URL with a timeout", "REDIS_URL=redis://redis?db=1&read_timeout=3s", "redis settings: REDIS_URL has the parameter read_timeout: take it out; the bridge bounds its calls to Redis itself, so that lookups end in time; redisbridge serve --timeout says how long these take at most"},
		{"URL with retries", "REDIS_URL=redis://redis?max_retries=5", "redis settings: REDIS_URL has the parameter max_retries: take it out; how often a call is tried is the bridge's own, so that lookups end in time, and there is no setting for it"},
		{"URL with a bound", "REDIS_URL=redis://redis?max_active_conns=5", "redis settings: REDIS_URL has the parameter max_active_conns: take it out; the bridge opens as many connections as its calls need, and there is no setting to bound them"},
		{"URL with an old name", "REDIS_URL=redis://redis?idle_timeout=5s", "redis settings: REDIS_URL has the parameter idle_timeout: take it out; write conn_max_idle_time"},
		{"URL with a password that isn't escaped", "REDIS_URL=redis://:12?hunter2@redis", "redis settings: REDIS_URL has a parameter that the bridge doesn't take, want some of client_name, conn_max_idle_time, conn_max_lifetime, db, max_idle_conns, min_idle_conns, pool_size, protocol, skip_verify, or none (in a password, write ? as %3F)"},
		{"URL with no possible pool", "REDIS_URL=redis://redis?pool_size=-1", "redis settings: REDIS_URL wants -1 connections, want a number up to 65535"},
		{"cluster", "REDIS_CLUSTER=a:1,b:2", "[a:1 b:2] db=0 user= password= master= cluster=true tls=false"},
		{"cluster by one node", "REDIS_CLUSTER=a:1", "[a:1] db=0 user= password= master= cluster=true tls=false"},
		{"sentinels", "REDIS_SENTINELS=a:1,b:2 REDIS_SENTINEL_MASTER=m REDIS_DB=1", "[a:1 b:2] db=1 user= password= master=m cluster=false tls=false"},
		{"sentinels with a password", "REDIS_SENTINELS=a:1 REDIS_SENTINEL_MASTER=m REDIS_PASSWORD=p REDIS_SENTINEL_USERNAME=su REDIS_SENTINEL_PASSWORD=sp",
			"[a:1] db=0 user= password=p master=m cluster=false tls=false sentinels=su:sp"},
		// The server that a Sentinel or a node names has a name of its own.
		{"one sentinel with TLS", "REDIS_SENTINELS=a:1 REDIS_SENTINEL_MASTER=m REDIS_TLS=true", "[a:1] db=0 user= password= master=m cluster=false tls=true "},
		{"cluster by one node with TLS", "REDIS_CLUSTER=a:1 REDIS_TLS=true", "[a:1] db=0 user= password= master= cluster=true tls=true "},
		{"a list without ports", "REDIS_CLUSTER=a:1,b", `redis settings: the address "b", want host:port`},
		{"a list that ends early", "REDIS_CLUSTER=a:1,", `redis settings: the address "", want host:port`},
		{"sentinels without a name", "REDIS_SENTINELS=a:1", "redis settings: REDIS_SENTINELS and REDIS_SENTINEL_MASTER need each other"},
		{"both", "REDIS_SENTINELS=a:1 REDIS_SENTINEL_MASTER=m REDIS_CLUSTER=b:1", "redis settings: both REDIS_CLUSTER and REDIS_SENTINELS are set, want one"},
		{"cluster's database", "REDIS_CLUSTER=a:1 REDIS_DB=1", "redis settings: REDIS_DB=1 with REDIS_CLUSTER: a cluster has database 0 only"},
		{"bad port", "REDIS_PORT=redis", `redis settings: REDIS_PORT="redis", want a number up to 65535`},
		{"bad TLS", "REDIS_TLS=on", `redis settings: REDIS_TLS="on", want true or false`},
		{"bad URL", "REDIS_URL=http://u:hunter2@redis", "redis settings: REDIS_URL can't be read, want redis://[user:password@]host:port[/db], rediss:// for TLS, or unix:///path"},
		{"unreadable URL", "REDIS_URL=redis://u:hunter2@%zz", "redis settings: REDIS_URL can't be read, want redis://[user:password@]host:port[/db], rediss:// for TLS, or unix:///path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{}
			for pair := range strings.FieldsSeq(tt.env) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			o, warnings, err := RedisFromEnv(func(name string) string { return env[name] })
			got := describe(o, warnings)
			if err != nil {
				wantError(t, err, ErrRedisConfig)
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Whoever writes a list by hand puts spaces into it.
func TestRedisListsMayHaveSpaces(t *testing.T) {
	env := map[string]string{"REDIS_CLUSTER": "a:1, b:2 ,c:3"}
	o, _, err := RedisFromEnv(func(name string) string { return env[name] })
	if err != nil || !slices.Equal(o.Addrs, []string{"a:1", "b:2", "c:3"}) {
		t.Errorf("%q, %v", o.Addrs, err)
	}
}

func describe(o redis.UniversalOptions, warnings []string) string {
	s := fmt.Sprintf("%v db=%d user=%s password=%s master=%s cluster=%t tls=%t",
		o.Addrs, o.DB, o.Username, o.Password, o.MasterName, o.IsClusterMode, o.TLSConfig != nil)
	if o.TLSConfig != nil {
		s += " " + o.TLSConfig.ServerName
	}
	if o.SentinelUsername+o.SentinelPassword != "" {
		s += " sentinels=" + o.SentinelUsername + ":" + o.SentinelPassword
	}
	if o.ClientName != "" {
		s += fmt.Sprintf(" protocol=%d name=%s pool=%d idle=%d-%d for %v life=%v", o.Protocol, o.ClientName, o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.ConnMaxIdleTime, o.ConnMaxLifetime)
	}
	return strings.Join(append([]string{s}, warnings...), "; ")
}

// The Redis in memory keeps time by itself.
func TestMemory(t *testing.T) {
	o, stop, err := Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	o.Insecure, o.Timeout, o.StoreTimeout = true, patience, patience
	b := newBridge(t, o)
	m := wire.LookupRequest{
		Scope: wire.Scope{Policy: "chat", Horizon: 1000, Quarantine: 1000}, // a busy machine gets to the lookup before it ends
		Key:   wire.EntryKey("stats", "chat", "", "GET", "/", "d"),
	}
	state := func() wire.LookupState { return must(b.Lookup(t.Context(), m)).State }
	if got := state(); got != wire.LookupSuspended {
		t.Errorf("at first: state %d, want the quarantine", got)
	}
	eventually(t, "the quarantine ends", func() bool { return state() == wire.LookupMiss })
	ticket := must(b.Lookup(t.Context(), m)).Ticket
	entry := wire.Entry{Head: wire.Head{Ticket: ticket, Groups: []string{"*"}}}.Encode()
	store := func(ttl int64) {
		must(b.Store(t.Context(), wire.StoreRequest{Scope: m.Scope, Key: m.Key, TTL: ttl, Entry: entry}))
	}
	store(600_000)
	if got := state(); got != wire.LookupHit {
		t.Errorf("stored: state %d, want a hit", got)
	}
	store(1)
	eventually(t, "the entry expires", func() bool { return state() == wire.LookupMiss })
}
