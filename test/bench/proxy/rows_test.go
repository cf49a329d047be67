package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"chatcache/policy"
	"chatcache/test/bench"
)

// What a row is compared with is there, and has a name of its own.
func TestRows(t *testing.T) {
	known := map[string]bool{}
	for _, r := range append(rows(), peerRows()...) {
		if known[r.name] {
			t.Errorf("two rows are named %q", r.name)
		}
		known[r.name] = true
		if r.http2 && r.traffic.path == nil {
			t.Errorf("%s: this traffic is HTTP/1.1 only", r.name)
		}
		if (r.fills || r.holds) && r.traffic.ring == nil || r.oneConnection && !r.http2 {
			t.Errorf("%s: its traffic can't do that", r.name)
		}
	}
	for _, r := range append(rows(), peerRows()...) {
		for _, b := range r.bounds {
			for _, base := range b.bases() {
				if !known[base] {
					t.Errorf("%s is compared with %q, which isn't measured", r.name, base)
				}
			}
		}
	}
}

func TestChoose(t *testing.T) {
	got, err := choose(rows(), regexp.MustCompile("^no rule matches, of 1$"))
	if err != nil || len(got) != 2 || got[0].name != noop {
		t.Errorf("one row and what it is compared with became %+v, %v", got, err)
	}
	if _, err := choose(rows(), regexp.MustCompile("nothing")); err == nil {
		t.Error("no row at all is no error")
	}
}

// The policies of all proxies are policies.
func TestPolicies(t *testing.T) {
	for p := range proxies {
		text := policyFor(p)
		if text == "" {
			continue
		}
		parsed, problems := policy.Parse([]byte(text))
		if len(problems) > 0 {
			t.Errorf("proxy %d: %v", p, problems)
			continue
		}
		if n := map[proxy]int{passing1: 1, passing100: 100, passing1000: 1000}[p]; n > 0 && len(parsed.Caches)+len(parsed.Invalidations) != n {
			t.Errorf("%d rules, want %d", len(parsed.Caches)+len(parsed.Invalidations), n)
		}
	}
}

// Every proxy runs in one part.
func TestMeshParts(t *testing.T) {
	in := map[proxy]int{}
	for _, p := range meshParts {
		for _, proxy := range p.proxies {
			in[proxy]++
		}
	}
	for p := range proxies {
		if in[p] != 1 {
			t.Errorf("proxy %d runs in %d parts", p, in[p])
		}
	}
}

// What an L1 holds is read from its proxy's gauges, and a ring asks for each of its paths before
// it asks for one again.
func TestHeld(t *testing.T) {
	got, err := parseHeld("wasmcustom.chatcache.l1_bytes: 2000\nwasmcustom.chatcache.l1_entries: 10\n")
	if err != nil || got != (held{entries: 10, bytes: 2000}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := parseHeld("wasmcustom.chatcache.l1_bytes: 99999999999999999999\n"); err == nil {
		t.Errorf("a gauge of twenty digits is %+v", got)
	}
	ring := among("/a/", 2, "").ring
	ring.widen(3000)
	seen := map[string]bool{}
	for range 3000 {
		seen[ring.path()] = true
	}
	if len(seen) != 3000 || ring.warm() != 4000 {
		t.Errorf("%d of 3000 paths, warm after %d", len(seen), ring.warm())
	}
}

func TestBodiesAreJSONOfTheirSize(t *testing.T) {
	for kib, text := range bodies {
		if len(text) != kib*1024 || !json.Valid([]byte(text)) {
			t.Errorf("%d KiB: %d bytes, ending in %q", kib, len(text), text[max(0, len(text)-20):])
		}
	}
}

// answer reads exactly one answer, whatever marks its end.
func TestAnswer(t *testing.T) {
	const next = "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"
	for name, test := range map[string]struct {
		text     string
		expected bool
		fails    string
	}{
		"a length":   {"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncache-status: hit\r\n\r\nabc", true, ""},
		"not a hit":  {"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhit", false, ""},
		"an error":   {"HTTP/1.1 503 No\r\ncontent-length: 3\r\n\r\nhit", false, "want a 2xx answer"},
		"no length":  {"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", false, "invalid syntax"},
		"a long one": {"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n" + strings.Repeat("x", 70000), false, ""},
	} {
		in := bufio.NewReaderSize(strings.NewReader(test.text+next), 64<<10)
		expected, _, err := answer(in, traffic{expect: "hit"})
		if test.fails != "" {
			if err == nil || !strings.Contains(err.Error(), test.fails) {
				t.Errorf("%s: %v, want %q", name, err, test.fails)
			}
			continue
		}
		if err != nil || expected != test.expected {
			t.Errorf("%s: %v, %v", name, expected, err)
		}
		if rest, _ := in.Peek(len(next)); string(rest) != next {
			t.Errorf("%s: what follows begins with %q", name, rest)
		}
	}
	if _, _, err := answer(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\n")), traffic{expect: "hit"}); err == nil {
		t.Error("an answer that breaks off is no error")
	}
	in := bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	if expected, _, err := answer(in, traffic{expect: "chunked"}); err != nil || !expected {
		t.Errorf("chunks: %v, %v", expected, err)
	}
}

func TestCompare(t *testing.T) {
	of := func(values ...float64) (all []measurement) {
		for _, v := range values {
			all = append(all, measurement{cpu: map[string]float64{processEnvoy: v, processBridge: v}, p50: v})
		}
		return all
	}
	got := compare(bound{metric: cpu, base: "base", limit: 1.25}, of(12, 30, 10), of(10, 20, 10))
	if got.Value != (spread{Median: 1.2, Min: 1, Max: 1.5}) || !got.met() {
		t.Errorf("the ratios of three rounds are %+v", got)
	}
	sum := compare(bound{metric: p50, base: "a", plus: "b", limit: 1}, of(12, 18, 10), of(8, 15, 5), of(4, 5, 5))
	if sum.Value != (spread{Median: 1, Min: 0.9, Max: 1}) || sum.Base != "a + b" || !sum.met() {
		t.Errorf("the ratios to two rows are %+v", sum)
	}
	more := compare(bound{metric: p50, base: "base", limit: 150, mib: 2}, of(500, 400, 300), of(100, 100, 100))
	if more.Value != (spread{Median: 150, Min: 100, Max: 200}) || more.Metric != "µs a MiB more p50" || !more.met() {
		t.Errorf("what is more a MiB is %+v", more)
	}
	if got := spreadOf([]float64{4, 1, 3, 2}); got != (spread{2.5, 1, 4}) {
		t.Errorf("four values have %+v", got)
	}
	if got := spreadOf(nil); got != (spread{}) {
		t.Errorf("no values have %+v", got)
	}
}

// Who answers comes first, and then what is behind.
func TestParts(t *testing.T) {
	at := spread{Median: 1}
	got := parts(map[string]spread{processRedis: at, processBridge: at, "a proxy": at})
	if want := "a proxy 1.0, bridge 1.0, Redis 1.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := parts(map[string]spread{processEnvoy: at}); got != "" {
		t.Errorf("one process has the parts %s", got)
	}
}

