package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// istioCache is a label that Istio makes in every proxy (stats_tags in its tools/packaging/common/envoy_bootstrap.json).
var istioCache = regexp.MustCompile(`(cache\.(.+?)\.)`)

// shown gives a metric of the filter as Istio's proxies show it: the first match of the tag's expression is taken out
// of the name, and the name has "_" for all else but letters and digits.
func shown(metric string) map[string]string {
	series := map[string]string{}
	if m := istioCache.FindStringSubmatchIndex(metric); m != nil {
		series["cache"] = metric[m[4]:m[5]]
		metric = metric[:m[2]] + metric[m[3]:]
	}
	series["__name__"] = regexp.MustCompile(`[^a-zA-Z0-9]`).ReplaceAllString(metric, "_")
	return series
}

// podMonitors reads those that are shipped, by name.
func podMonitors(t *testing.T) map[string]*monitoring.PodMonitor {
	t.Helper()
	list := make(map[string]*monitoring.PodMonitor)
	for _, o := range read(t, "istio/podmonitor.yaml").objects(t) {
		m := o.(*monitoring.PodMonitor)
		list[m.Name] = m
	}
	return list
}

// Names as Istio's proxies show them become names and labels as envoy.yaml makes them: every name that the filter has.
func TestPodMonitorMakesLabels(t *testing.T) {
	cases := map[string]map[string]string{
		"chatcache.l1_bytes":                                    {"__name__": "chatcache_l1_bytes"},
		"chatcache.cache.my_tier_l2_x.tier.l1.hits":             {"__name__": "chatcache_hits", "cache": "my_tier_l2_x", "tier": "l1"},
		"chatcache.cache.stats.reason.write-in-flight.bypasses": {"__name__": "chatcache_bypasses", "cache": "stats", "reason": "write_in_flight"},
		"chatcache.cache.stats.latency_us_bucket":               {"__name__": "chatcache_latency_us_bucket", "cache": "stats"},
		"chatcache.cache.stats.latency_us_count":                {"__name__": "chatcache_latency_us_count", "cache": "stats"},
		"envoy.cluster.upstream_rq_total":                       nil,
	}
	source, err := os.ReadFile("../../filter/internal/exchange/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	find := func(pattern string) []string {
		var names []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1])
		}
		if len(names) == 0 {
			t.Fatalf("metrics.go has nothing like %s", pattern)
		}
		return names
	}
	for _, name := range find(` of\("([a-z_]+)"\)`) {
		cases["chatcache.cache.my-stats."+name] = map[string]string{"__name__": "chatcache_" + name, "cache": "my_stats"}
	}
	for _, tier := range find(` of\("tier\.(l[12])\.hits"\)`) {
		cases["chatcache.cache.my-stats.tier."+tier+".hits"] = map[string]string{"__name__": "chatcache_hits", "cache": "my_stats", "tier": tier}
	}
	for _, name := range find(`newByReason\(prefix, "\.([a-z_]+)"\)`) {
		cases["chatcache.cache.my-stats.reason.off."+name] = map[string]string{"__name__": "chatcache_" + name, "cache": "my_stats", "reason": "off"}
	}
	rules := podMonitors(t)["chatcache"].Spec.PodMetricsEndpoints[0].MetricRelabelConfigs
	for name, want := range cases {
		if diff := cmp.Diff(want, relabel(t, rules, shown(name))); diff != "" {
			t.Errorf("%s, shown as %v:\n%s", name, shown(name), diff)
		}
	}
}

// The bridge's metrics are asked for where its sidecar shows them, and none of the sidecar's own are kept.
func TestPodMonitorOfTheBridge(t *testing.T) {
	endpoint := podMonitors(t)["redis-bridge"].Spec.PodMetricsEndpoints[0]
	for address, want := range map[string]string{"10.0.0.1:15090": "10.0.0.1:15020", "[fd00::1]:15090": "[fd00::1]:15020"} {
		if got := relabel(t, endpoint.RelabelConfigs, map[string]string{"__address__": address})["__address__"]; got != want {
			t.Errorf("%s becomes %s, want %s", address, got, want)
		}
	}
	for name, want := range map[string]bool{"chatcache_bridge_redis_up": true, "istio_requests_total": false} {
		if kept := relabel(t, endpoint.MetricRelabelConfigs, map[string]string{"__name__": name}) != nil; kept != want {
			t.Errorf("%s is kept: %t", name, kept)
		}
	}
}

// relabel does what Prometheus does with the actions "keep" and "replace", nil where the series is dropped.
func relabel(t *testing.T, rules []monitoring.RelabelConfig, series map[string]string) map[string]string {
	t.Helper()
	for _, rule := range rules {
		var values []string
		for _, name := range rule.SourceLabels {
			values = append(values, series[string(name)])
		}
		pattern := regexp.MustCompile("^(?s:" + rule.Regex + ")$")
		value := strings.Join(values, ";")
		match := pattern.FindStringSubmatchIndex(value)
		switch {
		case rule.Action == "keep" && match == nil:
			return nil
		case rule.Action == "keep" || match == nil:
		case rule.Action == "":
			series[rule.TargetLabel] = string(pattern.ExpandString(nil, *rule.Replacement, value, match))
		default:
			t.Fatalf("unknown action %q", rule.Action)
		}
	}
	return series
}
