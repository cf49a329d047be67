package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"chatcache/redisbridge"
)

const rolloutUsage = `Usage: redisbridge rollout CACHE [flags]

Serves a cache to ever more of its users, a step at a time, and goes back by itself when
something is wrong. A user is either in or out, and stays in as the percentage grows. It
goes on from what is served now: before a cache is rolled out for the first time, turn it
off (redisbridge controls). What is served already has to hold first.

Gates:
  --to PERCENT            what to reach (default 100)
  --step PERCENT          how much more at a time (default 10)
  --hold TIME             how long each step must hold (default 5m)
  --max-mismatch PERCENT  of the answers that are compared with the origin's, how many may
                          differ (default 0.1)
  --max-errors N          lookups and stores in a step that may fail (default 0)
  --verify PERCENT        of the hits, how many go to the origin to be compared; 0: none
                          (default 10, or more if more is set)
  --min-compared N        answers that must be compared before a step can hold (default 100)
  --patience TIME         how long to wait for them beyond --hold (default 1h)

Where answers differ the cache is turned off: it is wrong for those of the step before, too.
Where too much fails, it goes back to the percentage that has held. The proxies' logs say
where answers differ ("verify: cache NAME"); what may differ belongs in the policy, in the
cache's "verify": {"ignore": […]}.

Interrupted, it leaves what is set, and says so; run it again to go on. If somebody else
changes the cache's percentage meanwhile, it stops and leaves that alone.

Flags:
  --policy NAME     of the bridge's policies; needed where it has several
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print one JSON object for each step, on a line of its own
  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 the target is reached, 1 a gate was breached or the bridge said no, 2 usage,
3 stopped before that, with what is set left as it is.
`

// leastPercent is the least that a bridge can tell from nothing.
const leastPercent = 0.01

type rolloutFlags struct {
	clientFlags
	policy, cache string
	widening      widening
}

func (f *rolloutFlags) parse(args []string, env environment) error {
	set := env.flagSet("rollout", rolloutUsage)
	f.register(set)
	w := &f.widening
	set.StringVar(&f.policy, "policy", "", "")
	share := func(p *float64, name string, standard float64) {
		*p = standard
		set.Func(name, "", func(s string) (err error) {
			*p, err = parsePercent(s)
			return err
		})
	}
	share(&w.to, "to", 100)
	share(&w.step, "step", 10)
	share(&w.gate.maxMismatch, "max-mismatch", 0.1)
	share(&w.verify, "verify", 10)
	durationFlag(set, &w.gate.hold, "hold", 5*time.Minute)
	durationFlag(set, &w.patience, "patience", time.Hour)
	set.Uint64Var(&w.gate.maxErrors, "max-errors", 0, "")
	set.Uint64Var(&w.gate.minCompared, "min-compared", 100, "")
	var err error
	if f.cache, err = env.parseOne(set, args, "CACHE"); err != nil {
		return err
	}
	if problem := f.check(); problem != "" {
		return env.misused(set, problem)
	}
	if w.verify == 0 {
		w.gate.minCompared = 0
	}
	return nil
}

// check tells what is wrong with the flags together.
func (f *rolloutFlags) check() string {
	w := &f.widening
	switch {
	case w.to < leastPercent || w.step < leastPercent:
		return fmt.Sprintf("--to and --step must be at least %v", leastPercent)
	case w.gate.hold <= 0 || w.patience < 0:
		return "--hold must be more than 0, and --patience not negative"
	case w.verify > 0 && w.gate.minCompared == 0:
		return "--min-compared must be more than 0: without any answer that was compared nothing is known; --verify 0 compares none"
	}
	return ""
}

