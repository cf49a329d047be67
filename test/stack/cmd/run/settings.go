package main

import (
	"fmt"
	"strconv"

	"chatcache/test/stack"
)

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
func readSettings(getenv func(string) string) (settings, error) {
	s := settings{latency: 1, redisURL: getenv("REDIS_URL")}
	for _, p := range []struct {
		name      string
		otherwise int
		to        *int
	}{
		{"ENVOY_PORT", 10000, &s.ports.Envoy},
		{"ENVOY_ADMIN_PORT", 9901, &s.ports.EnvoyAdmin},
		{"BRIDGE_PORT", 8470, &s.ports.Bridge},
		{"CHATAPI_PORT", 3000, &s.ports.Origin},
		{"VALKEY_PORT", 6380, &s.ports.Valkey},
	} {
		*p.to = p.otherwise
		text := getenv(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			return s, fmt.Errorf("%s=%q: want a port from 1 to 65535", p.name, text)
		}
		*p.to = n
	}
	if text := getenv("CHATAPI_LATENCY"); text != "" {
		scale, err := strconv.ParseFloat(text, 64)
		if err != nil || !(scale >= 0 && scale <= 100) {
			return s, fmt.Errorf("CHATAPI_LATENCY=%q: want a number from 0 to 100", text)
		}
		s.latency = scale
	}
	return s, nil
}
