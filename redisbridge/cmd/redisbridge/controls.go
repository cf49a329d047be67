package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"chatcache/redisbridge"
)

const controlsUsage = `Usage: redisbridge controls [flags]
       redisbridge controls set   [flags] CACHE SETTING…
       redisbridge controls set   [flags] --all SETTING…
       redisbridge controls unset [flags] CACHE [SETTING…]
       redisbridge controls unset [flags] --all [SETTING…]

Shows or changes what counts for the caches of every proxy, without a restart: within
milliseconds, as fast as an invalidation. What is set stays until it is unset, also over
a failover of Redis. Where something is set for a cache and for all, the stricter counts.

Settings:
  off               neither use nor store anything; writes go on to invalidate. What was
                    stored before doesn't come back after unset
  ttl=TIME          use and store responses for so long, whatever the policy says
                    ("ttl=30s"); with --all: for so long at most
  percent=N         serve N % of the partitions, always the same ones, and with a
                    greater N those and more; of a shared cache, of its keys
  observe           forward everything, and count what would have been answered
  verify=N          forward N % of what would have been answered, and compare

unset without a SETTING unsets all of them.

Flags:
  --all             what counts for all caches of the policy
  --wait            of set and unset: return when every VM that follows the feed has heard of
                    it, or its lease to answer from its memory has run out
  --timeout TIME    give up waiting after so long (default 10s)
` + policyFlagsUsage + `  --new-policy      of set and unset: it is meant, though no document, proxy or key of
                    Redis names it yet
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print the answer as JSON
  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 done, 1 the bridge said no or can't be reached, 2 usage, 3 done, but
not every VM is known to have heard of it when the waiting ended, or none follows the feed.
`

type controlsFlags struct {
	clientFlags
	waitFlags
	policyFlags
	verb   string // "show", "set" or "unset"
	change redisbridge.ControlsRequest
}

// parse takes the words, the verb first, and the flags wherever they stand.
func (f *controlsFlags) parse(args []string, env environment) error {
	set := env.flagSet("controls", controlsUsage)
	f.clientFlags.register(set)
	f.waitFlags.register(set)
	f.policyFlags.register(set)
	set.BoolVar(&f.change.All, "all", false, "")
	words, err := env.parseWords(set, args)
	if err != nil {
		return err
	}
	f.verb = "show"
	if len(words) > 0 && (words[0] == "set" || words[0] == "unset") {
		f.verb, words = words[0], words[1:]
	}
	return env.checked(set, cmp.Or(f.take(words), f.policyFlags.check()))
}

// take reads the words, and tells what is wrong with them.
func (f *controlsFlags) take(words []string) string {
	switch {
	case f.verb == "show" && len(words) > 0:
		return fmt.Sprintf("found %q, want set, unset or nothing", words[0])
	case f.verb == "show" && (f.change.All || f.wait || f.isNew):
		return "--all, --wait and --new-policy are for set and unset"
	case f.verb == "show":
		return ""
	case f.timeout <= 0:
		return "--timeout must be more than 0"
	}
	if !f.change.All {
		if len(words) == 0 {
			return "name a CACHE, or give --all"
		}
		f.change.Cache, words = words[0], words[1:]
	}
	if f.verb == "unset" {
		if f.change.Unset = words; len(words) == 0 {
			f.change.Unset = []string{"off", "ttl", "percent", "observe", "verify"}
		}
		return ""
	}
	if len(words) == 0 {
		return "name a SETTING: off, ttl=TIME, percent=N, observe or verify=N"
	}
	for _, word := range words {
		if problem := setOne(&f.change.Set, word); problem != "" {
			return problem
		}
	}
	return ""
}

