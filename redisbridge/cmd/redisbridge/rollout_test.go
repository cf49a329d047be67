package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"chatcache/redisbridge"

	"github.com/google/go-cmp/cmp"
)

func TestGate(t *testing.T) {
	g := gate{hold: time.Minute, maxMismatch: 0.5, maxErrors: 2, minCompared: 200}
	for _, test := range []struct {
		name    string
		seen    seen
		elapsed time.Duration
		want    verdict
	}{
		{"nothing yet", seen{}, 0, waiting},
		{"too early", seen{Compared: 200}, 59 * time.Second, waiting},
		{"too few", seen{Compared: 199}, time.Hour, waiting},
		{"enough", seen{Compared: 200}, time.Minute, held},
		{"as many as may differ", seen{Compared: 200, Mismatches: 1}, time.Minute, held},
		{"one of few, which more could make good", seen{Compared: 3, Mismatches: 1}, 0, waiting},
		{"two of few, which more could not", seen{Compared: 3, Mismatches: 2}, 0, mismatched},
		{"too many of many", seen{Compared: 1000, Mismatches: 6}, 0, mismatched},
		{"errors", seen{Errors: 3}, 0, failed},
		{"as many errors as may be", seen{Errors: 2, Compared: 200}, time.Minute, held},
		{"both", seen{Errors: 3, Compared: 200, Mismatches: 9}, 0, mismatched},
	} {
		if got := g.judge(test.seen, test.elapsed); got != test.want {
			t.Errorf("%s: verdict %d, want %d", test.name, got, test.want)
		}
	}
	if got := (gate{hold: time.Minute}).judge(seen{}, time.Minute); got != held {
		t.Errorf("without comparisons: verdict %d", got)
	}
	if got := (gate{hold: time.Minute, maxMismatch: 1}).judge(seen{Compared: 60, Mismatches: 9}, time.Minute); got != mismatched {
		t.Errorf("with those of somebody else: verdict %d", got)
	}
}

