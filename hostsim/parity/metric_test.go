package parity_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestHistograms compares how many of the recorded values are in each bucket.
func TestHistograms(t *testing.T) {
	envoy := sharedEnvoy(t)
	c := parityCase{script: []string{onRequest, "record parity_h 3; record parity_h 42", onDone, "record parity_h 4200"}}.over(false)
	real, sim := envoy.forCase(t), simulate(t, probeModule(t), c)
	for range 2 {
		observe(real, c)
		observe(sim, c)
	}
	values := sim.Histogram("parity_h")
	var envoys map[float64]int
	// Envoy merges its workers' histograms when it is asked, and answers meanwhile with what it had merged before.
	real.await("Envoy's count of all values", func() bool {
		envoys = buckets(envoy.stats(t, "/stats/prometheus?filter=wasmcustom"), "parity_h")
		return envoys[math.Inf(1)] >= len(values)
	})
	for limit, count := range envoys {
		n := 0
		for _, v := range values {
			if float64(v) < limit {
				n++
			}
		}
		if count != n {
			t.Errorf("below %g: Envoy counts %d values, the simulator %d", limit, count, n)
		}
	}
	if len(envoys) < 10 {
		t.Errorf("Envoy shows %d buckets", len(envoys))
	}
}

// buckets are the values below each bound of a histogram in Prometheus' format.
func buckets(text, name string) map[float64]int {
	all := map[float64]int{}
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(line, name+`_bucket{le="`)
		if !ok {
			continue
		}
		bound, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		limit, err := strconv.ParseFloat(bound, 64)
		if err != nil {
			continue // the caller finds too few
		}
		all[limit], _ = strconv.Atoi(count)
	}
	return all
}