func rollout(ctx context.Context, args []string, env environment) int {
	var f rolloutFlags
	if err := f.parse(args, env); err != nil {
		return usageCode(err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	w := &f.widening
	w.bridge = &controlledCache{bridge, f.policy, f.cache}
	w.report = reporter{cache: f.cache, out: env.stdout, json: f.json}.report
	switch err := w.begin(ctx); {
	case errors.Is(err, errInterrupted):
		return f.end(env, err)
	case err != nil:
		return env.fail(exitNo, fmt.Errorf("cache %s can't be rolled out: %w", f.cache, err))
	}
	return f.end(env, w.run(ctx))
}

// end tells what came of it.
func (f *rolloutFlags) end(env environment, err error) int {
	var breach *breachError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &breach):
		return env.fail(exitNo, fmt.Errorf("cache %s: %w", f.cache, err))
	case errors.Is(err, errInterrupted), errors.Is(err, errStalled), errors.Is(err, errUnseen), errors.Is(err, errChanged), errors.Is(err, errUnanswered):
		return env.fail(exitWait, fmt.Errorf("cache %s: %w; what is set stays: redisbridge controls shows it", f.cache, err))
	}
	return env.fail(exitNo, fmt.Errorf("cache %s: %w", f.cache, err))
}

// controlledCache is a cache at a bridge.
type controlledCache struct {
	client client
	policy string // where none was named, the bridge's only one from the first answer on
	cache  string
}

// heardWithin is how long a call waits for the proxies to hear of a setting; one that hears of it later
// counts what the step before has brought for so long.
const heardWithin = "3s"

func (c *controlledCache) controls(ctx context.Context) (cache redisbridge.CacheControls, all redisbridge.ControlSettings, err error) {
	var answer redisbridge.ControlsAnswer
	err = c.client.call(ctx, http.MethodGet, "/v1/controls?"+url.Values{"policy": {c.policy}}.Encode(), nil, &answer)
	c.policy = cmp.Or(c.policy, answer.Policy)
	for _, one := range answer.Controls.Caches {
		if one.Name == c.cache {
			cache = one
		}
	}
	return cache, answer.Controls.All, err
}

func (c *controlledCache) set(ctx context.Context, set redisbridge.ControlSettings, unset ...string) error {
	var answer redisbridge.ControlsAnswer
	return c.client.call(ctx, http.MethodPost, "/v1/controls",
		redisbridge.ControlsRequest{Policy: c.policy, Cache: c.cache, Set: set, Unset: unset, Wait: heardWithin}, &answer)
}

func (c *controlledCache) counts(ctx context.Context) (redisbridge.ProxyCounts, error) {
	var s redisbridge.Status
	if err := c.client.call(ctx, http.MethodGet, "/v1/status", nil, &s); err != nil {
		return redisbridge.ProxyCounts{}, err
	}
	if !s.Redis.OK {
		return redisbridge.ProxyCounts{}, fmt.Errorf("redis: %s", s.Redis.Error)
	}
	for _, p := range s.Policies {
		if p.Name != c.policy {
			continue
		}
		for _, one := range p.Caches {
			if one.Name == c.cache {
				return one.Proxies, nil
			}
		}
	}
	return redisbridge.ProxyCounts{}, nil // no proxy has counted anything of it yet
}

// reporter prints what a rollout tells.
type reporter struct {
	cache string
	out   io.Writer
	json  bool
}

func (r reporter) report(p progress) {
	if r.json {
		line, err := json.Marshal(struct {
			Cache string `json:"cache"`
			progress
		}{r.cache, p})
		if err == nil { // of numbers and words
			fmt.Fprintf(r.out, "%s\n", line)
		}
		return
	}
	fmt.Fprintf(r.out, "%s at %s: %s\n", r.cache, percent(p.Percent), p.text())
}

// text is a line for people.
func (p progress) text() string {
	seen := fmt.Sprintf("%d hits, %d compared, %d differ, %d errors", p.Hits, p.Compared, p.Mismatches, p.Errors)
	after := time.Duration(p.Seconds * float64(time.Second)).Round(time.Second)
	switch {
	case p.Event == "set":
		return "set"
	case p.Event == "done" && p.Reason != "":
		return "reached; " + p.Reason
	case p.Event == "done":
		return "reached"
	case p.Event == "held":
		return fmt.Sprintf("held for %v: %s", after, seen)
	case p.Event == "off" || p.Event == "back":
		return fmt.Sprintf("gone back after %v: %s", after, p.Reason)
	case p.Reason != "":
		return p.Reason
	}
	return fmt.Sprintf("after %v: %s", after, seen)
}
