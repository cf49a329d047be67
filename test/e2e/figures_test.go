package e2e

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
)

// measured is what the results of test/bench have in common, as far as documents repeat it.
type measured struct {
	Started string `json:"started"`
	Rows    []struct {
		Name   string  `json:"name"`
		RSS    float64 `json:"rssMiB"`
		Ratios []struct {
			Metric, Base string
			Value        struct{ Median float64 }
		} `json:"ratios"`
	} `json:"rows"`
	Start   map[string]struct{ Median float64 } `json:"start"`
	Module  float64                             `json:"module"`
	Lookups map[string]struct{ Capacity, Redis float64 }
	Memory  struct{ Followers, MiB, PollsPerSecond float64 }
	Plain   struct{ MiB float64 }
	Twice   struct{ Followers, MiB float64 }
	Reach   struct{ P50, Max float64 }
	Growth  float64
	Samples []struct{ EnvoyMiB, BridgeMiB float64 }
	Routes  []struct {
		Name          string
		Without, With struct {
			Forwarded int
			P50       float64
		}
	}
}

func result(t *testing.T, file string) (m measured) {
	t.Helper()
	if err := json.Unmarshal([]byte(document(t, "test", "bench", path.Dir(file), path.Base(file))), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// ratio gives the median of one of a row's.
func (m measured) ratio(t *testing.T, row, metric, base string) float64 {
	t.Helper()
	for _, r := range m.Rows {
		for _, q := range r.Ratios {
			if r.Name == row && q.Metric == metric && q.Base == base {
				return q.Value.Median
			}
		}
	}
	t.Fatalf("no result has the %s of %q by that of %q", metric, row, base)
	return 0
}

func (m measured) rss(t *testing.T, row string) float64 {
	t.Helper()
	for _, r := range m.Rows {
		if r.Name == row {
			return r.RSS
		}
	}
	t.Fatalf("no result has a row %q", row)
	return 0
}

// day is when it was measured.
func (m measured) day() string { return m.Started[:len("2006-01-02")] }

// TestDocumentsHaveTheFigures: what README.md and OPERATING.md say of costs is what the committed results have.
func TestDocumentsHaveTheFigures(t *testing.T) {
	const (
		direct, noop, l1Hit, full = "direct_response, 1 KiB", "no-op filter", "L1 hit, 1 KiB, 10 entries", "L1 hit, 1 KiB, L1 full (64 MiB)"
		lookup, l2Hit, l2Few      = "lookup forwarded to the bridge without filter", "L2 hit, 1 KiB, 1,000 entries", "L2 hit, 1 KiB, 10 entries"
		plain, miss               = "forwarded without filter, 1 KiB", "miss and fill, 1 KiB: "
	)
	proxy, peers, bridge := result(t, "proxy/result.json"), result(t, "proxy/peers.json"), result(t, "bridge/result.json")
	soak, chat, reach := result(t, "soak/result.json"), result(t, "chat/result.json"), result(t, "reach/result.json")
	cpu := func(row, base string) float64 { return proxy.ratio(t, row, "CPU", base) }
	var forwarded, reached int
	waited := map[string][2]float64{}
	for _, r := range chat.Routes {
		forwarded, reached = forwarded+r.Without.Forwarded, reached+r.With.Forwarded
		waited[r.Name] = [2]float64{r.Without.P50, r.With.P50}
	}
	stats, profile, list := waited["GET /api/chat/stats"], waited["GET /api/user/me"], waited["GET /api/chat/sessions"]
	last := soak.Samples[len(soak.Samples)-1]

	for _, wanted := range []struct{ document, text string }{
		{"README.md", fmt.Sprintf("(1 KiB %.2f, 16 KiB %.2f;", cpu(l1Hit, direct), cpu("L1 hit, 16 KiB", "direct_response, 16 KiB"))},
		{"README.md", fmt.Sprintf("has %.2f for the %.2f)", peers.ratio(t, l1Hit, "CPU", direct), cpu(l1Hit, direct))},
		{"README.md", fmt.Sprintf("; %.2f to %.2f times as much as a filter that does nothing.", cpu("L1 hit, 1 KiB, HTTP/2", "no-op filter, HTTP/2"), cpu(l1Hit, noop))},
		{"README.md", fmt.Sprintf("no rule matches costs %.2f to %.2f times", cpu("no rule matches, of 1", noop), cpu("no rule matches, of 1000", noop))},
		{"README.md", fmt.Sprintf("forwarding the lookup: %.2f times, %.2f where many ask for the same few (PEERS.md: %.2f and %.2f).", cpu(l2Hit, lookup), cpu(l2Few, lookup),
			peers.ratio(t, l2Hit, "CPU", lookup), peers.ratio(t, l2Few, "CPU", lookup))},
		{"README.md", fmt.Sprintf("stored costs %.1f times as much as forwarding it, with bridge and Redis %.1f times", cpu(miss+"the proxy alone", plain), cpu(miss+"with bridge and Redis", plain))},
		{"README.md", fmt.Sprintf("Envoy starts in %.1f s with the filter, on one core, %.1f s of which", proxy.Start["withFilter"].Median, proxy.Start["noopFilter"].Median)},
		{"README.md", fmt.Sprintf("wait %.1f, %.1f and %.1f ms instead of %.0f, %.0f and %.0f for statistics, profile and list", stats[1], profile[1], list[1], stats[0], profile[0], list[0])},
		{"README.md", fmt.Sprintf("the backend gets %d requests instead of %d.", reached, forwarded)},
		{"README.md", fmt.Sprintf("left Envoy at %.0f MiB, %.3f times what it was after a quarter of them (`test/bench/soak/result.json`, %s)", last.EnvoyMiB, soak.Growth, soak.day())},

		{"envoy/OPERATING.md", fmt.Sprintf("RESULT.md](../test/bench/proxy/RESULT.md) (%s), [bridge/RESULT.md](../test/bench/bridge/RESULT.md) (%s),", proxy.day(), bridge.day())},
		{"envoy/OPERATING.md", fmt.Sprintf("[soak](../test/bench/soak/result.json) (%s), [reach](../test/bench/reach/result.json) (%s).", soak.day(), reach.day())},
		{"envoy/OPERATING.md", fmt.Sprintf("| no filter | %.0f (%.0f with four workers) |", proxy.rss(t, direct), proxy.rss(t, direct+", four workers"))},
		{"envoy/OPERATING.md", fmt.Sprintf("| a filter in Go that does nothing | %.0f |", proxy.rss(t, noop))},
		{"envoy/OPERATING.md", fmt.Sprintf("| the filter, ten entries | %.0f (%.0f with four workers) |", proxy.rss(t, l1Hit), proxy.rss(t, "L1 hit, 1 KiB, four workers"))},
		{"envoy/OPERATING.md", fmt.Sprintf("| L1 of 64 MiB full, one worker | %.0f, that is %.0f more", proxy.rss(t, full), proxy.rss(t, full)-proxy.rss(t, direct))},
		{"envoy/OPERATING.md", fmt.Sprintf("nothing but misses, of up to 7 MiB each | %.0f |", proxy.rss(t, "miss and fill, 7 MiB: the proxy alone"))},
		{"envoy/OPERATING.md", fmt.Sprintf("each a miss | %.0f, and %.0f after a quarter of them | soak |", last.EnvoyMiB, soak.Samples[len(soak.Samples)/4-1].EnvoyMiB)},
		{"envoy/OPERATING.md", fmt.Sprintf("%.2f s from start to first answer on one core, %.2f without a filter, %.2f with", proxy.Start["withFilter"].Median, proxy.Start["withoutFilter"].Median, proxy.Start["noopFilter"].Median)},
		{"envoy/OPERATING.md", fmt.Sprintf("The module has %.2f MB;", proxy.Module)},
		{"envoy/OPERATING.md", fmt.Sprintf("each a call of its own | %s |", thousands(bridge.Lookups["alone"].Capacity))},
		{"envoy/OPERATING.md", fmt.Sprintf("as workers send them where many are under way | %s |", thousands(bridge.Lookups["gathered"].Capacity))},
		{"envoy/OPERATING.md", fmt.Sprintf("| %s workers that follow the feed, by HTTP/2 | %.0f MiB, about %.0f KiB each, and a processor for their %s polls a second |", thousands(bridge.Memory.Followers), bridge.Memory.MiB,
			bridge.Memory.MiB*1024/bridge.Memory.Followers, thousands(bridge.Memory.PollsPerSecond))},
		{"envoy/OPERATING.md", fmt.Sprintf("| by HTTP/1.1 | %.0f MiB |", bridge.Plain.MiB)},
		{"envoy/OPERATING.md", fmt.Sprintf("| %s by HTTP/1.1, each with another connection on which it has looked up | %.0f MiB |", thousands(bridge.Twice.Followers), bridge.Twice.MiB)},
		{"envoy/OPERATING.md", fmt.Sprintf("is told | %.0f ms (half of all raises), %.0f ms (the slowest of 100) |", bridge.Reach.P50, bridge.Reach.Max)},
		{"envoy/OPERATING.md", fmt.Sprintf("one proxy and ten million keys | %.0f MiB | soak |", last.BridgeMiB)},
		{"envoy/OPERATING.md", fmt.Sprintf("costs Redis %.0f µs of its processor, %.0f where sixteen go together", bridge.Lookups["alone"].Redis, bridge.Lookups["gathered"].Redis)},
	} {
		if text := strings.Join(strings.Fields(document(t, strings.Split(wanted.document, "/")...)), " "); !strings.Contains(text, wanted.text) {
			t.Errorf("%s doesn't say %q, as the committed results do", wanted.document, wanted.text)
		}
	}
}

// thousands writes a number with commas.
func thousands(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
