//go:build !wasip1

package sched

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"chatcache/policy"
	"chatcache/redisbridge"
	"chatcache/redisbridge/wire"
)

var secret = []byte("0123456789abcdef")

// rule is one of the policy's rules.
type rule struct {
	name, method     string
	refuse           bool
	deadline, settle int64 // ms
	also             int64
	override         string // of the method
	nobody           bool   // without a credential
}

// plainRules are those of rules that every plan may have.
const plainRules = 2

var rules = []*rule{
	{name: "save", method: "POST", deadline: 400, settle: 1000},
	{name: "strict", method: "PUT", deadline: 300, settle: 1500, also: 400, refuse: true},
	{name: "save + strict", method: "POST", override: "PUT", deadline: 400, settle: 1500, also: 400, refuse: true},
	{name: "save", method: "POST", deadline: 400, settle: 1000, nobody: true},
}

const document = `{
  "version": 1, "name": "chat",
  "identity": [{"header": "authorization"}],
  "bridge": {"cluster": "bridge", "timeout": "50ms"},
  "l1": %s, "stream_above": "%s", "host": {"loopback_cluster": "self"},
  "caches": {"stats": {"match": ["GET /stats"], %s}, "rooms": {"match": ["GET /rooms"], "ttl": "600s"}},
  "invalidations": [
    {"name": "save", "match": ["POST /messages"], "invalidate": ["stats"], "deadline": "400ms", "settle": "1s"},
    {"name": "strict", "match": ["PUT /messages"], "invalidate": ["stats"], "deadline": "300ms", "settle": "1500ms", "also_after": "400ms", "unreachable": "refuse"}
  ]
}`

const (
	someL1, noL1 = `{"max_bytes": "64KiB", "max_staleness": "600ms"}`, "false"
	// What is stored comes to the bridge whole, or in pieces: at least one, and then the commit.
	inWhole, inPieces = "1MiB", "0B"
	// What is stored stays fresh, or is stale after a second and used while it is validated.
	isFresh = `"ttl": "600s"`
	isStale = `"ttl": "1s", "keep_stale": "600s", "stale_while_revalidate": "600s", "stale_if_error": "600s"`
)

// documentOf is the plan's policy.
func documentOf(p plan) string {
	l1, stream, freshness := noL1, inWhole, isFresh
	if p.l1 {
		l1 = someL1
	}
	if p.uploads {
		stream = inPieces
	}
	if p.stale {
		freshness = isStale
	}
	text := fmt.Sprintf(document, l1, stream, freshness)
	if p.byURI {
		if p.stale {
			text = strings.Replace(text, isStale, `"ttl": "origin", "keep_stale": "600s"`, 1)
		} else {
			text = strings.Replace(text, isFresh, `"ttl": "origin"`, 1)
		}
		text = strings.ReplaceAll(text, "/messages", "/stats")
		text = strings.ReplaceAll(text, `"invalidate": ["stats"]`, `"invalidate": ["rooms"]`)
	}
	switch {
	case p.anonymous:
		text = strings.Replace(text, `"version": 1`, `"version": 1, "origin_refuses_anonymous": true`, 1)
	case p.named:
		text = strings.ReplaceAll(text, `"invalidate": ["stats"]`, `"invalidate": ["rooms"]`)
	}
	return text
}

var withL1 = parse(documentOf(plan{l1: true}))

// policyOf is the policy with which a plan begins.
func policyOf(p plan) *policy.Policy {
	return begins[plan{l1: p.l1, uploads: p.uploads, stale: p.stale, named: p.named, anonymous: p.anonymous, byURI: p.byURI}]
}

var begins = func() map[plan]*policy.Policy {
	m := map[plan]*policy.Policy{}
	for i := range 64 {
		p := plan{l1: i&1 > 0, uploads: i&2 > 0, stale: i&4 > 0, named: i&8 > 0, anonymous: i&16 > 0, byURI: i&32 > 0}
		m[p] = parse(documentOf(p))
	}
	return m
}()

// policies are those that the configuration may change to: L1 may be used for shorter, and longer.
var policies = []*policy.Policy{
	withL1,
	parse(fmt.Sprintf(document, `{"max_bytes": "64KiB", "max_staleness": "300ms"}`, inWhole, isFresh)),
	parse(fmt.Sprintf(document, `{"max_bytes": "64KiB", "max_staleness": "1200ms"}`, inPieces, isFresh)),
	parse(fmt.Sprintf(document, someL1, inWhole, isStale)), // of plans that have it from the beginning only
	withoutRules(isFresh),
	withoutRules(isStale),
}

