package deploy

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// Names as Istio's proxies show them become names and labels as envoy.yaml makes them.
func TestPodMonitorMakesLabels(t *testing.T) {
	rules := only[*monitoring.PodMonitor](t, read(t, "istio/podmonitor.yaml").objects(t)).Spec.PodMetricsEndpoints[0].MetricRelabelConfigs
	for name, want := range map[string]map[string]string{
		"chatcache_cache_stats_tier_l1_hits":                    {"__name__": "chatcache_hits", "cache": "stats", "tier": "l1"},
		"chatcache_cache_my_tier_cache_tier_l2_hits":            {"__name__": "chatcache_hits", "cache": "my_tier_cache", "tier": "l2"},
		"chatcache_cache_my_stats_misses":                       {"__name__": "chatcache_misses", "cache": "my_stats"},
		"chatcache_cache_stats_reason_write_in_flight_bypasses": {"__name__": "chatcache_bypasses", "cache": "stats", "reason": "write_in_flight"},
		"chatcache_cache_stats_reason_status_unstored":          {"__name__": "chatcache_unstored", "cache": "stats", "reason": "status"},
		"chatcache_cache_stats_collapse_timeouts":               {"__name__": "chatcache_collapse_timeouts", "cache": "stats"},
		"chatcache_cache_stats_latency_us_bucket":               {"__name__": "chatcache_latency_us_bucket", "cache": "stats"},
		"chatcache_cache_stats_latency_us_sum":                  {"__name__": "chatcache_latency_us_sum", "cache": "stats"},
		"chatcache_l1_bytes":                                    {"__name__": "chatcache_l1_bytes"},
		"chatcache_panics":                                      {"__name__": "chatcache_panics"},
		"envoy_cluster_upstream_rq_total":                       nil,
	} {
		if diff := cmp.Diff(want, relabel(t, rules, map[string]string{"__name__": name})); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
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
