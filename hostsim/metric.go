package hostsim

import "slices"

// metricCalls: counters, gauges, histograms.
var metricCalls = []hostcall{
	{"proxy_define_metric", "iiii", callDefineMetric},
	{"proxy_increment_metric", "iI", callIncrementMetric},
	{"proxy_record_metric", "iI", callRecordMetric},
	{"proxy_get_metric", "ii", callGetMetric},
}

type metricKind uint32

const (
	counter metricKind = iota
	gauge
	histogram
)

// metric is one statistic of the proxy, shared by all its VMs.
type metric struct {
	kind    metricKind
	value   uint64
	samples []uint64
}

type metricKey struct {
	kind metricKind
	name string
}

// callDefineMetric gives a new id at each call, for the same statistic where
// the name is known. The low two bits of an id are its kind.
func callDefineMetric(a *callArgs) status {
	kind, name := metricKind(a.num(0)), a.str(1)
	if a.bad {
		return statusInvalidMemory
	}
	if kind > histogram {
		return statusBadArgument
	}
	key := metricKey{kind, name}
	m := a.vm.proxy.metrics[key]
	if m == nil {
		m = &metric{kind: kind}
		a.vm.proxy.metrics[key] = m
	}
	a.vm.lastMetric += 4
	id := a.vm.lastMetric | uint32(kind)
	a.vm.metrics[id] = m
	return a.giveUint32(id, 3)
}

func callIncrementMetric(a *callArgs) status {
	id, offset := a.num(0), a.num64(1)
	m := a.vm.metrics[id]
	switch kind := metricKind(id & 3); {
	case kind > gauge:
		return statusBadArgument
	case m == nil:
		return statusNotFound
	case kind == counter && offset <= 0:
		return statusBadArgument
	}
	m.value += uint64(offset)
	return statusOK
}

func callRecordMetric(a *callArgs) status {
	id, value := a.num(0), uint64(a.num64(1))
	m := a.vm.metrics[id]
	if m == nil {
		return statusNotFound
	}
	switch m.kind {
	case counter:
		m.value += value
	case gauge:
		m.value = value
	case histogram:
		m.samples = append(m.samples, value)
	}
	return statusOK
}

func callGetMetric(a *callArgs) status {
	id := a.num(0)
	m := a.vm.metrics[id]
	switch {
	case metricKind(id&3) > gauge:
		return statusBadArgument
	case m == nil:
		return statusNotFound
	}
	return a.giveUint64(m.value, 1)
}

// Counter is a counter's value, summed over all VMs as in Envoy's statistics;
// 0 when no VM defined it. Envoy shows it as wasmcustom.NAME.
func (s *Sim) Counter(name string) uint64 { return s.metricValue(counter, name) }

// CheckCounter fails the test that RunT started the proxy for unless the counter
// has the value.
func (s *Sim) CheckCounter(name string, want uint64) {
	s.t.Helper()
	if got := s.Counter(name); got != want {
		s.t.Errorf("counter %s is %d, want %d, of %v", name, got, want, s.Counters())
	}
}

// Gauge is a gauge's value.
func (s *Sim) Gauge(name string) uint64 { return s.metricValue(gauge, name) }

func (s *Sim) metricValue(kind metricKind, name string) uint64 {
	if m := s.proxy.metrics[metricKey{kind, name}]; m != nil {
		return m.value
	}
	return 0
}

// Histogram are the values recorded, in order.
func (s *Sim) Histogram(name string) []uint64 {
	if m := s.proxy.metrics[metricKey{histogram, name}]; m != nil {
		return slices.Clone(m.samples)
	}
	return nil
}

// Counters are all counters by name.
func (s *Sim) Counters() map[string]uint64 { return s.metricValues(counter) }

// Gauges are all gauges by name.
func (s *Sim) Gauges() map[string]uint64 { return s.metricValues(gauge) }

func (s *Sim) metricValues(kind metricKind) map[string]uint64 {
	all := map[string]uint64{}
	for key, m := range s.proxy.metrics {
		if key.kind == kind {
			all[key.name] = m.value
		}
	}
	return all
}
