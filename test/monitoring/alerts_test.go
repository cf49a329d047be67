package monitoring

import (
	"context"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
)

func readAlerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, problems := rulefmt.Parse(read(t, "envoy/monitoring/alerts.yaml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	for _, p := range problems {
		t.Error(p)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	alerts := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			alerts[r.Alert] = r
		}
	}
	return alerts
}

// Prometheus accepts the rules; they are of metrics that there are, and say where to look.
func TestAlertsAreRules(t *testing.T) {
	metrics := metricsOfREADME(t)
	troubles := string(read(t, "redisbridge/TROUBLESHOOTING.md"))
	for name, r := range readAlerts(t) {
		checkExpression(t, name, r.Expr, metrics)
		if s := r.Labels["severity"]; s != "critical" && s != "warning" && s != "info" {
			t.Errorf("%s has severity %q", name, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or description", name)
		}
		if !strings.Contains(troubles, "\n| "+r.Annotations["check"]+" |") {
			t.Errorf("%s: TROUBLESHOOTING.md has no check %q", name, r.Annotations["check"])
		}
		for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["summary"]+r.Annotations["description"], -1) {
			if !regexp.MustCompile(`\b`+label[1]+`\b`).MatchString(r.Expr) && !(label[1] == "instance" && !strings.Contains(r.Expr, " by ")) {
				t.Errorf("%s tells of the label %q, which its expression drops", name, label[1])
			}
		}
	}
}

