package main

import "chatcache/test/stack"

const usage = `usage: make run

Starts the sample chat API, Valkey, the bridge and Envoy with the filter, until Ctrl-C.

Environment:
  ENVOY_PORT        10000  the proxy
  ENVOY_ADMIN_PORT   9901  its admin interface
  BRIDGE_PORT        8470  the bridge
  CHATAPI_PORT       3000  the sample chat API
  VALKEY_PORT        6380  Valkey
  CHATAPI_LATENCY       1  scale of the sample API's latencies; 0 answers at once
  ENVOY, VALKEY            programs to use instead of those in .tools/
  REDIS_URL                a running Redis server to use instead of starting Valkey
`

const portHelp = "  Choose others with ENVOY_PORT, ENVOY_ADMIN_PORT, BRIDGE_PORT, CHATAPI_PORT or VALKEY_PORT."

type settings struct {
	ports    stack.Ports
	latency  float64
	redisURL string
}

// readSettings reads the environment.
func readSettings(getenv func(string) string) (s settings, err error) {
	s.redisURL = getenv("REDIS_URL")
	s.ports, s.latency, err = stack.Environment(getenv)
	return s, err
}
