package monitoring

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

type dashboard struct {
	Title      string
	Templating struct{ List []struct{ Name string } }
	Panels     []panel
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct{ RefID, Expr string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(read(t, "envoy/monitoring/dashboard.json"), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every query of the dashboard is one of metrics that there are.
func TestDashboardQueries(t *testing.T) {
	metrics := metricsOfREADME(t)
	d := readDashboard(t)
	variables := strings.NewReplacer("$__rate_interval", "5m")
	known := map[string]bool{}
	for _, v := range d.Templating.List {
		known["$"+v.Name] = true
	}
	shown := map[string]bool{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			where := fmt.Sprintf("panel %q, query %s", p.Title, target.RefID)
			text := variables.Replace(target.Expr)
			for _, v := range regexp.MustCompile(`\$\w+`).FindAllString(text, -1) {
				if !known[v] {
					t.Errorf("%s: the dashboard has no variable %s", where, v)
				}
			}
			checkExpression(t, where, text, metrics)
			for _, name := range regexp.MustCompile(`chatcache_\w+`).FindAllString(text, -1) {
				shown[name] = true
			}
		}
	}
	// What the issue of an operator who looks at it is.
	for _, name := range []string{"chatcache_hits", "chatcache_errors", "chatcache_bridge_feed_lag", "chatcache_journal_entries", "chatcache_bridge_breaker_open", "chatcache_panics", "chatcache_bridge_saved_seconds",
		"chatcache_refreshes", "chatcache_refresh_failures", "chatcache_validated", "chatcache_stale_on_error", "chatcache_prefetches", "chatcache_prefetch_failures", "chatcache_prefetch_hits",
		"chatcache_would_hits", "chatcache_matches", "chatcache_mismatches", "chatcache_uncompared", "chatcache_bridge_underway_refused_total", "chatcache_writes_refused",
		"chatcache_anonymous_done"} {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// Panels have a title, a unit and queries, and none lies on another.
func TestDashboardLayout(t *testing.T) {
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, p := range readDashboard(t).Panels {
		if p.Title == "" || ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %d %q has no title, or no id of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && (p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0) {
			t.Errorf("panel %q has no unit or no query", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q lies on %q", p.Title, other)
				}
				places[[2]int{x, y}] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %q is beyond the right edge", p.Title)
		}
	}
}
