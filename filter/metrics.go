package main

import "github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

// metrics defines each metric with the host when it is first used. The names are
// few: they come from the policy and from a fixed set of reasons.
type metrics struct {
	counters   map[string]proxywasm.MetricCounter
	gauges     map[string]*gauge
	histograms map[string]proxywasm.MetricHistogram
}

// metric finds a metric by name or defines it.
func metric[M any](known *map[string]M, name string, define func(string) M) M {
	if m, ok := (*known)[name]; ok {
		return m
	}
	if *known == nil {
		*known = make(map[string]M)
	}
	m := define(name)
	(*known)[name] = m
	return m
}

// add counts n, which isn't 0: the host refuses that.
func (m *metrics) add(name string, n uint64) { m.counter(name).Increment(n) }

func (m *metrics) counter(name string) proxywasm.MetricCounter {
	return metric(&m.counters, name, proxywasm.DefineCounterMetric)
}

// set moves a gauge to value. The host offers only differences, and sums the
// gauges of all VMs.
func (m *metrics) set(name string, value int64) {
	g := metric(&m.gauges, name, func(name string) *gauge {
		return &gauge{metric: proxywasm.DefineGaugeMetric(name)}
	})
	if value != g.value {
		g.metric.Add(value - g.value)
		g.value = value
	}
}

func (m *metrics) record(name string, value uint64) {
	metric(&m.histograms, name, proxywasm.DefineHistogramMetric).Record(value)
}

type gauge struct {
	metric proxywasm.MetricGauge
	value  int64 // what this VM has contributed
}