// setOne reads one setting.
func setOne(s *redisbridge.ControlSettings, word string) string {
	name, value, hasValue := strings.Cut(word, "=")
	percent, err := parsePercent(value)
	bad := err != nil || percent == 0
	switch {
	case name == "off" && !hasValue:
		s.Off = true
	case name == "observe" && !hasValue:
		s.Observe = true
	case name == "ttl" && value != "":
		s.TTL = value
	case name == "percent" && !bad:
		s.Percent = percent
	case name == "verify" && !bad:
		s.Verify = percent
	case (name == "percent" || name == "verify") && hasValue:
		return fmt.Sprintf("%q: want a percentage of more than 0, up to 100, as in %s=10", word, name)
	default:
		return fmt.Sprintf("found setting %q, want off, ttl=TIME, percent=N, observe or verify=N", word)
	}
	return ""
}

func controls(ctx context.Context, args []string, env environment) int {
	var f controlsFlags
	if err := f.parse(args, env); err != nil {
		return usageCode(err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	return forPolicies(ctx, env, bridge, f.policyFlags, f.json,
		func(policy string) (answer redisbridge.ControlsAnswer, err error) {
			if f.verb == "show" {
				path := "/v1/controls?" + url.Values{"policy": {policy}}.Encode()
				return answer, bridge.call(ctx, http.MethodGet, path, nil, &answer)
			}
			f.change.Policy, f.change.NewPolicy, f.change.Wait = policy, f.isNew, f.firstWait(f.every)
			return answer, bridge.call(ctx, http.MethodPost, "/v1/controls", f.change, &answer)
		},
		func(answer *redisbridge.ControlsAnswer) int {
			if !f.json {
				printControls(env.stdout, f.verb, *answer)
			}
			if !f.wait {
				return exitOK
			}
			raise := redisbridge.RaiseAnswer{Policy: answer.Policy, Epoch: answer.Epoch, Sequence: answer.Sequence, RaisedAt: answer.SetAt, Receipts: answer.Receipts}
			code := f.await(ctx, env, bridge, &raise, f.json)
			answer.Receipts = raise.Receipts
			return code
		})
}

func printControls(w io.Writer, verb string, a redisbridge.ControlsAnswer) {
	fmt.Fprintf(w, "policy %s: ", a.Policy)
	switch {
	case a.Sequence > 0:
		fmt.Fprintf(w, "%s at sequence %d of epoch %s\n", verb, a.Sequence, a.Epoch)
	case a.Controls.Version == 0:
		fmt.Fprintln(w, "no controls were ever set")
	default:
		fmt.Fprintf(w, "last changed %s\n", time.UnixMilli(int64(a.Controls.Version)).UTC().Format(time.RFC3339))
	}
	printControlsTable(w, a.Controls)
}

// printControlsTable shows what is set for each cache, and nothing where nothing is.
func printControlsTable(w io.Writer, c redisbridge.Controls) {
	rows := c.Caches
	if c.All != (redisbridge.ControlSettings{}) {
		rows = slices.Insert(slices.Clone(rows), 0, redisbridge.CacheControls{Name: "(all)", ControlSettings: c.All})
	}
	if len(rows) == 0 {
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "controls\toff\tttl\tpercent\tobserve\tverify")
	for _, row := range rows {
		note := ""
		if row.Rollout {
			note = "\tnot used: the proxies' policies have different rules for it, or had lately"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s%s\n", row.Name, mark(row.Off), cmp.Or(row.TTL, unset), share(row.Percent), mark(row.Observe), share(row.Verify), note)
	}
	table.Flush()
}

// settingsText writes settings as set takes them; empty where nothing is set.
func settingsText(s redisbridge.ControlSettings) string {
	var words []string
	add := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	add(s.Off, "off")
	add(s.TTL != "", "ttl="+s.TTL)
	add(s.Percent != 0, "percent="+share(s.Percent))
	add(s.Observe, "observe")
	add(s.Verify != 0, "verify="+share(s.Verify))
	return strings.Join(words, " ")
}

// unset stands for a setting that isn't there.
const unset = "-"

func mark(set bool) string {
	if set {
		return "yes"
	}
	return unset
}

func share(percent float64) string {
	if percent == 0 {
		return unset
	}
	return strconv.FormatFloat(percent, 'f', -1, 64) + "%"
}