// freshUnruled and staleUnruled are those of them by whose rules no write concerns what is read: of plans whose proxies have them now and then.
const freshUnruled, staleUnruled = 4, 5

func withoutRules(freshness string) *policy.Policy {
	return parse(strings.ReplaceAll(fmt.Sprintf(document, someL1, inWhole, freshness), `"invalidate": ["stats"]`, `"invalidate": ["rooms"]`))
}

// maxConfigured bounds the changes of the configuration in one schedule.
const maxConfigured = 4

func parse(document string) *policy.Policy {
	p, problems := policy.Parse([]byte(document))
	if len(problems) > 0 {
		panic(problems)
	}
	return p
}

// bridge is one that runs.
type bridge struct {
	*redisbridge.Bridge
	line line
	ctx  context.Context
	stop context.CancelFunc
}

// end breaks off what the bridge is doing.
func (b *bridge) end() {
	b.stop()
	close(b.line.cut)
	b.Close()
}

// bubble is what many schedules share: bridges, and the way to Redis.
type bubble struct {
	t       *testing.T
	store   store
	network *network
	bridges [2]*bridge
	work    chan func(http.Header) // to goroutines whose stacks have grown already
}

// workers is more than the calls that are in bridges at a time.
const workers = 64

func newBubble(t *testing.T, s store) *bubble {
	b := &bubble{t: t, store: s, network: &network{}, work: make(chan func(http.Header))}
	for range workers {
		go func() {
			header := http.Header{} // of answers, which nobody looks at
			for f := range b.work {
				f(header)
			}
		}()
	}
	b.network.direct = func(commands ...redis.Cmder) error { return run(b.store, commands...) }
	for i := range b.bridges {
		b.bridges[i] = b.start()
		b.teach(b.bridges[i].Bridge)
	}
	return b
}

func (b *bubble) start() *bridge {
	l := line{b.network, make(chan struct{})}
	o := redisbridge.Options{Hooks: []redis.Hook{l}, Miniredis: true, Insecure: true}
	o.Redis.Addrs = []string{"redis"}
	started, err := redisbridge.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	return &bridge{Bridge: started, line: l, ctx: ctx, stop: stop}
}

// scope is the policy's terms.
var scope = wire.Scope{Policy: "chat", Horizon: withL1.MaxTTL().Milliseconds(), Quarantine: withL1.MaxDeadline().Milliseconds()}

// teach makes the server see each script's text once, and the bridge the policy's
// terms, so that no schedule begins with that. One that restarts knows nothing.
func (b *bubble) teach(to *redisbridge.Bridge) {
	ctx := context.Background()
	groups, key := []string{wire.GroupCache("stats")}, wire.EntryKey("stats", "chat", "", "GET", "/", "d")
	_, err1 := to.Suspend(ctx, wire.SuspendRequest{Scope: scope, ID: "a", Groups: groups, Deadline: 1})
	_, err2 := to.CloseSuspension(ctx, wire.CloseRequest{Scope: scope, ID: "a", Groups: groups})
	_, err3 := to.Feed(ctx, wire.FeedRequest{Scope: scope, VM: "a", Lease: 1})
	_, err4 := to.Purge(ctx, redisbridge.PurgeRequest{Policy: "chat", Cache: "stats"})
	found, err5 := to.Lookup(ctx, wire.LookupRequest{Scope: scope, Key: key, Groups: groups, Fetch: "a"})
	entry := wire.Entry{Head: wire.Head{Ticket: found.Ticket, Groups: groups}}
	_, err6 := to.Store(ctx, wire.StoreRequest{Scope: scope, Key: key, TTL: 1, Entry: entry.Encode()})
	_, err7 := to.Release(ctx, wire.ReleaseRequest{Scope: scope, Key: key, Fetch: "a"})
	entry.TTL = 1
	piece := wire.PieceRequest{Scope: scope, Key: key, Upload: "a", Bytes: entry.Encode()}
	_, err8 := to.Piece(ctx, piece)
	_, err9 := to.Commit(ctx, wire.CommitRequest{Scope: scope, Key: key, Upload: "a", Size: int64(len(piece.Bytes)), TTL: 1})
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		b.t.Fatal(err)
	}
}

