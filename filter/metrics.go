package main

import (
	"chatcache/filter/internal/exchange"

	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"
)

// metrics defines each metric with the host when it is first used. The names are
// few: they come from the policy and from a fixed set of reasons. What the host refuses isn't counted: no stream is to suffer for it.
type metrics struct {
	panics exchange.Metric
}

func newMetrics() metrics {
	return metrics{panics: exchange.Metric{Name: exchange.MetricPanics}}
}

// add counts n, which isn't 0: the host refuses that.
func (m *metrics) add(counter *exchange.Metric, n uint64) {
	m.counter(counter)
	incrementMetric(counter.Number, int64(n))
}

// counter defines a counter that may not be needed soon.
func (m *metrics) counter(c *exchange.Metric) {
	if c.Number == 0 {
		c.Number = uint32(proxywasm.DefineCounterMetric(c.Name))
	}
}

// set moves a gauge to value. The host offers only differences, and sums the
// gauges of all VMs.
func (m *metrics) set(gauge *exchange.Metric, value int64) {
	if gauge.Number == 0 {
		gauge.Number = uint32(proxywasm.DefineGaugeMetric(gauge.Name))
	}
	if value != gauge.Shown {
		incrementMetric(gauge.Number, value-gauge.Shown)
		gauge.Shown = value
	}
}

func (m *metrics) record(histogram *exchange.Metric, value uint64) {
	if histogram.Number == 0 {
		histogram.Number = uint32(proxywasm.DefineHistogramMetric(histogram.Name))
	}
	recordMetric(histogram.Number, int64(value))
}
