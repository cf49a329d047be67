package main

import (
	"strconv"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

var (
	counters   = map[string]proxywasm.MetricCounter{}
	gauges     = map[string]proxywasm.MetricGauge{}
	histograms = map[string]proxywasm.MetricHistogram{}
)

// measure are the commands about metrics.
func (s *stream) measure(c []string) error {
	n, _ := strconv.ParseInt(c[2], 10, 64)
	switch c[0] {
	case "count":
		defined(counters, c[1], proxywasm.DefineCounterMetric).Increment(1)
	case "gauge":
		defined(gauges, c[1], proxywasm.DefineGaugeMetric).Add(n)
	case "record":
		defined(histograms, c[1], proxywasm.DefineHistogramMetric).Record(uint64(n))
	default:
		logf("unknown command %q", c[0])
	}
	return nil
}

// defined is the metric of a name, defined at its first use.
func defined[M any](all map[string]M, name string, define func(string) M) M {
	m, ok := all[name]
	if !ok {
		m = define(name)
		all[name] = m
	}
	return m
}
