//go:build !wasip1

package sched

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chatcache/redisbridge/wire"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// plan is what a seed decides about its schedule before the first step.
type plan struct {
	seed             uint64
	l1               bool
	separate         bool // a lookup's reads
	twoBridges       bool
	sequence         uint64 // at which the epoch stands
	reads, writes    int
	faults           int
	steps            int
	passing, slowing int  // likelihood of time, and of things that are slow
	beginning        int  // of new requests
	committing       int  // of the origin's commits
	ending, breaking int  // of a write's response, well or not
	wrong            uint // set of classes of faults
	recorded         bool // what the VMs do
	slowFeed         bool
	warm             bool // both VMs have read before
	configured       bool // the configuration changes meanwhile
	operated         bool // operators set and unset controls meanwhile
	stale            bool // what is stored is stale soon, and is validated
	uploads          bool // what is stored comes to the bridge in pieces
	named            bool // what writes invalidate their responses name, and no rule
	anonymous        bool // with named: they have no identity, the origin refuses such, the policy says, and what isn't refused is as if named
	gathers          bool // lookups go together, even one
	elsewhere        bool // some reads are of a cache that no write invalidates
	mixed            bool // what follows
	http3            bool // the proxy doesn't tell of the ends of streams
	kinds            bool // reads are of several kinds, see readsHead
	varies           bool // responses depend on Accept-Language, which some reads have
	byURI            bool // freshness is the origin's, and writes are to the URI of what is stored instead of having a rule for it
	locals           bool // the proxy may answer by itself what is held
	tagged           bool // responses name groups though a rule says what writes invalidate
	unruled          bool // some of the policies have no rule for what is read
}

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := plan{
		seed: seed, l1: r.IntN(3) > 0, separate: r.IntN(2) == 0, twoBridges: r.IntN(2) == 0,
		sequence: uint64(6 + r.IntN(4)), reads: 3 + r.IntN(8), writes: 1 + r.IntN(3), faults: r.IntN(4),
		steps: 60 + r.IntN(120), passing: 1 << r.IntN(6), slowing: r.IntN(40),
		beginning: 1 << r.IntN(6), warm: r.IntN(3) > 0,
		committing: 1 << r.IntN(5), ending: 1 << r.IntN(5), breaking: r.IntN(3),
		wrong: 1<<r.IntN(classes) | 1<<r.IntN(classes), slowFeed: r.IntN(4) == 0,
	}
	p.configured = p.l1 && r.IntN(4) == 0
	p.operated = r.IntN(4) == 0
	p.uploads = r.IntN(5) == 0
	p.stale = r.IntN(4) == 0 && !p.operated // obey wants no answers that are used although they are stale
	p.named = r.IntN(4) == 0 && !p.stale && !p.operated && !p.configured
	p.gathers = r.IntN(3) == 0
	if p.elsewhere = r.IntN(4) == 0 && !p.operated; p.elsewhere { // much at a time, so that some goes together
		p.gathers, p.warm, p.l1, p.configured, p.reads, p.beginning = true, true, false, false, p.reads+8, 64
	}
	p.anonymous = p.named && r.IntN(2) == 0
	switch {
	case seed >= firstUnruled:
		p.unrule(r)
	case seed >= firstMixed:
		p.mix(r)
	}
	return p
}

// firstMixed is the first seed of plans that have more at a time. They are apart from the others, in which each thing comes so often that what
// breaks it is found soon.
const firstMixed = 1 << 40

func (p *plan) mix(r *rand.Rand) {
	p.mixed = true
	if r.IntN(2) == 0 {
		p.stale, p.operated = true, false
	}
	if !p.named && r.IntN(3) == 0 && !p.operated && !p.configured {
		p.named = true
		p.anonymous = r.IntN(3) == 0
	}
	p.http3 = r.IntN(4) == 0
	p.kinds = r.IntN(2) == 0
	p.varies = r.IntN(3) == 0
	p.byURI = r.IntN(4) == 0 && !p.named && !p.configured
	p.locals = r.IntN(3) == 0
	p.tagged = r.IntN(3) == 0
}

// firstUnruled is the first seed of plans whose proxies have rules for what is read now, and then not.
const firstUnruled = 2 << 40

func (p *plan) unrule(r *rand.Rand) {
	p.unruled, p.l1, p.configured = true, true, true
	p.named, p.anonymous, p.elsewhere, p.operated = false, false, false, false
	p.committing, p.ending = 1<<r.IntN(3), 1<<r.IntN(3) // much happens while a write is under way
	if r.IntN(2) == 0 {
		p.faults = 0
	}
}

// rules is how many of them writes may have.
func (p plan) rules() int {
	if p.mixed {
		return len(rules)
	}
	return plainRules
}

