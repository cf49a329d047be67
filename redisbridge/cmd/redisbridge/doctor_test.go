package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"chatcache/redisbridge"
)

// healthy is the evidence of a mesh in which nothing is wrong.
func healthy() evidence {
	var e evidence
	e.status.Redis.OK, e.status.Redis.Subscribed, e.status.Redis.EvictionPolicy = true, true, "volatile-lru"
	e.status.Redis.Mode, e.status.Redis.Version, e.status.Redis.PingMS = "standalone", "9.1.2", 0.2
	e.status.Redis.Breaker.State = "closed"
	e.status.Policies = []redisbridge.PolicyStatus{{Name: "chat", VMs: 2, Behind: 1, BehindMS: 1001, Followers: []redisbridge.VMStatus{{VM: "vm-1", Lag: farBehind}, {VM: "vm-2"}}}}
	e.envoys = []envoyEvidence{{url: "http://e1", metrics: sumMetrics("# TYPE x\nchatcache_panics{} 0\nchatcache_journal_entries{} 0\nchatcache_hits{cache=\"a\",tier=\"l1\"} 60\nchatcache_misses{cache=\"a\"} 50\n")}}
	return e
}

// Each check fails for its own reason, and nothing else fails with it but what it entails.
func TestDoctorFindsEachProblem(t *testing.T) {
	metric := func(line string) func(*evidence) {
		return func(e *evidence) { e.envoys[0].metrics = sumMetrics("chatcache_panics{} 0\n" + line) }
	}
	later := func(first, second string) func(*evidence) {
		return func(e *evidence) {
			metric(first)(e)
			e.envoys[0].later = sumMetrics(second)
		}
	}
	shown := map[string]bool{}
	for _, tt := range []struct {
		check  string
		change func(*evidence)
		want   string // the failed checks with what they found
	}{
		{"", func(*evidence) {}, ""},
		{"bridge", func(e *evidence) { *e = evidence{statusError: errors.New("bridge at x can't be reached")} }, "bridge: bridge at x can't be reached"},
		{"token", func(e *evidence) { *e = evidence{statusError: refusal(401, "wrong token")} },
			"token: bridge said 401: wrong token; set CHATCACHE_ADMIN_TOKEN or --admin-token-file to the bridge's"},
		{"redis", func(e *evidence) { // of which nobody can tell whom it knows
			e.status.Redis.OK, e.status.Redis.Error, e.status.Policies[0].VMs = false, "gone", 0
			metric("chatcache_following{} 3")(e)
		}, "redis: gone"},
		{"redis", func(e *evidence) { e.status.Redis.OK, e.status.Redis.Error = false, "redis did not answer in time" }, "redis: redis did not answer in time"},
		{"maxmemory-policy", func(e *evidence) { e.status.Redis.EvictionPolicy = "allkeys-lru" }, "maxmemory-policy: it is allkeys-lru"},
		{"ready", func(e *evidence) { e.ready = "not ready: draining" }, "ready: not ready: draining"},
		{"ready", func(e *evidence) { e.status.Redis.Problem = "set --replicas" }, "ready: set --replicas"},
		{"breaker", func(e *evidence) { e.status.Redis.Breaker.State, e.status.Redis.Breaker.Cause = "open", "i/o timeout" },
			"breaker: it is open (i/o timeout): lookups and stores fail at once"},
		{"pub/sub", func(e *evidence) { e.status.Redis.Subscribed = false }, "pub/sub: the bridge could never subscribe"},
		{"proxies", func(e *evidence) { e.status.Policies = nil }, "proxies: no worker of any proxy follows the feed"},
		{"feed", func(e *evidence) { e.status.Policies[0].Followers[0].Lag = farBehind + 1 }, "feed: VM vm-1 is 65 events behind"},
		{"", func(e *evidence) { // a thousand events a second reach a thousand VMs within a fifth of one
			e.status.Policies[0].Followers[0].Lag, e.status.Policies[0].BehindMS = 200, 200
		}, ""},
		{"policies", func(e *evidence) {
			e.status.Policies[0].Controls.Caches = []redisbridge.CacheControls{{Name: "stats", Rollout: true}, {Name: "user"}}
		}, "policies: proxies with different rules are at work, or were lately, for chat stats"},
		{"clock", func(e *evidence) { e.clock = -3 * time.Second }, "clock: the bridge's differs from this machine's by -3s"},
		{"envoy", func(e *evidence) { e.envoys[0] = envoyEvidence{url: "http://e1", err: errors.New("refused")} }, "envoy: http://e1: refused"},
		{"filter", func(e *evidence) { e.envoys[0].metrics = sumMetrics("") }, "filter: http://e1: it shows no metric of the filter"},
		{"filter token", metric(`chatcache_bypasses{cache="a",reason="bridge-error"} 3`),
			"filter token: http://e1: 3 reads were forwarded because the bridge refused them or gave another answer"},
		{"workers", metric("chatcache_following{} 3"), "workers: 3 follow the feed, as the proxies say, and the bridge knows 2"},
		{"", metric("chatcache_following{} 2"), ""},
		{"filter panics", metric("chatcache_panics{} 2"), "filter panics: http://e1: 2"},
		{"anonymous writes", metric("chatcache_anonymous_done{} 4"), "anonymous writes: http://e1: the origin did 4 that the policy says it refuses"},
		{"journal", metric("chatcache_journal_entries{} 7"), "journal: http://e1: 7 ends of writes wait for the bridge"},
		{"journal", later("chatcache_journal_entries{} 7\nchatcache_writes_closed{} 10", "chatcache_journal_entries{} 9\nchatcache_writes_closed{} 12"),
			"journal: http://e1: 9 ends of writes wait for the bridge"},
		{"", later("chatcache_journal_entries{} 7\nchatcache_writes_closed{} 10", "chatcache_journal_entries{} 6\nchatcache_writes_closed{} 90"), ""},
		{"", later("chatcache_journal_entries{} 7\nchatcache_writes_closed{} 10", "chatcache_journal_entries{} 0\nchatcache_writes_closed{} 11"), ""},
		{"filter token", later("chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 9", "chatcache_bypasses{reason=\"bridge-error\"} 4\nchatcache_misses{} 10"),
			"filter token: http://e1: 4 reads were forwarded because the bridge refused them or gave another answer"},
		{"filter token", later("chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 9", "chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 9"),
			"filter token: http://e1: 3 reads were forwarded because the bridge refused them or gave another answer"},
		{"", later("chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 9", "chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 10"), ""},
		{"filter token", metric(`chatmy_stats_reason_bridge_error_bypasses{cache="cache"} 3`),
			"filter token: http://e1: 3 reads were forwarded because the bridge refused them or gave another answer"},
		{"hit ratio", metric("chatcache_hits{tier=\"l1\"} 4\nchatcache_hits{tier=\"l2\"} 5\nchatcache_misses{} 50\nchatcache_bypasses{reason=\"head\"} 41"), "hit ratio: http://e1: 9.0% of 100 reads"},
		{"", metric("chatcache_misses{} 99"), ""},
		{"", metric("chatcache_would_hits{} 300\nchatcache_misses{} 200"), ""},
		{"", metric("chatcache_hits{tier=\"l1\"} 30\nchatcache_misses{} 70\nchatcache_bypasses{reason=\"percent\"} 900\nchatcache_bypasses{reason=\"off\"} 90\nchatcache_bypasses{reason=\"observe\"} 90\nchatcache_bypasses{reason=\"verify\"} 90"), ""},
	} {
		e := healthy()
		tt.change(&e)
		var failed []string
		for _, f := range examine(e) {
			if !f.OK {
				failed = append(failed, f.Check+": "+f.Detail)
			}
			if f.OK == (f.Do != "") {
				t.Errorf("%s: advice %q, ok %t", f.Check, f.Do, f.OK)
			}
		}
		if got := strings.Join(failed, "; "); got != tt.want {
			t.Errorf("%s: found %q, want %q", tt.check, got, tt.want)
		}
		shown[tt.check] = true
	}
	shown["controls"], shown["comparisons"] = true, true // are never a problem
	for _, c := range checks {
		if !shown[c.name] {
			t.Errorf("nothing shows that check %q fails", c.name)
		}
	}
}

