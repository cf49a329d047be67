package mesh

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"chatcache/hostsim"
)

// register is an origin with one number a user: POST makes it greater, GET tells it.
// Everything it does takes a random time.
type register struct {
	clock *hostsim.Clock
	rng   *rand.Rand
	value int64
	past  []change // L1 may serve what was true max_staleness ago
}

type change struct {
	at    time.Time
	value int64
}

func (g *register) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pause := func() { g.clock.Wait(r.Context(), nil, time.Duration(g.rng.IntN(30))*time.Millisecond) }
	pause()
	if r.Method == http.MethodGet {
		body := fmt.Sprintf(`{"value":%d}`, g.value)
		pause()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write([]byte(body))
		return
	}
	fate := g.rng.IntN(10)
	if fate == 0 {
		w.WriteHeader(http.StatusUnprocessableEntity) // rejected: nothing changes
		return
	}
	g.value++ // commits also when the client has gone meanwhile
	g.past = append(g.past, change{g.clock.Now(), g.value})
	pause()
	if fate == 1 {
		panic(http.ErrAbortHandler) // committed, but nobody hears of it
	}
	w.WriteHeader(http.StatusCreated)
}

// valueAt is what a read of the origin would have told then.
func (g *register) valueAt(then time.Time) (value int64) {
	for _, c := range g.past {
		if c.at.Before(then) {
			value = c.value
		}
	}
	return value
}

// pending is a read under way and the least that it may answer.
type pending struct {
	stream *hostsim.Stream
	least  int64
	what   string
}

// schedule is one random run: reads and writes of one user over all workers, whose events
// happen in a random order.
type schedule struct {
	*simulated
	register *register
	rng      *rand.Rand
	stale    time.Duration // how old an answer may be
	pause    int           // between most steps at most, in milliseconds
	reads    []pending
	writes   []*hostsim.Stream
	hits     int
	old      int // of them: stale
	waited   int // reads that got what another one's fetch stored
}

func (s *schedule) begin(method, path string) *hostsim.Stream {
	proxy := s.proxies[s.rng.IntN(Proxies)]
	return proxy.Start(1+s.rng.IntN(Workers), s.request(Request{Method: method, Path: path, User: "ann"}))
}

func (s *schedule) step() {
	switch n := s.rng.IntN(100); {
	case n < 35:
		what := fmt.Sprintf("read begun at %v", s.clock.Since())
		least := s.register.value
		if s.stale > 0 {
			least = s.register.valueAt(s.clock.Now().Add(-s.stale))
		}
		s.reads = append(s.reads, pending{s.begin("GET", "/api/chat/stats"), least, what})
	case n < 40:
		s.writes = append(s.writes, s.begin("POST", "/api/chat/sessions"))
	case n < 43 && len(s.writes) > 0:
		s.writes[len(s.writes)-1].Disconnect()
	case n < 45:
		s.clock.Advance(time.Duration(s.rng.IntN(2000)) * time.Millisecond)
	default:
		s.clock.Advance(time.Duration(s.rng.IntN(s.pause)) * time.Millisecond)
	}
	s.check()
}

// check looks at the reads that have ended.
func (s *schedule) check() {
	s.t.Helper()
	var open []pending
	for _, r := range s.reads {
		if !r.stream.Done() {
			open = append(open, r)
			continue
		}
		got := s.response(r.stream.Response())
		if got.Hit() {
			s.hits++
			if strings.Contains(got.CacheStatus(), "; ttl=-") || strings.Contains(got.CacheStatus(), "; ttl=0;") {
				s.old++
			}
		}
		if got.Collapsed() {
			s.waited++
		}
		var answer struct{ Value int64 }
		if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != 200 {
			s.t.Fatalf("%s: %v", r.what, got)
		}
		if answer.Value < r.least {
			s.t.Fatalf("%s, ended by %v: stale: value %d, at least %d was true: %v\n%v",
				r.what, s.clock.Since(), answer.Value, r.least, got, r.stream.Trace())
		}
	}
	s.reads = open
}

// In whatever order things happen, a read answers with nothing older than what was true
// when it began; with L1, than what was true max_staleness before. Longer: CHATCACHE_SEEDS=1000.
func TestRandomSchedules(t *testing.T) {
	seeds := uint64(12)
	if more, err := strconv.ParseUint(os.Getenv("CHATCACHE_SEEDS"), 10, 32); err == nil {
		seeds = more
	}
	module, err := FilterModule()
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(document map[string]any) {
		for _, rule := range document["invalidations"].([]any) {
			rule.(map[string]any)["unreachable"] = "refuse"
		}
	}
	withoutL1 := func(d map[string]any) { d["l1"] = false }
	stale := func(document map[string]any) {
		stats := document["caches"].(map[string]any)["stats"].(map[string]any)
		stats["ttl"], stats["stale_while_revalidate"] = "1s", "600s"
		for _, rule := range document["invalidations"].([]any) {
			rule.(map[string]any)["deadline"], rule.(map[string]any)["settle"] = "1s", "1s"
		}
	}
	loopback := func(document map[string]any) {
		document["host"].(map[string]any)["loopback_cluster"] = Loopback
	}
	for name, variant := range map[string]struct {
		edits []func(map[string]any)
		stale time.Duration
		delay int // at most, of each way to the bridge, in milliseconds
		pause int // at most, between most steps, likewise
	}{
		"no L1":                        {[]func(map[string]any){withoutL1}, 0, 20, 25},
		"no L1, refusing, slow bridge": {[]func(map[string]any){withoutL1, refuse}, 0, 60, 25},
		"L1":                           {nil, 3 * time.Second, 20, 25},
		"no L1, stale":                 {[]func(map[string]any){withoutL1, stale}, 0, 20, 250},
		"no L1, stale and refreshed":   {[]func(map[string]any){withoutL1, stale, loopback}, 0, 20, 250},
		"L1, stale and refreshed":      {[]func(map[string]any){stale, loopback}, 3 * time.Second, 20, 250},
	} {
		t.Run(name, func(t *testing.T) {
			hits, waited, old, refreshes := 0, 0, 0, uint64(0)
			for seed := range seeds {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
					m := newSimulated(t)
					rng := rand.New(rand.NewPCG(seed, 1))
					m.clock.Shuffle(seed)
					m.delay = func() time.Duration { return time.Duration(rng.IntN(variant.delay)) * time.Millisecond }
					g := &register{clock: m.clock, rng: rng}
					m.start(module, ChatPolicy(t, variant.edits...), g)
					s := &schedule{simulated: m, register: g, rng: rng, stale: variant.stale, pause: variant.pause}
					for range 400 {
						s.step()
					}
					m.clock.Advance(time.Minute)
					s.check()
					if len(s.reads) > 0 {
						t.Errorf("%d reads never ended", len(s.reads))
					}
					hits, waited, old, refreshes = hits+s.hits, waited+s.waited, old+s.old, refreshes+s.Sum(".refreshes")
				})
			}
			if t.Logf("%d seeds, %d hits, %d stale, %d collapsed, %d refreshes", seeds, hits, old, waited, refreshes); hits == 0 || waited == 0 {
				t.Error("no read was a hit, or none was collapsed: the test shows nothing")
			}
			if strings.Contains(name, "stale") != (old > 0) || strings.Contains(name, "refreshed") != (refreshes > 0) {
				t.Errorf("%d reads were answered stale, %d refreshed: not what the variant is to show", old, refreshes)
			}
		})
	}
}