// configuring is the likelihood of a change of the configuration.
func (p plan) configuring() int {
	if p.unruled {
		return usual
	}
	return usual / 4
}

// configuration draws a policy that the configuration may change to.
func (w *world) configuration() int16 {
	last := freshUnruled - 1
	if w.plan.stale {
		last = freshUnruled
	}
	switch {
	case !w.plan.unruled || w.random.IntN(2) == 0:
		return int16(w.random.IntN(last))
	case w.plan.stale:
		return staleUnruled
	}
	return freshUnruled
}

// newWorld is the world in which the plan begins.
func (b *bubble) newWorld(p plan) *world {
	w := b.world(p)
	w.random = rand.New(rand.NewPCG(p.seed, 2))
	if p.recorded {
		for _, v := range w.vms {
			v.record, v.said = &window{}, map[string]int{}
		}
	}
	w.store.begin(strconv.FormatUint(p.seed+1, 16), p.sequence)
	return w
}

// maxOperated bounds the operators' calls in one schedule.
const maxOperated = 6

// passes are the times that a step lets pass, ms.
var passes = []int16{1, 1, 5, 10, 20, 40, 50, 60, 100, 100, 200, 300, 500, 700, 1000}

// forgets is longer than Redis knows of rules that no VM has told of any more.
const forgets = 3000

// pause draws how long time passes.
func (w *world) pause() int16 {
	if w.plan.unruled && w.random.IntN(8) == 0 {
		return forgets
	}
	return passes[w.random.IntN(len(passes))]
}

// explore takes random steps.
func (w *world) explore() {
	if w.plan.warm {
		w.warm()
	}
	faults := w.plan.faults
	for range w.plan.steps {
		var chosen step
		total := 0
		choose := func(s step, weight int) {
			if class := s.class(); weight == 0 || class >= 0 && w.plan.wrong>>class&1 == 0 {
				return
			}
			if total += weight; w.random.IntN(total) < weight {
				chosen = s
			}
		}
		w.candidates(choose)
		if n := w.fresh(0); int(n) < w.plan.reads+w.plan.writes {
			read := step{kind: readBegins, who: n, n: int16(w.random.IntN(2))}
			if w.plan.elsewhere && w.random.IntN(2) == 0 {
				read.x = readsElsewhere
			} else if w.plan.kinds {
				read.x = max(0, readsHead+int16(w.random.IntN(8))-3) // plain ones, too
			}
			if w.plan.varies && w.random.IntN(2) == 0 {
				read.x |= readsVariant
			}
			choose(read, 2*w.plan.beginning)
			if w.begun < w.plan.writes {
				choose(step{kind: writeBegins, who: n, n: int16(w.random.IntN(2)), x: int16(w.random.IntN(w.plan.rules()))}, w.plan.beginning)
			}
		}
		if w.plan.configured && w.configured < maxConfigured {
			choose(step{kind: configures, n: int16(w.random.IntN(2)), x: w.configuration()}, w.plan.configuring())
		}
		if w.plan.operated && w.operated < maxOperated {
			choose(step{kind: operates, who: w.fresh(operatorOwner), x: int16(w.drawSetting())}, usual/4)
		}
		choose(step{kind: timePasses, n: w.pause()}, w.plan.passing)
		if faults > 0 {
			w.faults(choose)
		}
		if total == w.plan.passing && w.rests() {
			return // only time is left
		}
		if chosen.kind == writeBegins {
			w.begun++
		} else if chosen.kind == configures {
			w.configured++
		} else if chosen.kind == operates {
			w.operated++
		} else if chosen.class() >= 0 {
			faults--
		}
		if w.take(chosen); w.broken != "" {
			return
		}
	}
}

// firstWarm is the number of the first read of warm.
const firstWarm = 400

// warm lets each VM read in peace, so that L1 and L2 are filled: the first read in a VM
// finds no lease yet.
func (w *world) warm() {
	for n := range int16(4) {
		w.take(step{kind: readBegins, who: firstWarm + n, n: n / 2})
		w.settle()
	}
}

// weigh decides how fast a new call or stream is.
func (w *world) weigh(feed bool) int {
	if feed && w.plan.slowFeed {
		return seldom
	}
	if w.random != nil && w.random.IntN(100) < w.plan.slowing {
		return seldom
	}
	return usual
}

// follow takes the steps that are possible.
func (w *world) follow(steps []step) {
	for _, s := range steps {
		if w.broken != "" {
			return
		}
		if w.possible(s) {
			w.take(s)
		}
	}
}

// patience is how long everything may take to come to rest once no fault happens any more, ms: but for the
// quarantine of an epoch that an administrator's call has begun, at a bridge that no filter had spoken to.
const patience = 30_000

