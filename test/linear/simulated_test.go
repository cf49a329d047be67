package linear

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"chatcache/test/mesh"
)

// bridgeTimeout is how long the filters wait for the bridge, in virtual time.
const bridgeTimeout = 50 * time.Millisecond

var users = []string{"ann", "bob", "cid"}

// target is a request of a cache.
type target struct {
	cache, path string
	shared      bool
}

func (t target) register(user string) Register {
	if t.shared {
		user = ""
	}
	return Register{t.cache, user}
}

var targets = []target{
	{"stats", "/api/chat/stats", false},
	{"sessions", "/api/chat/sessions", false},
	{"search", "/api/chat/search?q=hello", false},
	{"models", "/api/models", true},
}

// routes are the writes.
var routes = []string{
	"POST /api/chat/sessions", "PUT /api/chat/sessions/s1", "DELETE /api/chat/sessions/s1",
	"POST /api/chat/sessions/s1/messages", "POST /api/models",
}

// mode is a policy, what may go wrong, and what is promised.
type mode struct {
	name             string
	proxies, workers int // simulated ones, each with so many VMs
	edits            []func(map[string]any)
	deadline, settle time.Duration
	slow             time.Duration // a slow write
	pace             time.Duration // between two steps, at most
	latePolls        bool
	faults           bool // of bridge, ways and proxies
	flushes          int  // of Redis: so many in ten thousand steps, in a thousand suspensions, and for a hundred clients that leave
	claim            Claim
}

// short is deadline and settle where faults keep suspensions from being renewed; slow writes
// take effect within it.
const short = 2 * time.Second

const usualPace = 40 * time.Millisecond

// staleness is L1's: shorter than writes are suspended, so that a suspension that L1 doesn't
// hear of shows.
const staleness = 300 * time.Millisecond

var modes = []mode{
	{name: "no L1", proxies: 3, workers: 2, edits: []func(map[string]any){withoutL1}, deadline: short, settle: short, slow: short / 2, pace: usualPace,
		faults: true, flushes: 20, claim: Claim{Forward: true, Covered: short}},
	{name: "refuse", proxies: 3, workers: 2, edits: []func(map[string]any){withoutL1, refusingWrites}, deadline: short, settle: short, slow: short / 2, pace: usualPace,
		faults: true, flushes: 20, claim: Claim{Covered: short}},
	{name: "L1", proxies: 3, workers: 2, edits: []func(map[string]any){staleFor(staleness)}, deadline: short / 2, settle: short / 2, slow: short / 2, pace: 2 * usualPace,
		faults: true, flushes: 20, claim: Claim{Staleness: staleness, Forward: true, Covered: short / 2}},
	// Nothing fails, but the feed's answers come late or never.
	{name: "L1 with late polls", proxies: 3, workers: 2, edits: []func(map[string]any){staleFor(staleness)}, deadline: short / 2, settle: short / 2, slow: short / 2, pace: 2 * usualPace,
		latePolls: true, claim: Claim{Staleness: staleness}},
	// Writes outlast their deadline, and are renewed; Redis forgets now and then; nothing is exempt.
	{name: "slow writes", proxies: 3, workers: 2, edits: []func(map[string]any){withoutL1}, deadline: time.Second, settle: time.Second,
		slow: 1600 * time.Millisecond, pace: 3 * usualPace, flushes: 20},
	// So many VMs that most hear of a write by the feed alone.
	{name: "thirty-two VMs", proxies: 8, workers: 4, edits: []func(map[string]any){staleFor(time.Second)}, deadline: short, settle: short, slow: short / 2, pace: usualPace,
		faults: true, flushes: 10, claim: Claim{Staleness: time.Second, Forward: true, Covered: short}},
}

// steps of one run: some twenty seconds.
const steps = 800

// way is how long a call takes to the bridge, at most; and back.
const way = 15 * time.Millisecond

func staleFor(d time.Duration) func(map[string]any) {
	return func(document map[string]any) { document["l1"].(map[string]any)["max_staleness"] = d.String() }
}

func withoutL1(document map[string]any) { document["l1"] = false }

func refusingWrites(document map[string]any) {
	for _, rule := range document["invalidations"].([]any) {
		rule.(map[string]any)["unreachable"] = "refuse"
	}
}

// publishing adds a rule for a shared cache.
func publishing(document map[string]any) {
	rules := document["invalidations"].([]any)
	rule := map[string]any{"name": "publish model", "match": []any{"POST /api/models"}, "invalidate": []any{"models"}}
	for _, field := range []string{"unreachable", "deadline", "settle"} {
		if value, ok := rules[0].(map[string]any)[field]; ok {
			rule[field] = value
		}
	}
	document["invalidations"] = append(rules, rule)
}

func impatient(document map[string]any) {
	document["bridge"].(map[string]any)["timeout"] = bridgeTimeout.String()
}

// terms sets the times for which writes may be suspended.
func (m mode) terms(document map[string]any) {
	for _, rule := range document["invalidations"].([]any) {
		rule.(map[string]any)["deadline"] = m.deadline.String()
		rule.(map[string]any)["settle"] = m.settle.String()
	}
}

// seedsOfSixVMs tells how many random runs a mode with six VMs gets: 6, or CHATCACHE_SEEDS.
func seedsOfSixVMs() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CHATCACHE_SEEDS"), 10, 32); err == nil {
		return n
	}
	return 6
}

// seeds tells how many the mode gets: the fewer, the more VMs there are.
func (m mode) seeds() uint64 { return max(2, seedsOfSixVMs()*6/uint64(m.proxies*m.workers)) }

// In virtual time, over simulated VMs: whatever order things happen in, and whatever fails,
// the answers are as claimed.
func TestSimulated(t *testing.T) {
	module, err := mesh.FilterModule()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			hits, reads, exempt, commits := 0, 0, 0, 0
			for seed := range m.seeds() {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					w := newWorld(t, m, seed, module)
					for range steps {
						w.step(module)
					}
					w.finish(seed)
					h, r := w.history.Hits()
					hits, reads = hits+h, reads+r
					for _, write := range w.history.Writes() {
						if write.Commit > 0 {
							commits++
						}
						if write.Commit > 0 && m.claim.exempt(write) {
							exempt++
						}
					}
				})
			}
			t.Logf("%d reads, %d of them hits; %d writes took effect, %d of them exempt", reads, hits, commits, exempt)
			if hits == 0 {
				t.Error("no read was a hit: the test shows nothing")
			}
		})
	}
}
