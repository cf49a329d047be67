package linear

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
	"chatcache/policy"
	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
	"chatcache/test/mesh"
	"chatcache/test/stack"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// weather is how the way to the bridge, and the bridge, are.
type weather int

const (
	fair weather = iota
	stormy
	refusing // connections are refused
	garbled  // something else answers
)

// world is a mesh in virtual time, with random clients: proxies with a VM for each worker,
// one bridge, a miniredis and the origin.
type world struct {
	t        *testing.T
	mode     mode
	document string
	policy   *policy.Policy
	dice     *Dice
	clock    *hostsim.Clock
	redis    *miniredis.Miniredis
	bridge   *redisbridge.Bridge
	origin   *Origin
	history  *History
	weather  weather
	proxies  []*simProxy
	lastSeed uint64 // of a proxy: each has its own
	open     []*exchange
	writer   string        // the last one
	hot      int           // the target that is read most, until the next write
	before   time.Duration // virtual time before it moved last
	cursor   wire.Ticket   // the observer's
	traces   map[int64]*hostsim.Stream
}

// simProxy is a proxy that can be killed: what a test would check of it at its end is
// checked only of those that live then.
type simProxy struct {
	*testing.T
	*hostsim.Sim
	atEnd  []func()
	writes []int // their ids
}

func (p *simProxy) Cleanup(f func()) { p.atEnd = append(p.atEnd, f) }

// exchange is a request under way.
type exchange struct {
	proxy    *simProxy
	stream   *hostsim.Stream
	client   int
	call     int64
	register Register
	write    int // its id; 0: a read
	left     bool
}

func newWorld(t *testing.T, m mode, seed uint64, module []byte) *world {
	w := &world{t: t, mode: m, dice: NewDice(seed), clock: hostsim.NewClock(time.Time{}), lastSeed: seed << 16, traces: map[int64]*hostsim.Stream{}, writer: users[0]}
	w.clock.Shuffle(seed)
	w.redis = mesh.VirtualRedis(t, w.clock)
	w.history = NewHistory(w.clock.Since)
	w.document = mesh.ChatPolicy(t, append(m.edits, m.terms, publishing, impatient)...)
	parsed, problems := policy.Parse([]byte(w.document))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	w.policy = parsed
	w.origin = &Origin{
		Policy: parsed, History: w.history, Dice: w.dice, Latency: 30 * time.Millisecond, Slow: m.slow,
		Wait:      func(ctx context.Context, d time.Duration) { w.clock.Wait(ctx, nil, d) },
		Committed: w.observe,
	}
	w.startBridge(true)
	t.Cleanup(func() { w.bridge.Close() })
	w.clock.OnAdvance(func(now time.Time) {
		w.collect(int64(w.before))
		w.before = w.clock.Since()
	})
	for range m.proxies {
		w.proxies = append(w.proxies, w.startProxy(module))
	}
	t.Cleanup(func() {
		for _, p := range w.proxies {
			p.end()
		}
	})
	return w
}

func (p *simProxy) end() {
	for _, f := range slices.Backward(p.atEnd) {
		f()
	}
}

func (w *world) startBridge(bootstrap bool) {
	bridge, err := redisbridge.New(redisbridge.Options{
		Redis:     redis.UniversalOptions{Addrs: []string{w.redis.Addr()}},
		Miniredis: true, Bootstrap: bootstrap, Timeout: mesh.BridgePatience, Clock: w.clock,
		Token: stack.BridgeToken, AdminToken: stack.AdminToken,
		Policies: []*policy.Policy{w.policy}, PartitionSecret: stack.PartitionSecret,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.bridge = bridge
}

func (w *world) startProxy(module []byte) *simProxy {
	p := &simProxy{T: w.t}
	w.lastSeed++
	p.Sim = hostsim.RunT(p, hostsim.Options{
		Module: module, PluginConfig: []byte(w.document), Workers: w.mode.workers, VMID: "chatcache", Clock: w.clock, Seed: w.lastSeed,
		Env:                         map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		AllowOnHeadersStopIteration: true, Policy: hostsim.FailReload,
		Route: hostsim.RouteTo("chat"), RouteTimeout: 300 * time.Second,
		Clusters: map[string]http.Handler{"chat": w.origin, "redis-bridge": http.HandlerFunc(w.serveBridge)},
	})
	return p
}

// observe looks at the feed.
func (w *world) observe() {
	if !w.mode.claim.Forward {
		return
	}
	poll := Poll{Begin: w.history.Now()}
	answer, err := w.bridge.Feed(context.Background(), wire.FeedRequest{
		Scope: wire.Scope{Policy: w.policy.Name, Horizon: w.policy.MaxTTL().Milliseconds(), Quarantine: w.policy.MaxDeadline().Milliseconds()},
		VM:    "observer", Cursor: w.cursor, Lease: 1,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.Continues(w.cursor) {
		poll.Raises = answer.Events
	}
	w.cursor, poll.Last, poll.End = answer.Last, answer.Last, w.history.Now()
	w.history.AddPoll(poll)
}

// finish lets everything end in fair weather, and judges.
func (w *world) finish(seed uint64) {
	w.weather = fair
	w.setClusters()
	w.clock.Advance(20 * time.Second)
	w.collect(int64(w.clock.Since()))
	w.history.Settle()
	for range 2 { // L1 and L2
		for _, p := range w.proxies {
			for worker := range w.mode.workers {
				w.readAll(p, worker+1)
			}
		}
		w.clock.Advance(time.Second)
		w.collect(int64(w.clock.Since()))
	}
	if len(w.open) > 0 {
		w.t.Errorf("%d requests never ended", len(w.open))
	}
	for _, write := range w.history.Writes() {
		if write.Answer == statusRefused && write.Commit > 0 {
			w.t.Errorf("write %d was refused and made all the same", write.ID)
		}
	}
	groups, err := Groups(w.policy, stack.PartitionSecret)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := Check(w.history, w.mode.claim, groups); err != nil {
		v := err.(*Violation)
		report(w.t, seed, v, w.history)
		if len(v.Stale) > 0 {
			w.t.Logf("the first stale read's trace:\n%s", strings.Join(w.traces[v.Stale[0].Call].Trace(), "\n"))
		}
	}
}
