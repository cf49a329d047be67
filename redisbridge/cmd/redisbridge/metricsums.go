package main

import (
	"regexp"
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
			m[labelled(line[:at])] += value
		}
	}
	return m
}

// unlabelled are names of caches' metrics as Istio's proxies show them: with the cache, the tier or the reason in the name, "_"
// in place of "-", and, since Istio makes a label "cache" of what stands between "cache." and the next point, without that of chatcache.cache.
var unlabelled = regexp.MustCompile(`^chat.+_(?:tier_(l1|l2)_hits|reason_(.+)_(bypasses|unstored)|(misses|collapsed|would_hits))\{.*cache="cache"`)

// labelled gives such a series the name and the labels that envoy/envoy.yaml makes, but for the cache, which nobody here asks for.
func labelled(series string) string {
	switch m := unlabelled.FindStringSubmatch(series); {
	case m == nil:
		return series
	case m[1] != "":
		return `chatcache_hits{tier="` + m[1] + `"}`
	case m[2] != "":
		return "chatcache_" + m[3] + `{reason="` + strings.ReplaceAll(m[2], "_", "-") + `"}`
	default:
		return "chatcache_" + m[4] + "{}"
	}
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