// Redis' sums begin anew where it was emptied, and are a little less after a failover: then nobody can tell what has come since.
func TestSeenSince(t *testing.T) {
	before := redisbridge.ProxyCounts{HitsL1: 5, HitsL2: 5, Collapsed: 1, Matches: 90, Mismatches: 2, Errors: 7}
	now := redisbridge.ProxyCounts{HitsL1: 9, HitsL2: 6, Collapsed: 2, Matches: 100, Mismatches: 3, Errors: 7}
	got, told := since(before, now)
	if diff := cmp.Diff(seen{Hits: 6, Compared: 11, Mismatches: 1}, got); diff != "" || !told {
		t.Error(told, diff)
	}
	for name, less := range map[string]redisbridge.ProxyCounts{
		"emptied": {HitsL1: 3, Matches: 4, Errors: 1},
		"behind":  {HitsL1: 9, HitsL2: 6, Collapsed: 2, Matches: 89, Mismatches: 3, Errors: 7},
	} {
		if got, told := since(before, less); told {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// mesh is a bridge and its proxies, as far as a rollout sees them.
type mesh struct {
	cache  redisbridge.CacheControls
	all    redisbridge.ControlSettings
	sum    redisbridge.ProxyCounts
	log    []string
	second func(m *mesh, at int) error // what a second brings, by the seconds since the beginning; an error: the bridge is gone
	began  time.Time
	past   int
	gone   error
}

// pass lets the proxies count what the time since has brought.
func (m *mesh) pass() error {
	for ; m.past < int(time.Since(m.began)/time.Second); m.past++ {
		m.gone = m.second(m, m.past)
	}
	return m.gone
}

func (m *mesh) controls(context.Context) (redisbridge.CacheControls, redisbridge.ControlSettings, error) {
	return m.cache, m.all, m.pass()
}

func (m *mesh) counts(context.Context) (redisbridge.ProxyCounts, error) { return m.sum, m.pass() }

func (m *mesh) set(ctx context.Context, set redisbridge.ControlSettings, unset ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, name := range unset {
		switch name {
		case "off":
			m.cache.Off = false
		case "observe":
			m.cache.Observe = false
		case "verify":
			m.cache.Verify = 0
		}
	}
	m.cache.Off = m.cache.Off || set.Off
	if set.Percent > 0 {
		m.cache.Percent = math.Round(set.Percent*100) * 100 / 10_000 // as a bridge keeps it
	}
	if set.Verify > 0 {
		m.cache.Verify = set.Verify
	}
	m.log = append(m.log, fmt.Sprintf("%v: %v%%, verify %v%%", time.Since(m.began), served(m.cache.ControlSettings), m.cache.Verify))
	return m.pass()
}

// busy is a second in which ten hits are compared and match.
func busy(m *mesh, _ int) error {
	m.sum.HitsL1 += 90
	m.sum.Matches += 10
	return nil
}

// rolledOut runs a rollout in virtual time and gives what it has printed.
func rolledOut(t *testing.T, m *mesh, edit func(w *widening)) (out string, err error) {
	synctest.Test(t, func(t *testing.T) { out, err = rollOut(t.Context(), m, edit) })
	return out, err
}

func rollOut(ctx context.Context, m *mesh, edit func(w *widening)) (string, error) {
	var text strings.Builder
	m.began = time.Now()
	w := widening{
		bridge: m, to: 100, step: 40, verify: 10, patience: time.Minute, report: reporter{cache: "stats", out: &text}.report,
		gate: gate{hold: 6 * time.Second, maxMismatch: 1, minCompared: 50},
	}
	if edit != nil {
		edit(&w)
	}
	err := w.begin(ctx)
	if err == nil {
		err = w.run(ctx)
	}
	return text.String(), err
}

// Steps that aren't a whole percent reach their target, too, although their sum isn't exactly a number.
func TestRolloutInFractions(t *testing.T) {
	for _, tt := range []struct{ to, step, reached float64 }{
		{10, 3.3, 10}, {1, 0.1, 1}, {33.333, 10, 33.33}, {0.05, 0.01, 0.05}, {100, 33.3333, 100},
	} {
		m := off()
		out, err := rolledOut(t, m, func(w *widening) { w.to, w.step = tt.to, tt.step })
		if err != nil || m.cache.Percent != tt.reached {
			t.Errorf("--to %v --step %v: %v at %v%%\n%s", tt.to, tt.step, err, m.cache.Percent, out)
		}
	}
}

func off() *mesh {
	return &mesh{cache: redisbridge.CacheControls{ControlSettings: redisbridge.ControlSettings{Off: true}}, second: busy}
}

// Each step is set, holds, and is followed by the next; comparing ends with the rollout.
func TestRolloutHolds(t *testing.T) {
	m := off()
	out, err := rolledOut(t, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := `stats at 40%: set
stats at 40%: after 2s: 180 hits, 20 compared, 0 differ, 0 errors
stats at 40%: held for 6s: 540 hits, 60 compared, 0 differ, 0 errors
stats at 80%: set
stats at 80%: held for 6s: 540 hits, 60 compared, 0 differ, 0 errors
stats at 100%: set
stats at 100%: held for 6s: 540 hits, 60 compared, 0 differ, 0 errors
stats at 100%: reached
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	log := []string{"0s: 40%, verify 10%", "6s: 80%, verify 10%", "12s: 100%, verify 10%", "18s: 100%, verify 0%"}
	if diff := cmp.Diff(log, m.log); diff != "" {
		t.Error(diff)
	}
}

// Whoever had fewer answers compared before the rollout has so after it.
func TestRolloutComparesAsBeforeInTheEnd(t *testing.T) {
	m := off()
	m.cache.Verify = 1
	out, err := rolledOut(t, m, func(w *widening) { w.step = 100 })
	if err != nil || !strings.HasSuffix(out, "stats at 100%: reached; verify=1% stays, as it was set before\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if diff := cmp.Diff([]string{"0s: 100%, verify 10%", "6s: 100%, verify 1%"}, m.log); diff != "" {
		t.Error(diff)
	}
}

// Where answers differ the cache is turned off, whatever has held before; where too much fails, it goes back
// to what has held.
func TestRolloutFallsBack(t *testing.T) {
	t.Run("answers differ", func(t *testing.T) {
		m := off()
		m.second = func(m *mesh, at int) error {
			if at == 8 {
				m.sum.Mismatches += 2
			}
			return busy(m, at)
		}
		out, err := rolledOut(t, m, nil)
		var breach *breachError
		const reason = "2 of 42 answers that were compared differ (4.76%, at most 1% are allowed)"
		if !errors.As(err, &breach) || err.Error() != reason+": it is off now" {
			t.Errorf("error %v", err)
		}
		if last := lastLine(out); last != "stats at 0%: gone back after 4s: "+reason {
			t.Errorf("the last line is %q", last)
		}
		if last := m.log[len(m.log)-1]; last != "10s: 0%, verify 0%" {
			t.Errorf("in the end %s", last)
		}
	})
	for name, test := range map[string]struct {
		at         int
		end, error string
	}{
		"errors in the first step":  {1, "2s: 0%, verify 0%", "1 errors, at most 0 are allowed: it is off now"},
		"errors in the second step": {7, "8s: 40%, verify 0%", "1 errors, at most 0 are allowed: it is back at 40%"},
	} {
		t.Run(name, func(t *testing.T) {
			m := off()
			m.second = func(m *mesh, at int) error {
				if at == test.at {
					m.sum.Errors++
				}
				return busy(m, at)
			}
			_, err := rolledOut(t, m, nil)
			if err == nil || err.Error() != test.error {
				t.Errorf("error %v", err)
			}
			if last := m.log[len(m.log)-1]; last != test.end {
				t.Errorf("in the end %s", last)
			}
		})
	}
	t.Run("while it is interrupted", func(t *testing.T) {
		m := off()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			m.second = func(m *mesh, at int) error {
				if at == 3 {
					m.sum.Errors++
					cancel()
				}
				return nil
			}
			_, err := rollOut(ctx, m, nil)
			if err == nil {
				t.Error("no error")
			}
		})
		if len(m.log) == 2 && m.log[1] != "4s: 0%, verify 0%" {
			t.Errorf("settings %q", m.log)
		}
	})
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// A rollout that was interrupted goes on where it stood, and what is served already holds first.
func TestRolloutIsInterruptedAndGoesOn(t *testing.T) {
	m := off()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		if _, err := rollOut(ctx, m, nil); !errors.Is(err, errInterrupted) {
			t.Errorf("error %v", err)
		}
	})
	if s := m.cache.ControlSettings; s.Percent != 80 || s.Verify != 10 {
		t.Errorf("left behind: %+v", s)
	}
	m.past, m.log = 0, nil
	out, err := rolledOut(t, m, nil)
	if err != nil {
		t.Error(err)
	}
	if last := lastLine(out); last != "stats at 100%: reached; verify=10% stays, as it was set before" {
		t.Errorf("the last line is %q", last)
	}
	log := []string{"0s: 80%, verify 10%", "6s: 100%, verify 10%"} // as found: somebody may have set it
	if diff := cmp.Diff(log, m.log); diff != "" {
		t.Error(diff)
	}
}

// What ends a rollout without a breach, and what it says then.
func TestRolloutStops(t *testing.T) {
	for name, test := range map[string]struct {
		second func(m *mesh, at int) error
		want   error
		text   string
		log    int // settings
	}{
		"no traffic": {func(*mesh, int) error { return nil }, errStalled, "too few answers were compared: 0 of 50 in 1m6s", 1},
		"somebody turns it off": {func(m *mesh, at int) error {
			m.cache.Off = at >= 3
			return busy(m, at)
		}, errChanged, "somebody else has changed the controls: 0% is served instead of 40%; it is left so", 1},
		"the bridge is gone": {func(_ *mesh, at int) error {
			if at >= 3 {
				return errors.New("connection refused")
			}
			return nil
		}, errUnseen, "the counts can't be read for 1m0s: connection refused", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := off()
			m.second = test.second
			_, err := rolledOut(t, m, nil)
			if !errors.Is(err, test.want) || err.Error() != test.text {
				t.Errorf("error %v", err)
			}
			if len(m.log) != test.log {
				t.Errorf("settings %q", m.log)
			}
		})
	}
	t.Run("the bridge is away for a moment", func(t *testing.T) {
		m := off()
		m.second = func(m *mesh, at int) error {
			_ = busy(m, at)
			if at >= 1 && at < 40 {
				return errors.New("connection refused")
			}
			return nil
		}
		if _, err := rolledOut(t, m, func(w *widening) { w.step = 100 }); err != nil {
			t.Error(err)
		}
	})
}

// While the proxies' policies don't agree nobody is served, and a step's time begins anew.
func TestRolloutWaitsForTheProxiesToAgree(t *testing.T) {
	m := off()
	m.second = func(m *mesh, at int) error {
		m.cache.Rollout = at < 20
		if m.cache.Rollout {
			return nil
		}
		return busy(m, at)
	}
	m.cache.Rollout = true
	out, err := rolledOut(t, m, func(w *widening) { w.step = 100 })
	if err != nil || !strings.Contains(out, "stats at 100%: the proxies' policies have different rules for the cache, or had lately: nobody is served until writes by the old ones are over\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(out, "held for 6s") {
		t.Errorf("the step wasn't held from then on:\n%s", out)
	}
}

func TestRolloutThatCantBegin(t *testing.T) {
	for want, m := range map[string]*mesh{
		`nothing is served of any cache ("off" or "observe" is set for all): unset that first`:       {all: redisbridge.ControlSettings{Off: true}},
		"all caches together are at 50%: unset that first, or roll out to no more":                   {all: redisbridge.ControlSettings{Percent: 50}},
		"it is at 90% already, and a rollout only widens: turn it off first, or set the percentage":  {cache: redisbridge.CacheControls{ControlSettings: redisbridge.ControlSettings{Percent: 90}}},
		"it is at 100% already, and a rollout only widens: turn it off first, or set the percentage": {},
	} {
		m.second = busy
		if _, err := rolledOut(t, m, func(w *widening) { w.to = 80 }); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if len(m.log) > 0 {
			t.Errorf("%s: settings %q", want, m.log)
		}
	}
}

// The command asks a bridge for what its flags say, prints a line or JSON for each step, and says by its exit code
// what came of it.
func TestRolloutCommand(t *testing.T) {
	var posted []redisbridge.ControlsRequest
	cache := redisbridge.CacheControls{Name: "stats", ControlSettings: redisbridge.ControlSettings{Observe: true}}
	matches := uint64(7)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/controls":
			var request redisbridge.ControlsRequest
			if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
				t.Error(err)
			}
			posted = append(posted, request)
			cache.ControlSettings = request.Set
			io.WriteString(w, "{}")
		case "GET /v1/controls":
			if r.URL.Query().Get("policy") != "chat" {
				t.Errorf("asked for %s", r.URL)
			}
			_ = json.NewEncoder(w).Encode(redisbridge.ControlsAnswer{Controls: redisbridge.Controls{Caches: []redisbridge.CacheControls{{Name: "user"}, cache}}})
		case "GET /v1/status":
			matches += 5
			fmt.Fprintf(w, `{"redis":{"ok":true},"policies":[{"name":"other"},{"name":"chat","caches":[{"name":"stats","proxies":{"matches":%d,"mismatches":%d}}]}]}`,
				matches, matches-12)
		default:
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
	}))
	defer server.Close()
	args := []string{"rollout", "stats", "--policy", "chat", "--bridge", server.URL, "--hold", "1ms", "--min-compared", "5", "--to", "30%", "--step", "30", "--max-mismatch"}
	var stdout, stderr strings.Builder
	code := run(t.Context(), append(args, "100", "--json"), func(string) string { return "" }, &stdout, &stderr)
	var held struct {
		Event, Cache string
		Percent      float64
		Compared     int
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-2]), &held); err != nil || held.Event != "held" || held.Cache != "stats" || held.Percent != 30 || held.Compared < 5 {
		t.Errorf("%v: %+v", err, held)
	}
	want := []redisbridge.ControlsRequest{
		{Policy: "chat", Cache: "stats", Set: redisbridge.ControlSettings{Percent: 30, Verify: 10}, Unset: []string{"off", "observe"}, Wait: "3s"},
		{Policy: "chat", Cache: "stats", Unset: []string{"verify"}, Wait: "3s"},
	}
	if diff := cmp.Diff(want, posted); diff != "" || code != exitOK || stderr.Len() > 0 {
		t.Errorf("exit code %d, %s\n%s", code, stderr.String(), diff)
	}

	cache.ControlSettings, matches = redisbridge.ControlSettings{Off: true}, 12
	stdout.Reset()
	code = run(t.Context(), append(args, "0"), func(string) string { return "" }, &stdout, &stderr)
	if code != exitNo || !strings.HasPrefix(stderr.String(), "redisbridge: cache stats: ") || !strings.HasSuffix(stderr.String(), ": it is off now\n") {
		t.Errorf("exit code %d, %s\n%s", code, stderr.String(), stdout.String())
	}
}

func TestRolloutFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                         "found 0 arguments, want a CACHE",
		"stats user":               "found 2 arguments, want a CACHE",
		"stats --to 101":           `invalid value "101" for flag -to: want a percentage from 0 to 100`,
		"stats --to 0":             "--to and --step must be at least 0.01",
		"stats --step 0.001":       "--to and --step must be at least 0.01",
		"stats --hold 0s":          "--hold must be more than 0, and --patience not negative",
		"stats --max-mismatch NaN": `invalid value "NaN" for flag -max-mismatch: want a percentage from 0 to 100`,
		"stats --min-compared 0":   "--min-compared must be more than 0: without any answer that was compared nothing is known; --verify 0 compares none",
	} {
		var stderr strings.Builder
		code := run(t.Context(), append([]string{"rollout"}, strings.Fields(args)...), func(string) string { return "" }, io.Discard, &stderr)
		if first, _, _ := strings.Cut(stderr.String(), "\n"); code != exitUsage || first != "redisbridge: "+want {
			t.Errorf("%s: exit code %d, %q", args, code, first)
		}
	}
	var stdout strings.Builder
	if code := run(t.Context(), []string{"rollout", "-h"}, func(string) string { return "" }, &stdout, io.Discard); code != exitOK || stdout.String() != rolloutUsage {
		t.Errorf("help: exit code %d\n%s", code, stdout.String())
	}
}

// racing is a mesh in which an operator turns the cache off right after a rollout has looked.
type racing struct {
	*mesh
	at   time.Duration
	done bool
}

func (r *racing) counts(ctx context.Context) (redisbridge.ProxyCounts, error) {
	counts, err := r.mesh.counts(ctx)
	if !r.done && time.Since(r.began) >= r.at {
		r.done, r.cache.Off = true, true
	}
	return counts, err
}

// What an operator turns off while it is rolled out stays off, the cache or all of them.
func TestRolloutLeavesAnOffAlone(t *testing.T) {
	m := off()
	_, err := rolledOut(t, m, func(w *widening) { w.bridge = &racing{mesh: m, at: 6 * time.Second} })
	if !errors.Is(err, errChanged) || !m.cache.Off {
		t.Errorf("the cache: %v, off %v", err, m.cache.Off)
	}
	m = off()
	m.second = func(m *mesh, at int) error { m.all.Off = m.all.Off || at >= 2; return nil }
	_, err = rolledOut(t, m, func(w *widening) { w.verify, w.gate.minCompared = 0, 0 })
	if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), "of all caches 0% is served") || served(m.cache.ControlSettings) > 40 {
		t.Errorf("all: %v, %+v", err, m.cache)
	}
}

// A rollout that compares nothing itself heeds what others compare.
func TestRolloutWithTheComparisonsOfOthers(t *testing.T) {
	m := off()
	m.cache.Verify = 10
	m.second = func(m *mesh, _ int) error { m.sum.HitsL1 += 90; m.sum.Mismatches += 10; return nil }
	var breach *breachError
	if _, err := rolledOut(t, m, func(w *widening) { w.verify, w.gate.minCompared = 0, 0 }); !errors.As(err, &breach) || !m.cache.Off {
		t.Errorf("%v, off %v", err, m.cache.Off)
	}
}

// After a failover to a replica that lacks the last counts nothing is taken for compared that was compared long ago.
func TestRolloutOverAFailover(t *testing.T) {
	m := off()
	m.sum.Matches = 1_000_000
	m.second = func(m *mesh, at int) error {
		if at == 1 {
			m.sum.Matches -= 10
		}
		return nil
	}
	out, err := rolledOut(t, m, func(w *widening) { w.step = 100 })
	if !errors.Is(err, errStalled) || !strings.Contains(out, "the counts are less than they were") {
		t.Errorf("%v\n%s", err, out)
	}
}

// refusing is a mesh at a bridge that now and then doesn't answer when something is set.
type refusing struct {
	*mesh
	sets  int
	error func(set int) error
}

func (r *refusing) set(ctx context.Context, s redisbridge.ControlSettings, unset ...string) error {
	r.sets++
	if err := r.error(r.sets); err != nil {
		return err
	}
	return r.mesh.set(ctx, s, unset...)
}

// What is wrong is turned off although the bridge doesn't answer at once.
func TestRolloutInsistsOnFallingBack(t *testing.T) {
	m := off()
	m.second = func(m *mesh, _ int) error { m.sum.HitsL1 += 90; m.sum.Mismatches += 10; return nil }
	var breach *breachError
	_, err := rolledOut(t, m, func(w *widening) {
		w.bridge = &refusing{mesh: m, error: func(n int) error {
			if n > 1 && n < 8 {
				return refusal(503, "redis did not answer in time")
			}
			return nil
		}}
	})
	if !errors.As(err, &breach) || !m.cache.Off {
		t.Errorf("%v, off %v", err, m.cache.Off)
	}
}

// A setting that wasn't acknowledged may have been made; one that was refused hasn't been.
func TestRolloutWhoseSettingIsNotAcknowledged(t *testing.T) {
	for status, want := range map[int]int{503: exitWait, 404: exitNo} {
		m := off()
		_, err := rolledOut(t, m, func(w *widening) {
			w.bridge = &refusing{mesh: m, error: func(int) error { return refusal(status, "no") }}
		})
		var stderr strings.Builder
		if code := (&rolloutFlags{cache: "stats"}).end(environment{stderr: &stderr}, err); code != want {
			t.Errorf("%d: exit code %d, %s", status, code, stderr.String())
		}
	}
}

// Where no policy is named it is the bridge's only one, and no other that has a cache of the same name.
func TestRolloutOfTheOnlyPolicy(t *testing.T) {
	cache := redisbridge.CacheControls{Name: "stats", ControlSettings: redisbridge.ControlSettings{Off: true}}
	compared := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := redisbridge.ControlsAnswer{Policy: "zeta"}
		switch r.Method + " " + r.URL.Path {
		case "POST /v1/controls":
			var request redisbridge.ControlsRequest
			_ = json.NewDecoder(r.Body).Decode(&request)
			cache.ControlSettings = request.Set
		case "GET /v1/status":
			compared += 50
			fmt.Fprintf(w, `{"redis":{"ok":true},"policies":[
				{"name":"alpha","caches":[{"name":"stats","proxies":{"matches":%d}}]},
				{"name":"zeta","caches":[{"name":"stats","proxies":{"mismatches":%[1]d}}]}]}`, compared)
			return
		}
		answer.Controls.Caches = []redisbridge.CacheControls{cache}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer server.Close()
	var stderr strings.Builder
	args := []string{"rollout", "stats", "--bridge", server.URL, "--hold", "1ms", "--min-compared", "5", "--step", "50"}
	if code := run(t.Context(), args, func(string) string { return "" }, io.Discard, &stderr); code != exitNo || !cache.Off {
		t.Errorf("exit code %d, off %v, %s", code, cache.Off, stderr.String())
	}
}
