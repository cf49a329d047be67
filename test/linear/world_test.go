package linear

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
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

const (
	simProxies = 3
	simWorkers = 2
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
	seeds    uint64 // of proxies, each its own
	open     []*exchange
	writer   string        // the last one
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
	w := &world{t: t, mode: m, dice: NewDice(seed), clock: hostsim.NewClock(time.Time{}), seeds: seed << 16, traces: map[int64]*hostsim.Stream{}, writer: users[0]}
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
	for range simProxies {
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
	w.seeds++
	p.Sim = hostsim.RunT(p, hostsim.Options{
		Module: module, PluginConfig: []byte(w.document), Workers: simWorkers, VMID: "chatcache", Clock: w.clock, Seed: w.seeds,
		Env:                         map[string]string{"CHATCACHE_PARTITION_SECRET": stack.PartitionSecret, "CHATCACHE_BRIDGE_TOKEN": stack.BridgeToken},
		AllowOnHeadersStopIteration: true, Policy: hostsim.FailReload,
		Route: hostsim.RouteTo("chat"), RouteTimeout: 300 * time.Second,
		Clusters: map[string]http.Handler{"chat": w.origin, "redis-bridge": http.HandlerFunc(w.serveBridge)},
	})
	return p
}

// serveBridge is the way to the bridge and back.
func (w *world) serveBridge(rw http.ResponseWriter, r *http.Request) {
	late := r.WithContext(context.WithoutCancel(r.Context())) // on its way, whoever gave up
	pause := func(limit time.Duration) { w.clock.Wait(late.Context(), nil, w.dice.Upto(limit)) }
	lose := func() { w.clock.Wait(r.Context(), nil, time.Hour) }
	if w.weather == garbled {
		fmt.Fprint(rw, "<html>It works!</html>")
		return
	}
	fate := 9
	if w.weather == stormy {
		fate = w.dice.IntN(10)
	}
	pause(way)
	switch fate {
	case 0:
		rw.WriteHeader(http.StatusServiceUnavailable)
	case 1:
		lose() // the call
	case 2:
		w.bridge.ServeHTTP(discard{}, late)
		lose() // the answer
	case 3, 4:
		pause(3 * bridgeTimeout)
		w.bridge.ServeHTTP(rw, late) // after whoever asked has given up, perhaps
		pause(2 * bridgeTimeout)
	default:
		w.bridge.ServeHTTP(rw, r)
	}
	pause(way)
}

// discard is a response that nobody gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

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

// step does one random thing.
func (w *world) step(module []byte) {
	switch n := w.dice.IntN(1000); {
	case n < 480:
		w.read()
	case n < 497:
		w.write()
	case n < 504:
		w.leave()
	case n < 508:
		w.administer()
	case n < 524 && w.mode.faults:
		w.weather = [...]weather{fair, fair, fair, stormy, stormy, refusing, garbled}[w.dice.IntN(7)]
		w.setClusters()
	case n < 527 && w.mode.faults:
		w.restartBridge()
	case n < 530 && w.mode.faults:
		w.kill(module)
	case n < 530+w.mode.flushes:
		w.redis.FlushAll()
	case n < 550:
		w.clock.Advance(w.dice.Upto(w.mode.claim.Staleness + time.Second))
	default:
		w.clock.Advance(w.dice.Upto(w.mode.pace))
	}
	w.collect(int64(w.clock.Since()))
	w.observe()
}

// leave lets a client go before it has its answer: rather a writer's, where there is one.
func (w *world) leave() {
	isWrite := func(x *exchange) bool { return x.write > 0 }
	i := slices.IndexFunc(w.open, isWrite)
	if i < 0 {
		if i = len(w.open) - 1; i < 0 {
			return
		}
	}
	w.open[i].left = true
	w.open[i].stream.Disconnect()
}

func (w *world) setClusters() {
	state := hostsim.ClusterUp
	if w.weather == refusing {
		state = hostsim.ClusterRefusing
	}
	for _, p := range w.proxies {
		p.SetCluster("redis-bridge", state)
	}
}

// restartBridge ends the bridge and whatever it was answering.
func (w *world) restartBridge() {
	w.bridge.Close()
	w.startBridge(false)
}

// kill ends a proxy as kill -9 does, and starts another in its place.
func (w *world) kill(module []byte) {
	i := w.dice.IntN(len(w.proxies))
	dead := w.proxies[i]
	w.open = slices.DeleteFunc(w.open, func(x *exchange) bool { return x.proxy == dead })
	dead.Close()
	w.history.Lose(dead.writes...)
	w.proxies[i] = w.startProxy(module)
	w.setClusters()
}

// administer invalidates or purges something through the bridge's administration. It
// changes nothing at the origin: no answer may become wrong by it.
func (w *world) administer() {
	ctx := context.Background()
	var err error
	switch user := users[w.dice.IntN(len(users))]; w.dice.IntN(4) {
	case 0:
		_, err = w.bridge.Purge(ctx, redisbridge.PurgeRequest{All: true})
	case 1:
		_, err = w.bridge.Purge(ctx, redisbridge.PurgeRequest{Cache: "stats"})
	default:
		identity := &redisbridge.Identity{Header: map[string]string{"authorization": "Bearer " + user}}
		_, err = w.bridge.Invalidate(ctx, redisbridge.InvalidateRequest{Rule: "save message", Identity: identity})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read() {
	proxy, worker := w.anywhere()
	user := w.writer // rather what is being written
	if w.dice.IntN(2) == 0 {
		user = users[w.dice.IntN(len(users))]
	}
	w.begin(proxy, worker, user, "GET", targets[w.dice.IntN(len(targets))], 0)
}

// readAll reads every register at one worker.
func (w *world) readAll(proxy *simProxy, worker int) {
	for _, target := range targets {
		for _, user := range users {
			w.begin(proxy, worker, user, "GET", target, 0)
		}
	}
}

func (w *world) anywhere() (proxy *simProxy, worker int) {
	return w.proxies[w.dice.IntN(len(w.proxies))], 1 + w.dice.IntN(simWorkers)
}

func (w *world) write() {
	method, path, _ := strings.Cut(routes[w.dice.IntN(len(routes))], " ")
	id := w.history.BeginWrite(w.lane())
	proxy, worker := w.anywhere()
	proxy.writes = append(proxy.writes, id)
	w.writer = users[w.dice.IntN(len(users))]
	w.begin(proxy, worker, w.writer, method, target{path: path}, id)
}

// begin sends a request; write is the id of a write.
func (w *world) begin(proxy *simProxy, worker int, user, method string, to target, write int) {
	request := hostsim.NewRequest(method, to.path, "authorization", "Bearer "+user)
	request.Authority = "chat.test"
	if write > 0 {
		request.Headers.Add(WriteField, strconv.Itoa(write))
	}
	x := &exchange{proxy: proxy, client: w.lane(), call: w.history.Now(), register: to.register(user), write: write}
	x.stream = proxy.Start(worker, request)
	w.open = append(w.open, x)
}

// lane is the first client that has nothing under way.
func (w *world) lane() int {
	for lane := 0; ; lane++ {
		if !slices.ContainsFunc(w.open, func(x *exchange) bool { return x.client == lane }) {
			return lane
		}
	}
}

// collect records what has ended, at a moment when it had.
func (w *world) collect(moment int64) {
	w.open = slices.DeleteFunc(w.open, func(x *exchange) bool {
		if !x.stream.Done() {
			return false
		}
		w.ended(x, moment)
		return true
	})
}

func (w *world) ended(x *exchange, moment int64) {
	r := x.stream.Response()
	answer := r.Headers.Get("cache-status")
	switch {
	case x.write > 0:
		w.history.EndWrite(x.write, answer, w.history.at(moment))
	case x.left: // what came of it doesn't matter
	case r.Status != http.StatusOK || !r.Complete:
		w.t.Errorf("a read failed: %d %q %s", r.Status, r.Body, r.Details)
	default:
		value, err := strconv.ParseInt(string(r.Body), 10, 64)
		if err != nil {
			w.t.Errorf("a read got %q", r.Body)
		}
		w.traces[x.call] = x.stream
		w.history.AddRead(Read{Client: x.client, Register: x.register, Value: value, Call: x.call, Return: w.history.at(moment), Answer: answer})
	}
}

// finish lets everything end in fair weather, and judges.
func (w *world) finish(seed uint64) {
	w.weather = fair
	w.setClusters()
	w.clock.Advance(time.Minute)
	w.collect(int64(w.clock.Since()))
	w.history.Settle()
	for range 2 { // L1 and L2
		for _, p := range w.proxies {
			for worker := range simWorkers {
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

// report fails the test with a violation and says where its files are.
func report(t *testing.T, seed uint64, v *Violation, h *History) {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("CHATCACHE_OUT"), "linear-")
	if err != nil {
		t.Fatal(err)
	}
	picture, history, err := v.Save(dir, h)
	t.Errorf("seed %d: %v\npicture: %s\nhistory: %s", seed, v, picture, history)
	if err != nil {
		t.Error(err)
	}
}