// calm takes steps until nothing can happen before time passes.
func (w *world) calm() {
	for w.broken == "" {
		next, found := step{}, false
		w.candidates(func(s step, _ int) {
			if !found && !w.endless(s) {
				next, found = s, true
			}
		})
		if !found {
			return
		}
		w.take(next)
	}
}

// settle lets everything end that has begun, and looks whether it does.
func (w *world) settle() {
	began := w.now()
	for w.calm(); !w.rests() && w.broken == ""; w.calm() {
		why, wait := w.unrest(), int64(patience)
		if why == quarantined {
			wait += wire.MaxQuarantine
		}
		if w.now() >= began+wait {
			w.violation("after %d ms without a fault %s", wait, why)
		}
		w.take(step{kind: timePasses, n: 50})
	}
}

// endless are the steps that settle doesn't take: a commit that nobody waits for any
// more, and every ending but the plain ones.
func (w *world) endless(s step) bool {
	switch s.kind {
	case executedLate:
		return true
	case commits:
		return w.stream(s.who).over
	case responseEnds:
		return ending(s.x) != changed
	}
	return false
}

func (w *world) stream(number int16) *stream {
	for _, s := range w.streams {
		if s.number == number {
			return s
		}
	}
	return nil
}

// quarantined is what unrest says of an epoch that has just begun.
const quarantined = "suspension quarantine is open"

// rests tells whether nothing is under way but polls.
func (w *world) rests() bool { return w.unrest() == "" }

func (w *world) unrest() string {
	for _, s := range w.streams {
		if !s.over {
			return fmt.Sprintf("%s has not ended (held: %t)", name(s.number), s.held)
		}
	}
	for _, c := range w.calls {
		if !c.feed() {
			return fmt.Sprintf("%s, %s is under way", name(c.owner), callKind(c.number))
		}
	}
	for _, v := range w.vms {
		if entries := v.journal(); entries > 0 {
			return fmt.Sprintf("the journal of %s holds %d", name(v.owner()), entries)
		}
	}
	for id, deadline := range w.store.deadlines() {
		if deadline > time.Now().UnixMilli() {
			return fmt.Sprintf("suspension %s is open", id)
		}
	}
	return ""
}

// firstProbe is the number of the first read that looks whether the cache works in the end.
const firstProbe = 500

// probe looks whether the cache comes to hits again, in either VM.
func (w *world) probe() {
	for v := range int16(2) {
		before := w.hits
		for try := range int16(12) {
			w.take(step{kind: readBegins, who: firstProbe + 100*v + try, n: v})
			if w.settle(); w.hits != before || w.broken != "" {
				break
			}
			w.take(step{kind: timePasses, n: 500})
		}
		if w.hits == before {
			w.violation("the cache gives no hit any more")
		}
	}
}

// run runs the schedule of a seed.
func (b *bubble) run(seed uint64) *world { return b.runPlan(newPlan(seed)) }

func (b *bubble) runPlan(p plan) *world {
	w := b.newWorld(p)
	w.explore()
	w.finish()
	return w
}

// finish is the end of every schedule.
func (w *world) finish() {
	w.random, w.chosen = nil, len(w.trace)
	w.settle()
	if w.broken == "" && w.plan.unruled {
		w.agree()
	}
	if w.broken == "" && len(w.were) > 0 {
		w.obey()
	}
	if w.broken == "" {
		w.probe()
	}
	w.close()
}

// agree lets all proxies have the rules, and looks whether anything is left of what was stored before writes without them.
func (w *world) agree() {
	for n := range int16(2) {
		x := int16(0)
		if w.plan.stale {
			x = freshUnruled - 1
		}
		w.take(step{kind: configures, n: n, x: x})
		w.take(step{kind: readBegins, who: firstAgreed + n, n: n})
	}
	w.settle()
	for range 2 * forgets / 200 {
		w.take(step{kind: timePasses, n: 200}) // not so much that all polls fail
		w.settle()
	}
	w.agreed()
	w.take(step{kind: timePasses, n: forgets}) // longer than L1 may be behind
	w.settle()
}

// firstAgreed is the number of the first read of agree.
const firstAgreed = 480

// close ends what is under way, so that nothing of this world is left in the bubble.
func (w *world) close() {
	for _, c := range w.calls {
		if c.cancel != nil {
			c.cancel()
		}
	}
	time.Sleep(5 * time.Second) // beyond every timeout of a bridge
	synctest.Wait()
	if !w.plan.operated {
		return
	}
	// Bridges that have heard of controls would put them back into the next world's Redis.
	w.store.lose(allLost)
	for i, old := range w.bridges {
		old.end()
		w.bridges[i] = w.bubble.start()
	}
}

