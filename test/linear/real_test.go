package linear

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"chatcache/policy"
	"chatcache/test/fault"
	"chatcache/test/mesh"
	"chatcache/test/stack"
)

// Faults are shorter than what is left of a suspension when its renewal is due: so none
// lapses, unless the machine itself stands still for long (see Claim.Covered).
const (
	realDeadline   = 4 * time.Second
	realSettle     = 2 * time.Second
	longestFault   = 1200 * time.Millisecond
	betweenFaults  = 1200 * time.Millisecond
	settledWithin  = 30 * time.Second // until all journals are delivered, in the end
	defaultRealRun = 20 * time.Second
)

var realModes = []mode{
	{name: "no L1", edits: []func(map[string]any){withoutL1}, claim: Claim{Forward: true}},
	{name: "refuse", edits: []func(map[string]any){withoutL1, refusingWrites}},
	{name: "L1", edits: []func(map[string]any){staleFor(time.Second)}, claim: Claim{Staleness: time.Second, Forward: true}},
}

// realRun tells how long each mode runs: 20 s, or CHATCACHE_LINEAR.
func realRun(t *testing.T) time.Duration {
	text := os.Getenv("CHATCACHE_LINEAR")
	if text == "" {
		return defaultRealRun
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHATCACHE_LINEAR: %v", err)
	}
	return d
}

// realSeed is CHATCACHE_SEED, or another one each time. It decides on requests and faults; the
// rest is up to the machine.
func realSeed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CHATCACHE_SEED"), 10, 64); err == nil {
		return n
	}
	return rand.Uint64() >> 32
}

// Through two Envoys of two workers, a bridge and Valkey, all of which are killed, stopped, cut
// off and slowed at random, the answers are as claimed, and no read fails.
func TestReal(t *testing.T) {
	stack.RequireT(t)
	seed, run := realSeed(), realRun(t)
	t.Logf("CHATCACHE_SEED=%d CHATCACHE_LINEAR=%v", seed, run)
	for _, m := range realModes {
		m.deadline, m.settle = realDeadline, realSettle
		m.claim.Covered = min(realDeadline, realSettle)
		t.Run(m.name, func(t *testing.T) { realMode(t, m, seed, run) })
	}
}

func realMode(t *testing.T, m mode, seed uint64, run time.Duration) {
	began := time.Now()
	history := NewHistory(func() time.Duration { return time.Since(began) })
	dice := NewDice(seed)
	patient := func(document map[string]any) { document["bridge"].(map[string]any)["timeout"] = "200ms" }
	document := mesh.ChatPolicy(t, append(m.edits, m.terms, publishing, patient)...)
	parsed, problems := policy.Parse([]byte(document))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	groups, err := Groups(parsed, stack.PartitionSecret)
	if err != nil {
		t.Fatal(err)
	}
	origin := &Origin{
		Policy: parsed, History: history, Dice: dice, Latency: 15 * time.Millisecond,
		Wait: func(ctx context.Context, d time.Duration) { sleep(ctx, d) },
	}
	c := &clients{
		t: t, policy: parsed, groups: groups, dice: dice, history: history, writes: make([][]int, mesh.Proxies),
		http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		mesh: fault.MeshT(t, stack.Options{
			Envoys: mesh.Proxies, Workers: mesh.Workers, Policy: []byte(document), Origin: origin,
			BridgeArgs: []string{"--timeout", "180ms"},
		}),
	}
	c.drive(run)
	c.judge(m, seed)
}

// drive lets clients and faults loose for a time.
func (c *clients) drive(run time.Duration) {
	watching, stopWatching := context.WithCancel(context.Background())
	defer stopWatching()
	var observer sync.WaitGroup
	observer.Go(func() { c.observe(watching) })
	ctx, cancel := context.WithTimeout(context.Background(), run)
	defer cancel()
	var all sync.WaitGroup
	for client := range realClients {
		all.Go(func() { c.run(ctx, client) })
	}
	all.Go(func() { c.administer(ctx) })
	c.fail(ctx)
	all.Wait()
	c.settle()
	stopWatching()
	observer.Wait()
}

// fail lets one part after the other fail until ctx is done; then all are well.
func (c *clients) fail(ctx context.Context) {
	faults := c.mesh.All()
	for ctx.Err() == nil {
		sleep(ctx, c.dice.Upto(betweenFaults))
		f := faults[c.dice.IntN(len(faults))]
		if f.Forgets && c.dice.IntN(2) == 0 {
			continue // what follows is a long quarantine
		}
		began := time.Duration(c.history.Now())
		err := f.Begin()
		sleep(ctx, c.dice.Upto(longestFault))
		if f.Name == "one Envoy killed" {
			c.lose(f.Proxy)
		}
		if err == nil {
			err = f.End()
		}
		if f.Name == "one Envoy killed" {
			c.lose(f.Proxy)
		}
		if err != nil {
			c.t.Fatalf("%s: %v", f.Name, err)
		}
		c.t.Logf("%v to %v: %s", began.Round(time.Millisecond), time.Duration(c.history.Now()).Round(time.Millisecond), f.Name)
	}
}

// settle waits until no VM owes the bridge the end of a write, and no suspension is left of
// one whose outcome was unknown. Then it reads every register at every proxy.
func (c *clients) settle() {
	for end, quiet := time.Now().Add(settledWithin), 0; quiet < 5; time.Sleep(100 * time.Millisecond) {
		counters, err := c.mesh.Counters(context.Background())
		if quiet++; err != nil || counters["journal_entries"] != 0 {
			quiet = 0
		}
		if time.Now().After(end) {
			c.t.Fatalf("%d ends of writes are not delivered %v after the last fault: %v", counters["journal_entries"], settledWithin, err)
		}
	}
	time.Sleep(realSettle)
	c.history.Settle()
	for range 2 * mesh.Workers { // each connection may come to another worker
		for proxy := range c.mesh.Envoys {
			for _, to := range targets {
				for _, user := range realUsers {
					c.readAt(0, proxy, to, user)
				}
			}
		}
	}
}

func (c *clients) judge(m mode, seed uint64) {
	hits, reads := c.history.Hits()
	commits, exempt, late, longest := 0, 0, 0, time.Duration(0)
	for _, w := range c.history.Writes() {
		if w.Answer == statusRefused && w.Commit > 0 {
			c.t.Errorf("write %d was refused and made all the same", w.ID)
		}
		if w.Commit == 0 {
			continue
		}
		commits++
		longest = max(longest, time.Duration(w.Commit-w.Call))
		if m.claim.exempt(w) {
			exempt++
		}
		if m.claim.late(w) {
			late++
		}
	}
	c.t.Logf("%d reads, %d hits; %d writes took effect, %d of them exempt, %d for being late (the latest: %v); an Envoy's death broke %d reads",
		reads, hits, commits, exempt, late, longest, c.broken)
	if hits == 0 || commits == 0 {
		c.t.Error("no hit or no write: the test shows nothing")
	}
	if err := Check(c.history, m.claim, c.groups); err != nil {
		report(c.t, seed, err.(*Violation), c.history)
	}
}