// README.md's table has each alert with its severity, and says of none that there isn't.
func TestREADMEHasTheAlerts(t *testing.T) {
	want := map[string]string{}
	for name, r := range readAlerts(t) {
		want[name] = r.Labels["severity"]
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(Chatcache\\w+)`, (\\w+) \\|").FindAllStringSubmatch(string(read(t, "envoy/monitoring/README.md")), -1) {
		got[row[1]] = row[2]
	}
	if !maps.Equal(got, want) {
		t.Errorf("README.md has the alerts %v, alerts.yaml %v", got, want)
	}
}

// quiet is what a mesh without trouble shows: no alert. Samples come every 30 s. The bridge of a gateway with 64 workers is away
// for some of these seconds once, which is no reason to wake anybody.
const quiet = `chatcache_bridge_redis_up{instance="b"} 1+0x200
	up{instance="b",job="chatcache/redis-bridge"} 1+0x200
	up{instance="e",job="chat/chatcache"} 1+0x200
	up{instance="down",job="chat/chatcache"} 0+0x200
	chatcache_bridge_breaker_open{instance="b"} 0+0x200
	chatcache_bridge_feed_lag{instance="b",policy="chat"} 0x40 3 0 100 0 2 0+0x200
	chatcache_bridge_feed_lag_seconds{instance="b",policy="chat"} 0x40 0.02 0 7 0 0.5 0+0x200
	chatcache_bridge_feed_lag{instance="b",policy="busy"} 180+0x200
	chatcache_bridge_feed_lag_seconds{instance="b",policy="busy"} 0.18+0x200
	chatcache_hits{instance="e",cache="stats",tier="l1"} 0+300x200
	chatcache_misses{instance="e",cache="stats"} 0+30x200
	chatcache_latency_us_count{instance="e",cache="stats"} 0+333x200
	chatcache_errors{instance="e",cache="stats"} 0+1x200
	chatcache_journal_entries{instance="e"} 0x40 1 0 2 0+0x200
	chatcache_journal_entries{instance="busy"} 3 1 2 4 1+0x200
	chatcache_writes_closed{instance="busy"} 0+600x200
	chatcache_feed_errors{instance="e"} 1x39 2+0x200
	chatcache_feed_errors{instance="pair"} 1x39 3+0x200
	chatcache_hits{instance="gateway",cache="stats",tier="l1"} 0+2900x200
	chatcache_latency_us_count{instance="gateway",cache="stats"} 0+3000x200
	chatcache_errors{instance="gateway",cache="stats"} 0x39 2000 4000+0x200
	chatcache_bypasses{instance="gateway",cache="stats",reason="breaker-open"} 0x39 800 1600+0x200
	chatcache_breaker_opened{instance="gateway"} 0x39 40 64+0x200
	chatcache_feed_errors{instance="gateway"} 0x39 640 1280+0x200
	chatcache_writes_refused{instance="e"} 1+0x200
	chatcache_anonymous_done{instance="e"} 2+0x200
	chatcache_latency_us_count{instance="e",cache="off"} 0+300x200
	chatcache_bypasses{instance="e",cache="off",reason="off"} 0+300x200
	chatcache_latency_us_count{instance="e",cache="few"} 0+3000x200
	chatcache_bypasses{instance="e",cache="few",reason="percent"} 0+2970x200
	chatcache_hits{instance="e",cache="few",tier="l2"} 0+20x200
	chatcache_misses{instance="e",cache="few"} 0+10x200
	chatcache_latency_us_count{instance="e",cache="observed"} 0+300x200
	chatcache_would_hits{instance="e",cache="observed"} 0+200x200
	chatcache_misses{instance="e",cache="observed"} 0+100x200
	chatcache_latency_us_count{instance="e",cache="crowded"} 0+300x200
	chatcache_collapsed{instance="e",cache="crowded"} 0+200x200
	chatcache_misses{instance="e",cache="crowded"} 0+100x200
	chatcache_mismatches{instance="e",cache="stats"} 1+0x200
	chatcache_following{instance="e"} 2+0x200
	chatcache_following{instance="f"} 2x39 0+0x200
	chatcache_bridge_vms{instance="a",policy="chat"} 4x39 2+0x200
	chatcache_bridge_vms{instance="b",policy="chat"} 3x39 2+0x200
	chatcache_panics{instance="e"} 1+0x200`

// TestAlerts lets Prometheus evaluate each alert every 30 s, from the 16th minute on: one that
// fires does so for the first time at the minute that is said, and tells this. Where the trouble
// begins at one moment it is the 20th. Without trouble none fires.
func TestAlerts(t *testing.T) {
	const anonymousDone = "Behind e the origin does writes without a credential, though the policy says that it refuses them"
	tested := map[string]bool{}
	for _, tt := range []struct {
		alert, series string
		minute        float64 // of the first firing
		summary       string
	}{
		{"ChatcacheNoBridge", `chatcache_bridge_redis_up{instance="b"} 1+0x39 _x200`, 26.5, "No bridge of chatcache is scraped"},
		{"ChatcacheNoFilter", `up{instance="e",job="chat/chatcache"} 1+0x200
			up{instance="without",job="chat/chatcache"} _x40 1+0x200
			chatcache_panics{instance="e"} 0+0x200`, 25, "The proxy without runs without the filter"},
		{"ChatcacheDeadWorker", `chatcache_following{instance="e"} 2+0x200
			chatcache_following{instance="f"} 2+0x200
			chatcache_bridge_vms{instance="a",policy="chat"} 4+0x39 3+0x200
			chatcache_bridge_vms{instance="b",policy="chat"} 4+0x39 3+0x200`, 25, "Of 4 workers that follow the feed the bridges know fewer"},
		{"ChatcacheRedisDown", `chatcache_bridge_redis_up{instance="b"} 1+0x39 0+0x200`, 21, "Redis doesn't answer the bridge b"},
		{"ChatcacheBridgeBreakerOpen", `chatcache_bridge_breaker_open{instance="b"} 0+0x39 1 1 0 1 1 0 1 1 0 1 0+0x200`, 22,
			"The bridge b refuses lookups, since Redis left its calls without an answer"},
		{"ChatcacheBreakerOpens", `chatcache_breaker_opened{instance="e"} 1+0x39 2+1x200`, 24, "Workers of e stop waiting for the bridge again and again"},
		{"ChatcacheErrors", `chatcache_errors{instance="e",cache="stats"} 0+0x39 30+30x200
			chatcache_latency_us_count{instance="e",cache="stats"} 0+333x200`, 26, "The bridge doesn't answer for the cache stats"},
		{"ChatcacheErrors", `chatcache_errors{instance="e",cache="stats"} 0+0x39 30+30x200
			chatcache_bypasses{instance="e",cache="stats",reason="breaker-open"} _x40 2970+2970x200
			chatcache_latency_us_count{instance="e",cache="stats"} 0+3000x200`, 25.5, "The bridge doesn't answer for the cache stats"},
		{"ChatcacheFeedLag", `chatcache_bridge_feed_lag{instance="a",policy="chat"} 0+0x39 65+5x200
			chatcache_bridge_feed_lag_seconds{instance="a",policy="chat"} 0+0x39 2+2x200
			chatcache_bridge_feed_lag{instance="b",policy="chat"} 0+0x200`, 21, "A worker is 75 events behind in the feed of chat"},
		{"ChatcacheFeedLate", `chatcache_bridge_feed_lag_seconds{instance="a",policy="chat"} 0+0x39 30+30x200
			chatcache_bridge_feed_lag_seconds{instance="b",policy="chat"} 0+0x200`, 21, "A worker has lacked events of the feed of chat for 1m 30s"},
		{"ChatcacheFeedErrors", `chatcache_feed_errors{instance="e"} 1+0x39 20+20x200`, 25, "Polls of the feed by e fail"},
		{"ChatcacheFeedErrors", `chatcache_feed_errors{instance="e"} ` + hangs(2500*time.Millisecond), 25, "Polls of the feed by e fail"},
		{"ChatcacheFeedErrors", `chatcache_feed_errors{instance="e"} ` + hangs(21500*time.Millisecond), 26, "Polls of the feed by e fail"},
		{"ChatcacheJournal", `chatcache_journal_entries{instance="e"} 0+0x39 7+0x200`, 21, "The proxy e can't tell the bridge of the ends of 7 writes"},
		{"ChatcacheJournal", `chatcache_journal_entries{instance="e"} 2+0x39 600 1+0x200
			chatcache_writes_closed{instance="e"} 0+600x39 23400+0x200`, 22, "The proxy e can't tell the bridge of the ends of 1 writes"},
		{"ChatcacheJournalLost", `chatcache_journal_merged{instance="e"} _x40 1+0x200`, 20, "The proxy e invalidates everything in place of single writes"},
		{"ChatcacheJournalLost", `chatcache_journal_refused{instance="e"} 1+0x39 2+0x200`, 20, "The proxy e invalidates everything in place of single writes"},
		{"ChatcacheInvalidationPending", `chatcache_invalidation_pending{instance="e"} _x40 1+0x200`, 20, "Writes passed e before the bridge had heard of them"},
		{"ChatcacheWritesRefused", `chatcache_writes_refused{instance="e"} _x40 1+0x200`, 20, "Writes through e fail, since the bridge can't be told of them"},
		{"ChatcacheWritesRefused", `chatcache_writes_refused{instance="e"} 3+0x39 4+0x200`, 20, "Writes through e fail, since the bridge can't be told of them"},
		{"ChatcacheAnonymousWrites", `chatcache_anonymous_done{instance="e"} _x40 1+0x200`, 20, anonymousDone},
		{"ChatcacheAnonymousWrites", `chatcache_anonymous_done{instance="e"} 3+0x39 4+0x200`, 20, anonymousDone},
		{"ChatcacheHitRatio", `chatcache_hits{instance="e",cache="stats",tier="l2"} 0+1x200
			chatcache_latency_us_count{instance="e",cache="stats"} 0+30x200`, 46, "The cache stats answers 3.333% of its reads"},
		{"ChatcacheHitRatio", `chatcache_latency_us_count{instance="e",cache="stats"} 0+30x200`, 46, "The cache stats answers 0% of its reads"},
		{"ChatcacheHitRatio", `chatcache_hits{instance="e",cache="stats",tier="l2"} 0+1x200
			chatcache_bypasses{instance="e",cache="stats",reason="percent"} 0+970x200
			chatcache_bypasses{instance="e",cache="stats",reason="conditional"} 0+10x200
			chatcache_latency_us_count{instance="e",cache="stats"} 0+1000x200`, 46, "The cache stats answers 3.333% of its reads"},
		{"ChatcacheMismatches", `chatcache_mismatches{instance="e",cache="stats"} _x40 1+0x200`, 20, "The cache stats would have answered something else than the origin"},
		{"ChatcacheMismatches", `chatcache_mismatches{instance="e",cache="stats"} 3+0x39 4+0x200`, 20, "The cache stats would have answered something else than the origin"},
		{"ChatcachePanics", `chatcache_panics{instance="e"} _x40 1+0x200`, 20, "The filter in e recovered from a panic"},
		{"ChatcachePanics", `chatcache_panics{instance="e"} 3+0x39 4+0x200`, 20, "The filter in e recovered from a panic"},
	} {
		t.Run(tt.alert, func(t *testing.T) {
			tested[tt.alert] = true
			minute, summary := firstFiring(t, tt.alert, tt.series)
			if minute != tt.minute || summary != tt.summary {
				t.Errorf("fires at minute %v: %q; want %v: %q", minute, summary, tt.minute, tt.summary)
			}
		})
	}
	for name := range readAlerts(t) {
		if !tested[name] {
			t.Errorf("no test lets %s fire", name)
		}
		if minute, summary := firstFiring(t, name, quiet); minute >= 0 {
			t.Errorf("%s fires without trouble, at minute %v: %s", name, minute, summary)
		}
	}
}

// hangs gives samples of chatcache_feed_errors of a proxy with one worker, whose bridge leaves polls without an answer from the
// 20th minute on: each fails after its hold and 0.5 s, and the next one is sent a second later.
func hangs(every time.Duration) string {
	samples := []string{"1x39"}
	for since := 30 * time.Second; since <= 30*time.Minute; since += 30 * time.Second {
		samples = append(samples, strconv.Itoa(1+int(since/every)))
	}
	return strings.Join(samples, " ")
}

// firstFiring gives the minute at which the alert fires for the first time, and what it says;
// -1 if it doesn't.
func firstFiring(t *testing.T, alert, series string) (minute float64, summary string) {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 30s\n"+series)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	r := readAlerts(t)[alert]
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		t.Fatal(err)
	}
	rule := rules.NewAlertingRule(alert, expression, time.Duration(r.For), 0, labels.FromMap(r.Labels), labels.FromMap(r.Annotations),
		labels.EmptyLabels(), "", true, promslog.NewNopLogger())
	// As far back as alerts look for whether a counter is new, there has to be something to see.
	for at := time.Unix(16*60, 0); at.Before(time.Unix(6000, 0)); at = at.Add(30 * time.Second) {
		if _, err := rule.Eval(context.Background(), 0, at, rules.EngineQueryFunc(engine, storage), nil, 0); err != nil {
			t.Fatal(err)
		}
		for _, a := range rule.ActiveAlerts() {
			if a.State == rules.StateFiring {
				return float64(at.Unix()) / 60, a.Annotations.Get("summary")
			}
		}
	}
	return -1, ""
}