// A report reads as it was written, and the next one shows its ratios.
func TestReport(t *testing.T) {
	r := report{Run: bench.Run{Command: "bench", Machine: "2 × one"}, Rows: []line{{
		Name: "hit", Total: spread{44.5, 44, 45}, CPU: map[string]spread{processEnvoy: {44.5, 44, 45}}, Rate: spread{Median: 20000},
		Ratios: []ratio{{Metric: cpu, Base: "floor", Value: spread{1.3, 1.2, 1.4}, Limit: 1.25}, {Metric: p99, Base: "floor", Value: spread{1, 1, 1}}},
	}}, Start: start{With: spread{1.1, 1, 1.3}}, Module: 3.97}
	before := report{Rows: []line{{Name: "hit", Ratios: []ratio{{Metric: cpu, Base: "floor", Value: spread{Median: 1.72}}}}}}
	var text bytes.Buffer
	r.print(&text, &before)
	for _, want := range []string{
		"| hit | 44.5 (44.0–45.0) |  | 0 (0–0) | 0 (0–0) | 20000 | 0 |\n",
		"| CPU of hit | floor | **1.30** | 1.20–1.40 | 1.25: not met | 1.72 |\n",
		"| p99 of hit | floor | **1.00** | 1.00–1.00 |  | |\n",
		"1.10 (1.00–1.30) s with the filter (0.00 (0.00–0.00) s as Go's compiler writes it), 0.00 (0.00–0.00) s with the no-op filter (0.00 (0.00–0.00) s), 0.00 (0.00–0.00) s without (target: 1.2 s: met). chatcache.wasm: 3.97 MB (target: 3.5 MB: not met).\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the report lacks\n%s\nin\n%s", want, &text)
		}
	}
}

// What a full L1 takes is told where both rows were measured, beside its target.
func TestReportMemory(t *testing.T) {
	for _, c := range []struct {
		full float64
		want string
	}{{151, "takes 80 MiB more than one without the filter (target: 16 MiB beside the L1 of 64 MiB, V8 and compiled code included: met)"},
		{152, "compiled code included: not met)"}} {
		var text bytes.Buffer
		(&report{Rows: []line{{Name: floor, RSS: 71}, {Name: hitFull, RSS: c.full}}}).print(&text, nil)
		if !strings.Contains(text.String(), c.want) {
			t.Errorf("%.0f MiB: the report lacks %q in\n%s", c.full, c.want, &text)
		}
	}
	var text bytes.Buffer
	(&report{Rows: []line{{Name: hitFull, RSS: 151}}}).print(&text, nil)
	if strings.Contains(text.String(), "without the filter") {
		t.Errorf("without the floor it says\n%s", &text)
	}
}
