package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

const root = "../.."

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// metricsOfREADME gives each metric that the tables of envoy/monitoring/README.md have, with its labels: tests in
// test/e2e compare these tables with the code. Histograms have their series.
func metricsOfREADME(t *testing.T) map[string][]string {
	t.Helper()
	words := regexp.MustCompile("`([a-z0-9_]+)`")
	metrics := map[string][]string{"up": {"instance", "job"}} // Prometheus' own
	for _, row := range regexp.MustCompile("(?m)^\\| (`chatcache_[^|]+)\\| ([^|]*)\\| (.*)$").FindAllStringSubmatch(string(read(t, "envoy/monitoring/README.md")), -1) {
		known := []string{"instance"} // Prometheus' own
		for _, label := range words.FindAllStringSubmatch(row[2], -1) {
			known = append(known, label[1])
		}
		for _, name := range words.FindAllStringSubmatch(row[1], -1) {
			metrics[name[1]] = known
			if strings.HasPrefix(row[3], "histogram") {
				metrics[name[1]+"_count"], metrics[name[1]+"_sum"], metrics[name[1]+"_bucket"] = known, known, append(slices.Clone(known), "le")
			}
		}
	}
	if len(metrics) < 40 {
		t.Fatalf("envoy/monitoring/README.md has %d metrics only: its tables look otherwise now?", len(metrics))
	}
	return metrics
}

// checkExpression parses an expression, and wants each metric in it to be there, with the labels
// that the expression selects and groups by.
func checkExpression(t *testing.T, where, text string, metrics map[string][]string) {
	t.Helper()
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if metrics[n.Name] == nil {
				t.Errorf("%s: no metric is named %q", where, n.Name)
			}
			for _, m := range n.LabelMatchers {
				if m.Name != labels.MetricName && !slices.Contains(metrics[n.Name], m.Name) {
					t.Errorf("%s: %s has no label %q", where, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			for _, selector := range parser.ExtractSelectors(n) {
				name := selector[slices.IndexFunc(selector, func(m *labels.Matcher) bool { return m.Name == labels.MetricName })].Value
				for _, label := range n.Grouping {
					if !slices.Contains(metrics[name], label) {
						t.Errorf("%s: %s has no label %q to group by", where, name, label)
					}
				}
			}
		}
		return nil
	})
}
