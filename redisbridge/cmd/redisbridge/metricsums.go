package main

import (
	"strconv"
	"strings"
)

// metricSums are the lines of a Prometheus text: "name{labels}" and a value.
type metricSums map[string]float64

// sumMetrics reads a text in Prometheus' format; what isn't a sample is left out.
func sumMetrics(text string) metricSums {
	m := make(metricSums)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			m[line[:at]] += value
		}
	}
	return m
}

func (m metricSums) has(name string) bool {
	for series := range m {
		if strings.HasPrefix(series, name+"{") || series == name {
			return true
		}
	}
	return false
}

// sum adds up the series of a name that have the label; "" is any.
func (m metricSums) sum(name, label string) (total float64) {
	for series, value := range m {
		if (strings.HasPrefix(series, name+"{") || series == name) && strings.Contains(series, label) {
			total += value
		}
	}
	return total
}