// again runs steps under the plan of a seed.
func (b *bubble) again(p plan, steps []step) *world {
	w := b.newWorld(p)
	w.random = nil
	w.follow(steps)
	w.finish()
	return w
}

// shrink leaves out steps as long as the schedule breaks something.
func (b *bubble) shrink(w *world) *world {
	for size := w.chosen / 2; size > 0; size /= 2 {
		for at := 0; at < w.chosen; {
			shorter := append(append([]step{}, w.trace[:at]...), w.trace[min(at+size, w.chosen):w.chosen]...)
			if n := b.again(w.plan, shorter); n.broken != "" && n.chosen < w.chosen {
				w = n
			} else {
				at += size
			}
		}
	}
	return w
}

// String is the schedule as a numbered interleaving.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %+v: %s", w.plan.seed, w.plan, w.broken)
	number := 0
	var passed int16
	for i, s := range w.trace {
		if s.kind == timePasses {
			passed += s.n
			if i+1 < len(w.trace) && w.trace[i+1].kind == timePasses {
				continue // one line for all
			}
			s.n, passed = passed, 0
		}
		number++
		fmt.Fprintf(&b, "\n%4d. %v", number, s)
	}
	return b.String()
}

// TestSchedules runs random schedules. CHATCACHE_SCHEDULES says how many, and
// CHATCACHE_FIRST_SEED from which seed on, so that a long run may be cut into pieces;
// CHATCACHE_SCHEDULES_REDIS=miniredis runs them on the scripts themselves.
func TestSchedules(t *testing.T) {
	runSchedules(t, number(t, "CHATCACHE_FIRST_SEED", 0), number(t, "CHATCACHE_SCHEDULES", 1_000))
}

// TestMixedSchedules does that with more at a time: CHATCACHE_MIXED_SCHEDULES of them.
func TestMixedSchedules(t *testing.T) {
	runSchedules(t, firstMixed, number(t, "CHATCACHE_MIXED_SCHEDULES", 250))
}

// TestUnruledSchedules does that with proxies that have different policies: CHATCACHE_UNRULED_SCHEDULES of them.
func TestUnruledSchedules(t *testing.T) {
	runSchedules(t, firstUnruled, number(t, "CHATCACHE_UNRULED_SCHEDULES", 500))
}

func runSchedules(t *testing.T, first, count uint64) {
	onMiniredis := os.Getenv("CHATCACHE_SCHEDULES_REDIS") == "miniredis"
	shards := uint64(runtime.GOMAXPROCS(0))
	if onMiniredis {
		shards = 1
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	sum := totals{began: time.Now()}
	var broken atomic.Bool
	t.Run("all", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint("shard ", shard), func(t *testing.T) {
				t.Parallel()
				open := func() store { return newFake() }
				if onMiniredis {
					open = onServer(t)
				}
				synctest.Test(t, func(t *testing.T) {
					b := newBubble(t, open())
					defer b.end()
					for seed := first + shard; seed < first+count && !broken.Load(); seed += shards {
						w := b.run(seed)
						if report := sum.add(w); report != "" {
							t.Log(report)
						}
						if w.broken != "" {
							broken.Store(true)
							t.Errorf("broken by schedule %d: %s", seed, w.broken)
							t.Logf("%v", b.shrink(w))
						}
					}
				})
			})
		}
	})
	t.Logf("from seed %d on: %v; %.0f schedules a second", first, &sum, float64(sum.schedules)/time.Since(sum.began).Seconds())
}

// number reads a setting.
func number(t *testing.T, setting string, otherwise uint64) uint64 {
	value := os.Getenv(setting)
	if value == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		t.Fatalf("%s=%q: want a number", setting, value)
	}
	return n
}

// onServer starts a miniredis outside of every bubble, as it listens on a socket.
func onServer(t *testing.T) func() store {
	server := miniredis.RunT(t)
	server.ClockTTL(true)
	return func() store {
		return memory{server, redis.NewClient(&redis.Options{Addr: server.Addr(), ReadTimeout: time.Hour, DisableIdentity: true})}
	}
}

// totals say what the schedules amounted to.
type totals struct {
	began                    time.Time // outside of every bubble
	mu                       sync.Mutex
	schedules, steps, l1, l2 int
}

// reported is after how many schedules totals tell how far they are.
const reported = 50_000

// add counts a schedule, and says now and then how many there were.
func (s *totals) add(w *world) (report string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedules++
	s.steps += len(w.trace)
	s.l1 += w.hits[0]
	s.l2 += w.hits[1]
	if s.schedules%reported == 0 {
		return s.String()
	}
	return ""
}

func (s *totals) String() string {
	return fmt.Sprintf("%d schedules, %d steps, %d hits in L1, %d in L2", s.schedules, s.steps, s.l1, s.l2)
}
