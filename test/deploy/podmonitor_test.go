package deploy

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// Names as Istio's proxies show them become names and labels as envoy.yaml makes them: every name that the filter has.
func TestPodMonitorMakesLabels(t *testing.T) {
	cases := map[string]map[string]string{
		"chatcache_l1_bytes":                                    {"__name__": "chatcache_l1_bytes"},
		"chatcache_cache_my_tier_l2_x_tier_l1_hits":             {"__name__": "chatcache_hits", "cache": "my_tier_l2_x", "tier": "l1"},
		"chatcache_cache_stats_reason_write_in_flight_bypasses": {"__name__": "chatcache_bypasses", "cache": "stats", "reason": "write_in_flight"},
		"chatcache_cache_stats_latency_us_bucket":               {"__name__": "chatcache_latency_us_bucket", "cache": "stats"},
		"chatcache_cache_stats_latency_us_count":                {"__name__": "chatcache_latency_us_count", "cache": "stats"},
		"envoy_cluster_upstream_rq_total":                       nil,
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
	for _, name := range find(`\bprefix \+ "([a-z_]+)"`) {
		cases["chatcache_cache_my_stats_"+name] = map[string]string{"__name__": "chatcache_" + name, "cache": "my_stats"}
	}
	for _, tier := range find(`\bprefix \+ "tier\.(l[12])\.hits"`) {
		cases["chatcache_cache_my_stats_tier_"+tier+"_hits"] = map[string]string{"__name__": "chatcache_hits", "cache": "my_stats", "tier": tier}
	}
	for _, name := range find(`string\(reason\) \+ "\.([a-z_]+)"`) {
		cases["chatcache_cache_my_stats_reason_off_"+name] = map[string]string{"__name__": "chatcache_" + name, "cache": "my_stats", "reason": "off"}
	}
	rules := only[*monitoring.PodMonitor](t, read(t, "istio/podmonitor.yaml").objects(t)).Spec.PodMetricsEndpoints[0].MetricRelabelConfigs
	for name, want := range cases {
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
