package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"chatcache/redisbridge"
)

const doctorUsage = `Usage: redisbridge doctor [flags]

Looks for what is wrong with a bridge, its Redis, and the proxies that are named, and
says what to do. redisbridge/TROUBLESHOOTING.md is the table of what it checks.

Flags:
  --envoy URL       the admin interface of an Envoy, http://127.0.0.1:9901; repeatable.
                    Without it nothing is said of proxies but what they tell the bridge
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print it as JSON
  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 nothing is wrong, 1 something is, 2 usage.
`

// evidence is what doctor has found out.
type evidence struct {
	status      redisbridge.Status
	statusError error
	ready       string        // what /readyz says against it
	clock       time.Duration // how much the bridge's clock is ahead of this machine's
	envoys      []envoyEvidence
}

// envoyEvidence is what one Envoy shows.
type envoyEvidence struct {
	url     string
	metrics metricSums // nil: its metrics can't be read
	later   metricSums // a second later; nil: there was no reason to look again
	err     error
}

// finding is what one check says.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // what was found
	Do     string `json:"do,omitempty"`     // what to do; only where it isn't OK
}

func doctor(ctx context.Context, args []string, env environment) int {
	var f clientFlags
	var envoys []string
	set := env.flagSet("doctor", doctorUsage)
	f.register(set)
	set.Func("envoy", "", func(name string) error {
		base, err := baseURL(name)
		envoys = append(envoys, base)
		return err
	})
	if err := env.parse(set, args); err != nil {
		return usageCode(err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	findings := examine(gather(ctx, bridge, envoys))
	code := exitOK
	for _, one := range findings {
		if !one.OK {
			code = exitNo
		}
	}
	if f.json {
		return max(env.printJSON(findings), code)
	}
	printFindings(env.stdout, findings)
	return code
}

// gather asks everybody.
func gather(ctx context.Context, bridge client, envoys []string) evidence {
	var e evidence
	e.statusError = bridge.call(ctx, http.MethodGet, "/v1/status", nil, &e.status)
	if text, status, date, err := bridge.text(ctx, "/readyz"); err == nil {
		if status != http.StatusOK {
			e.ready = strings.TrimSpace(text)
		}
		if at, err := http.ParseTime(date); err == nil {
			e.clock = time.Until(at).Round(time.Second)
		}
	}
	for _, url := range envoys {
		one := envoyEvidence{url: url}
		one.metrics, one.err = readMetrics(ctx, url)
		e.envoys = append(e.envoys, one)
	}
	e.lookAgain(ctx)
	return e
}

// lookAgain looks once more at the Envoys of which one look doesn't say enough. They owe the bridge ends of writes: where there
// are writes some are always on their way, and what matters is whether they arrive. Or lookups of theirs were refused at some time.
func (e *evidence) lookAgain(ctx context.Context) {
	unclear := func(one envoyEvidence) bool {
		_, refused := lookups(one.metrics)
		return refused > 0 || one.metrics.sum(journalEntries, "") > 0
	}
	if !slices.ContainsFunc(e.envoys, unclear) {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(deliveredWithin):
	}
	for i := range e.envoys {
		if one := &e.envoys[i]; unclear(*one) {
			one.later, _ = readMetrics(ctx, one.url)
		}
	}
}

// readMetrics asks an Envoy's admin interface for the filter's metrics.
func readMetrics(ctx context.Context, url string) (metricSums, error) {
	text, status, _, err := client{base: url}.text(ctx, "/stats/prometheus?filter=chatcache")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("it answered %d", status)
	}
	return sumMetrics(text), nil
}

func printFindings(w io.Writer, findings []finding) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		word := "ok"
		if !f.OK {
			word = "PROBLEM"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", word, f.Check, f.Detail)
		if f.Do != "" {
			fmt.Fprintf(table, "\t\t→ %s\n", f.Do)
		}
	}
	table.Flush()
}
