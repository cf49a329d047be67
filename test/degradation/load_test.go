package degradation

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chatcache/test/fault"
)

const (
	rate      = 200 // requests a second, whatever happens to those before
	writes    = 20  // one in so many is a write
	users     = 20
	maxOpen   = 5000             // requests under way; beyond it the load itself has failed
	answerIn  = 30 * time.Second // else a request has failed
	keptIdle  = 64               // connections to a proxy
	lookEvery = 50 * time.Millisecond
)

var (
	reads  = map[string]string{"stats": "/api/chat/stats", "sessions": "/api/chat/sessions", "search": "/api/chat/search?q=hello"}
	caches = []string{"stats", "sessions", "search"}
	routes = []string{"POST /api/chat/sessions", "PUT /api/chat/sessions/s1", "POST /api/chat/sessions/s1/messages"}
)

// sample is one request.
type sample struct {
	begun  time.Time
	took   time.Duration
	hit    bool
	write  bool
	broken bool   // by the death of its Envoy, or by the origin itself
	failed string // why
}

// look is what the proxies' counters said at a moment.
type look struct {
	at              time.Time
	opened, backlog int64
}

// load is steady traffic over all proxies.
type load struct {
	mesh   *fault.Mesh
	origin *origin
	client http.Client
	quiet  atomic.Bool // no writes
	open   atomic.Int64
	serial atomic.Int64 // of writes

	mu      sync.Mutex
	samples []sample
	looks   []look
}

func newLoad(m *fault.Mesh, o *origin) *load {
	return &load{mesh: m, origin: o, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: keptIdle}}}
}

// run sends requests until ctx is done, and waits for their ends.
func (l *load) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { l.watch(ctx) })
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			all.Wait()
			return
		case <-tick.C:
		}
		if l.open.Load() >= maxOpen {
			l.add(sample{begun: time.Now(), failed: fmt.Sprintf("%d requests are under way", maxOpen)})
			continue
		}
		l.open.Add(1)
		all.Go(func() {
			defer l.open.Add(-1)
			l.request()
		})
	}
}

func (l *load) add(s sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// request sends a random one.
func (l *load) request() {
	user := "user" + strconv.Itoa(rand.IntN(users))
	cache := caches[rand.IntN(len(caches))]
	method, path, want, write := "GET", reads[cache], http.StatusOK, ""
	if rand.IntN(writes) == 0 && !l.quiet.Load() {
		method, path, _ = strings.Cut(routes[rand.IntN(len(routes))], " ")
		want, write = http.StatusCreated, strconv.FormatInt(l.serial.Add(1), 10)
	}
	proxy := rand.IntN(len(l.mesh.Envoys))
	deaths, down := l.mesh.Deaths(proxy)
	s := sample{begun: time.Now(), write: write != ""}
	response, body, err := l.ask(proxy, method, path, user, write)
	s.took = time.Since(s.begun)
	switch {
	case err != nil:
		s.failed = err.Error()
	case response.StatusCode != want:
		s.failed = response.Status + " " + body
	default:
		s.hit = strings.HasPrefix(response.Header.Get("Cache-Status"), "chatcache; hit")
	}
	if now, _ := l.mesh.Deaths(proxy); s.failed != "" && (down || now != deaths || l.origin.broke(write)) {
		s.broken = true
	}
	l.add(s)
}

// ask sends a request and gives the whole response; write is the number of a write.
func (l *load) ask(proxy int, method, path, user, write string) (*http.Response, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerIn)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, l.mesh.Envoys[proxy].URL()+path, nil)
	if err != nil {
		return nil, "", err
	}
	request.Host = "chat.test"
	request.Header.Set("Authorization", "Bearer "+user)
	request.Header.Set(writeField, write)
	response, err := l.client.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// watch looks at the counters until ctx is done.
func (l *load) watch(ctx context.Context) {
	for ctx.Err() == nil {
		counters, _ := l.mesh.Counters(ctx) // of the Envoys that answer
		l.mu.Lock()
		l.looks = append(l.looks, look{time.Now(), counters["breaker_opened"], counters["journal_entries"]})
		l.mu.Unlock()
		time.Sleep(lookEvery)
	}
}

// between gives what was begun, and seen, in a span of time.
func (l *load) between(from, until time.Time) (samples []sample, looks []look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in := func(t time.Time) bool { return !t.Before(from) && t.Before(until) }
	for _, s := range l.samples {
		if in(s.begun) {
			samples = append(samples, s)
		}
	}
	for _, k := range l.looks {
		if in(k.at) {
			looks = append(looks, k)
		}
	}
	return samples, looks
}

// figures sum up samples.
type figures struct {
	requests, failed, broken int
	hits                     float64       // share of the reads
	p50, p99                 time.Duration // of what was forwarded to the origin
	why                      string        // the first failure
}

func sum(samples []sample) (f figures) {
	var forwarded []time.Duration
	reads, hits := 0, 0
	for _, s := range samples {
		f.requests++
		switch {
		case s.broken:
			f.broken++
			continue
		case s.failed != "":
			f.failed++
			if f.why == "" {
				f.why = s.failed
			}
			continue
		case s.hit:
			hits++
		default:
			forwarded = append(forwarded, s.took)
		}
		if !s.write {
			reads++
		}
	}
	slices.Sort(forwarded)
	f.p50, f.p99 = quantile(forwarded, 50), quantile(forwarded, 99)
	f.hits = float64(hits) / float64(max(1, reads))
	return f
}

// quantile gives the value that so many of a hundred don't exceed; 0 of none.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100]
}