// What is well is said with what was seen, and nothing is said of what wasn't.
func TestDoctorTellsWhatItHasSeen(t *testing.T) {
	detail := func(e evidence, check string) string {
		for _, f := range examine(e) {
			if f.Check == check {
				return f.Detail
			}
		}
		return ""
	}
	istio := func(e *evidence) {
		e.envoys[0].metrics = sumMetrics("chatcache_panics{} 0\n" + strings.ReplaceAll(`chatstats_tier_l1_hits{} 40
			chatstats_tier_l2_hits{} 30
			chatmodels_collapsed{} 10
			chatstats_misses{} 100
			chatstats_reason_write_in_flight_bypasses{} 20
			chatstats_would_hits{} 5
			chatstats_prefetch_hits{} 5
			chatstats_latency_us_count{} 200`, "{}", `{cache="cache"}`))
	}
	for _, tt := range []struct {
		check, want string
		change      func(*evidence)
	}{
		{"hit ratio", "http://e1: 54.5% of 110 reads", func(*evidence) {}},
		{"hit ratio", "http://e1: not known after 12 reads, fewer than 100", func(e *evidence) { e.envoys[0].metrics = sumMetrics("chatcache_panics{} 0\nchatcache_misses{} 12\n") }},
		{"filter token", "http://e1: the bridge has answered 50 lookups and refused none", func(*evidence) {}},
		{"hit ratio", "http://e1: 41.5% of 205 reads", istio},
		{"filter token", "http://e1: the bridge has answered 130 lookups and refused none", istio},
		{"filter token", "", func(e *evidence) { e.statusError = errors.New("bridge at x can't be reached") }},
		{"filter token", "", func(e *evidence) { e.envoys[0].metrics = sumMetrics("chatcache_panics{} 0\n") }},
		{"filter token", "http://e1: the bridge answers lookups; 3 were refused before", func(e *evidence) {
			e.envoys[0].metrics = sumMetrics("chatcache_panics{} 0\nchatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 9")
			e.envoys[0].later = sumMetrics("chatcache_bypasses{reason=\"bridge-error\"} 3\nchatcache_misses{} 10")
		}},
		{"journal", "http://e1: empty", func(*evidence) {}},
		{"journal", "", func(e *evidence) { e.envoys[0].metrics = sumMetrics("") }},
		{"filter panics", "", func(e *evidence) { e.envoys[0].metrics = sumMetrics("") }},
		{"feed", "", func(e *evidence) { e.status.Policies = nil }},
		{"comparisons", "no answer was compared with the origin's", func(*evidence) {}},
		{"comparisons", "", func(e *evidence) { e.status.Redis.OK = false }},
		{"comparisons", "7 answers were compared with the origin's, none differs", func(e *evidence) {
			e.status.Policies[0].Caches = []redisbridge.CacheStatus{{Name: "stats", Proxies: redisbridge.ProxyCounts{Matches: 7}}}
		}},
		{"comparisons", "since Redis was empty other answers than the origin's: chat user 1 of 3; the proxies' logs say where (verify: cache NAME)", func(e *evidence) {
			e.status.Policies[0].Caches = []redisbridge.CacheStatus{{Name: "stats", Proxies: redisbridge.ProxyCounts{Matches: 7}}, {Name: "user", Proxies: redisbridge.ProxyCounts{Matches: 2, Mismatches: 1}}}
		}},
		{"controls", "nothing is set", func(*evidence) {}},
		{"controls", "", func(e *evidence) { e.statusError = errors.New("bridge at x can't be reached") }},
		{"controls", "set are chat (all) off, chat stats percent=10% observe; redisbridge controls unset forgets them", func(e *evidence) {
			e.status.Policies[0].Controls = redisbridge.Controls{
				All:    redisbridge.ControlSettings{Off: true},
				Caches: []redisbridge.CacheControls{{Name: "stats", ControlSettings: redisbridge.ControlSettings{Percent: 10, Observe: true}}},
			}
		}},
	} {
		e := healthy()
		tt.change(&e)
		if got := detail(e, tt.check); got != tt.want {
			t.Errorf("%s: found %q, want %q", tt.check, got, tt.want)
		}
	}
}

