package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"chatcache/redisbridge"
)

const statusUsage = `Usage: redisbridge status [flags]

Shows how a bridge and its Redis are, what each cache did since the bridge
started, and what all proxies together have counted since Redis was empty. A
cache "*" stands for everything and for named groups.

Flags:
  --bridge URL      http://host:port or unix:/path (default http://127.0.0.1:8470)
  --json            print it as JSON
  --admin-token-file FILE
                    the bridge's token for administrators: the file's first
                    (default: CHATCACHE_ADMIN_TOKEN of the environment)

Exit codes: 0 Redis answers, 1 it doesn't or the bridge can't be reached, 2 usage.
`

func status(ctx context.Context, args []string, env environment) int {
	var f clientFlags
	set := env.flagSet("status", statusUsage)
	f.register(set)
	if err := env.parse(set, args); err != nil {
		return usageCode(err)
	}
	bridge, err := f.client(env)
	if err != nil {
		return env.fail(exitUsage, err)
	}
	var s redisbridge.Status
	if err := bridge.call(ctx, http.MethodGet, "/v1/status", nil, &s); err != nil {
		return env.fail(exitNo, err)
	}
	if f.json {
		if code := env.printJSON(s); code != exitOK {
			return code
		}
	} else {
		printStatus(env.stdout, s)
	}
	if !s.Redis.OK {
		return exitNo
	}
	return exitOK
}

func printStatus(w io.Writer, s redisbridge.Status) {
	if s.Version != "" { // an old one says nothing of it
		fmt.Fprintf(w, "bridge: version %s\n", s.Version)
	}
	if s.Redis.OK {
		fmt.Fprintf(w, "redis: ok, %s %s, ping %.2f ms, %d keys of whoever wrote them\n", s.Redis.Mode, s.Redis.Version, s.Redis.PingMS, s.Redis.Keys)
	} else {
		fmt.Fprintf(w, "redis: %s\n", strings.TrimPrefix(s.Redis.Error, "redis: "))
	}
	if s.Redis.Role != "" {
		fmt.Fprintf(w, "%s with %d replicas, maxmemory-policy %s\n", s.Redis.Role, s.Redis.Replicas, s.Redis.EvictionPolicy)
	}
	if s.Redis.Problem != "" {
		fmt.Fprintf(w, "problem: %s\n", s.Redis.Problem)
	}
	if b := s.Redis.Breaker; b.Cause != "" {
		fmt.Fprintf(w, "circuit breaker: %s (%s), %d lookups and stores refused so far\n", b.State, b.Cause, b.Refused)
	}
	for _, p := range s.Policies {
		fmt.Fprintf(w, "\npolicy %s: %s, %d held polls\n", p.Name, standing(p, s.Redis.OK), p.HeldPolls)
		if c := p.Confirmation; c != nil && c.Error != "" {
			fmt.Fprintf(w, "not confirmed by replicas for %d ms: %s\n", c.AgeMS, c.Error)
		}
		printBehind(w, p)
		printVersions(w, p)
		printControlsTable(w, p.Controls)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "cache\thits\tmisses\tsuspended\thit rate\tstores\tsuspensions\traises\terrors\t")
		for _, c := range p.Caches {
			fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.1f%%\t%d\t%d\t%d\t%d\t\n",
				c.Name, c.Hits, c.Misses, c.Suspended, 100*c.HitRate, c.Stores, c.Suspensions, c.Raises, c.Errors)
		}
		table.Flush()
		printProxies(w, p.Caches)
	}
}

// printProxies shows what the proxies have counted, of caches that they were asked for.
func printProxies(w io.Writer, caches []redisbridge.CacheStatus) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "all proxies\thits L1\thits L2\tcollapsed\tmisses\tbypasses\twould hit\thit ratio\tmismatches\terrors\tsaved\t\n"
	for _, c := range caches {
		p := c.Proxies
		if p == (redisbridge.ProxyCounts{}) {
			continue
		}
		fmt.Fprint(table, head)
		head = ""
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f%%\t%d of %d\t%d\t%.1f s\t\n", c.Name, p.HitsL1, p.HitsL2, p.Collapsed,
			p.Misses, p.Bypasses, p.WouldHits, 100*p.HitRatio, p.Mismatches, p.Matches+p.Mismatches, p.Errors, p.SavedMS/1000)
	}
	table.Flush()
}

// printVersions says which versions of the policy are at work, and in how many of the VMs
// that the status lists, where there are several.
func printVersions(w io.Writer, p redisbridge.PolicyStatus) {
	count := make(map[string]int)
	for _, vm := range p.Followers {
		count[vm.PolicyVersion]++
	}
	if len(count) < 2 {
		return
	}
	var list []string
	for _, version := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%s in %d VMs", cmp.Or(version, "unknown"), count[version]))
	}
	fmt.Fprintln(w, "policy versions:", strings.Join(list, ", "))
}

// standing tells where a policy stands in Redis, if that answers.
func standing(p redisbridge.PolicyStatus, answers bool) string {
	switch {
	case p.Epoch == "" && !answers:
		return "not known while Redis doesn't answer"
	case p.Epoch == "":
		return "nothing is known of it in Redis"
	}
	return fmt.Sprintf("sequence %d of epoch %s, %d raises in it, %d open suspensions, %d VMs (%s)",
		p.Sequence, p.Epoch, p.Raises, p.Suspensions, p.VMs, behind(p))
}

// behind tells how many VMs are, and for how long the last of them.
func behind(p redisbridge.PolicyStatus) string {
	if p.BehindMS == 0 {
		return fmt.Sprintf("%d behind", p.Behind)
	}
	return fmt.Sprintf("%d behind, for up to %v", p.Behind, time.Duration(p.BehindMS)*time.Millisecond)
}

// printBehind names the VMs that haven't applied everything.
func printBehind(w io.Writer, p redisbridge.PolicyStatus) {
	for i, vm := range p.Followers[:min(len(p.Followers), p.Behind)] {
		if i == maxNamed {
			fmt.Fprintf(w, "  and %d more\n", p.Behind-i)
			return
		}
		fmt.Fprintf(w, "  VM %s is %d behind; its lease has %v left\n", vm.VM, vm.Lag, time.Duration(vm.LeaseMS)*time.Millisecond)
	}
}