// forgive ends what the bridge's circuit breaker holds against Redis, and tells it the policy's terms.
func (b *bubble) forgive(what *bridge) {
	if _, err := what.Suspend(context.Background(), wire.SuspendRequest{Scope: scope, ID: "a", Groups: []string{wire.GroupAll}, Deadline: 1}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bubble) end() {
	for _, bridge := range b.bridges {
		bridge.end()
	}
	close(b.work)
	time.Sleep(time.Minute) // for what sleeps in go-redis
}

// world is one run of one schedule.
type world struct {
	*bubble
	oracle
	operators
	policy *policy.Policy
	start  time.Time

	vms        [2]*vm
	streams    []*stream
	writes     map[string]*stream // by suspension id
	calls      []*call
	late       []*operation // given up by their bridges, in the order of their calls
	counts     map[[2]int16]int16
	used       [operatorOwner + 32]bool // numbers of streams, purges and operators' calls
	begun      int                      // writes
	configured int                      // plugins
	operated   int                      // controls
	random     *rand.Rand               // nil: the steps are given
	plan       plan
	broken     string
	trace      []step
	recordings [2]recording // of VMs that are to be compared
	chosen     int          // so many of them were chosen; the rest let everything end
}

// world is one in which nothing has happened yet.
func (b *bubble) world(p plan) *world {
	w := &world{
		bubble: b, policy: policyOf(p), plan: p, start: time.Now(),
		writes: map[string]*stream{}, counts: map[[2]int16]int16{},
		operators: operators{were: map[int64]uint8{}},
	}
	b.network.separate, b.network.waiting = p.separate, nil
	for _, bridge := range b.bridges {
		b.forgive(bridge)
	}
	for i := range w.vms {
		w.vms[i] = w.newVM(int16(i), 0)
	}
	return w
}

// now is the time since the world's start, ms.
func (w *world) now() int64 { return time.Since(w.start).Milliseconds() }

func (w *world) violation(format string, args ...any) {
	if w.broken == "" {
		w.broken = fmt.Sprintf(format, args...)
	}
}

// pass lets time go on, with all that is due on the way.
func (w *world) pass(millis int64) {
	now := w.now()
	target := now + millis
	for {
		next := target
		for _, v := range w.vms {
			if at := v.nextTimer(); at != 0 && at < next {
				next = at
			}
		}
		time.Sleep(time.Duration(next-now) * time.Millisecond)
		synctest.Wait()
		now = next
		ended := false
		for _, v := range w.vms {
			ended = v.fire() || ended
		}
		if ended {
			synctest.Wait() // what a bridge does about a call that was given up
		}
		if now == target {
			return
		}
	}
}

// operations are the commands that wait, in the order of their calls.
func (w *world) operations() []*operation {
	w.network.mu.Lock()
	defer w.network.mu.Unlock()
	waiting := w.network.waiting[:0]
	for _, o := range w.network.waiting {
		if o.given {
			i, _ := slices.BinarySearchFunc(w.late, o, byCall)
			w.late = slices.Insert(w.late, i, o)
		} else if !o.ended {
			waiting = append(waiting, o)
		}
	}
	w.network.waiting = waiting
	slices.SortFunc(waiting, byCall)
	return waiting
}

// byCall puts operations into the order of their calls.
func byCall(a, b *operation) int {
	order := func(o *operation) int { return int(o.call.owner)<<24 + int(o.call.number)<<8 + o.number }
	return order(a) - order(b)
}

// execute lets Redis execute a command that a bridge waits for.
func (w *world) execute(o *operation, answered bool) {
	o.ended = true
	if o.err = run(w.store, o.commands...); o.err == nil {
		w.happened(o)
		w.due(o)
		if answered && o.third() == prefix+"vms" {
			w.polled(o.call)
		}
	}
	if !answered {
		o.err = errConnection
		for _, cmd := range o.commands {
			cmd.SetErr(o.err)
		}
	}
	close(o.resume)
}

// executeLate lets Redis execute a command that nobody waits for any more.
func (w *world) executeLate(o *operation) {
	w.late = slices.DeleteFunc(w.late, func(other *operation) bool { return other == o })
	var first error
	for _, cmd := range o.commands {
		if _, err := w.store.Do(cmd.Args()); err != nil && first == nil {
			first = err
		}
	}
	if first == nil {
		w.happened(o)
	}
}

// fail breaks the connection before the command is executed.
func (w *world) fail(o *operation) {
	o.ended, o.err = true, errConnection
	close(o.resume)
}

// run executes commands and keeps the answers in them.
func run(s store, commands ...redis.Cmder) (first error) {
	for _, cmd := range commands {
		value, err := s.Do(cmd.Args())
		if err != nil {
			cmd.SetErr(err)
			if first == nil {
				first = err
			}
			continue
		}
		switch cmd := cmd.(type) {
		case *redis.Cmd:
			cmd.SetVal(value)
		case *redis.StatusCmd:
			cmd.SetVal(value.(string))
		case *redis.StringCmd:
			cmd.SetVal(value.(string))
		case *redis.MapStringStringCmd:
			cmd.SetVal(value.(map[string]string))
		}
	}
	return first
}