// The troubleshooting table has the checks that there are, in their order, with their advice.
func TestTroubleshootingTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "TROUBLESHOOTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, row := range regexp.MustCompile(`(?m)^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$`).FindAllStringSubmatch(string(text), -1) {
		if row[1] != "check" {
			got = append(got, row[1]+": "+row[4])
		}
	}
	for _, c := range checks {
		want = append(want, c.name+": "+c.do)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("TROUBLESHOOTING.md has\n%s\nthe code has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// doctor asks the bridge and the proxies, prints a table or JSON, and says by its exit code whether
// something is wrong.
func TestDoctorAsksEverybody(t *testing.T) {
	ratio, owed, closed := "chatcache_hits{} 200\n", 2, 10
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			if r.Header.Get("Authorization") != "Bearer admin" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_ = json.NewEncoder(w).Encode(healthy().status)
		case "/stats/prometheus":
			fmt.Fprintf(w, "chatcache_panics{} 0\nchatcache_journal_entries{} %d\nchatcache_writes_closed{} %d\n%s", owed, closed, ratio)
			owed, closed = max(owed-1, 0), closed+2
		case "/readyz":
			w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
			fmt.Fprintln(w, "ready")
		}
	}))
	defer server.Close()
	doctor := func(args ...string) (int, string) {
		var out strings.Builder
		code := run(t.Context(), append([]string{"doctor", "--bridge", server.URL}, args...), func(name string) string {
			return map[string]string{"CHATCACHE_ADMIN_TOKEN": "admin"}[name]
		}, &out, io.Discard)
		return code, out.String()
	}
	if code, out := doctor("--envoy", server.URL); code != exitOK || strings.Contains(out, "PROBLEM") || !strings.Contains(out, "hit ratio") {
		t.Errorf("exit code %d, printed\n%s", code, out)
	}
	ratio, owed = "chatcache_misses{} 200\n", 0
	code, out := doctor("--envoy", server.URL+"/")
	if code != exitNo || !strings.Contains(out, "PROBLEM  hit ratio         "+server.URL+": 0.0% of 200 reads\n") || !strings.Contains(out, "→ look at the reasons") {
		t.Errorf("exit code %d, printed\n%s", code, out)
	}
	code, out = doctor("--json", "--envoy", server.URL)
	var findings []finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil || code != exitNo || findings[len(findings)-1].Check != "hit ratio" || findings[len(findings)-1].OK {
		t.Errorf("exit code %d, %v, printed\n%s", code, err, out)
	}
}
