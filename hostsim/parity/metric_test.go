package parity_test

import (
	"fmt"
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
	buckets := 0
	for line := range strings.Lines(envoy.stats(t, "/stats/prometheus?filter=wasmcustom")) {
		_, rest, ok := strings.Cut(line, `parity_h_bucket{le="`)
		if !ok {
			continue
		}
		bound, count, _ := strings.Cut(strings.TrimSpace(rest), `"} `)
		limit, _ := strconv.ParseFloat(bound, 64)
		n := 0
		for _, v := range sim.Histogram("parity_h") {
			if float64(v) < limit {
				n++
			}
		}
		if count != fmt.Sprint(n) {
			t.Errorf("below %s: Envoy counts %s values, the simulator %d", bound, count, n)
		}
		buckets++
	}
	if buckets < 10 {
		t.Errorf("Envoy shows %d buckets", buckets)
	}
}
