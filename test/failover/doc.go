// Package failover holds the tests of the bridge on Redis servers that fail over,
// split, move their slots and forget: real Sentinels and a real Cluster, started
// from the settings files of envoy/redis.
//
// A [world] is an origin, bridges, and clients that read and write through them
// without a pause. Each read that was answered from Redis is compared with what the
// origin had committed before the read began.
package failover
