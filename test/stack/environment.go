package stack

import (
	"fmt"
	"strconv"
)

// Environment reads what `make run` and `make sim` let their user choose: the ports, and the
// scale of the sample API's latencies (CHATAPI_LATENCY).
func Environment(getenv func(string) string) (ports Ports, latency float64, err error) {
	for _, p := range []struct {
		name      string
		otherwise int
		to        *int
	}{
		{"ENVOY_PORT", 10000, &ports.Envoy},
		{"ENVOY_ADMIN_PORT", 9901, &ports.EnvoyAdmin},
		{"BRIDGE_PORT", 8470, &ports.Bridge},
		{"CHATAPI_PORT", 3000, &ports.Origin},
		{"VALKEY_PORT", 6380, &ports.Valkey},
	} {
		*p.to = p.otherwise
		text := getenv(p.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65535 {
			return ports, 0, fmt.Errorf("%s=%q: want a port from 1 to 65535", p.name, text)
		}
		*p.to = n
	}
	text := getenv("CHATAPI_LATENCY")
	if text == "" {
		return ports, 1, nil
	}
	latency, err = strconv.ParseFloat(text, 64)
	if err != nil || !(latency >= 0 && latency <= 100) {
		return ports, 0, fmt.Errorf("CHATAPI_LATENCY=%q: want a number from 0 to 100", text)
	}
	return ports, latency, nil
}
