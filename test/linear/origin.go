package linear

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"chatcache/policy"
)

// WriteField is the request field in which a client tells the origin the id of its write.
const WriteField = "X-Write"

// Dice are random numbers by a seed, for any number of goroutines.
type Dice struct {
	mu  sync.Mutex
	rng *rand.Rand
}

// NewDice gives the dice of a seed; the same seed gives the same numbers.
func NewDice(seed uint64) *Dice { return &Dice{rng: rand.New(rand.NewPCG(seed, 1))} }

// IntN is a number from 0 to n-1.
func (d *Dice) IntN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rng.IntN(n)
}

// Upto is a time shorter than limit, in whole milliseconds.
func (d *Dice) Upto(limit time.Duration) time.Duration {
	return time.Duration(d.IntN(max(1, int(limit/time.Millisecond)))) * time.Millisecond
}

// Origin is the API behind the proxies: it holds the registers. A read of a cache of the
// policy tells that cache's register of the user, a write by a rule changes those of the
// rule's caches. Everything takes a random time, and a write may end in any way.
type Origin struct {
	Policy  *policy.Policy
	History *History
	Dice    *Dice
	// Wait lets time pass; it may return early only when ctx is done.
	Wait func(ctx context.Context, d time.Duration)
	// Latency bounds each of a request's waits. Slow bounds those of a slow write, together: it
	// takes its time before it takes effect, and then before it is answered.
	Latency, Slow time.Duration
	// Committed is called after each commit, before anything is answered. May be nil.
	Committed func()

	mu     sync.Mutex
	values map[Register]int64
}

// fate is how a write ends; those without a commit come first. Where the client leaves
// meanwhile, the commit comes after the stream's end.
type fate int

const (
	rejected   fate = iota // 422
	overloaded             // 503, nothing done
	committed              // 201
	failed                 // 500 although it was done
	gone                   // done, the connection breaks before an answer
	misled                 // 504 although it was done
	streamed               // 201, the header section and some of the body before it is done
	cut                    // 201, done, the connection breaks in the body
)

var fates = []fate{
	committed, committed, committed, committed, committed, committed, committed, committed, committed, committed,
	streamed, streamed, streamed, rejected, rejected, overloaded, failed, gone, misled, cut,
}

func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.pause(r, o.Latency)
	cache, rule := o.Policy.Match(r.Method, r.Host, r.URL.Path)
	switch {
	case cache != nil:
		o.read(w, r, cache)
	case rule != nil:
		o.write(w, r, rule)
	default:
		http.NotFound(w, r)
	}
}

// pause takes its time also when the client has gone: the origin doesn't care.
func (o *Origin) pause(r *http.Request, limit time.Duration) {
	o.Wait(context.WithoutCancel(r.Context()), o.Dice.Upto(limit))
}

func (o *Origin) read(w http.ResponseWriter, r *http.Request, cache *policy.Cache) {
	o.mu.Lock()
	value := o.values[registerOf(cache, r)]
	o.mu.Unlock()
	o.pause(r, o.Latency)
	body := strconv.FormatInt(value, 10)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	fmt.Fprint(w, body)
}

func registerOf(cache *policy.Cache, r *http.Request) Register {
	if cache.Shared {
		return Register{Cache: cache.Name}
	}
	return Register{cache.Name, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
}

func (o *Origin) write(w http.ResponseWriter, r *http.Request, rule *policy.Invalidation) {
	fate := fates[o.Dice.IntN(len(fates))]
	slow := time.Duration(0)
	if o.Slow > 0 && o.Dice.IntN(2) == 0 {
		slow = o.Slow / 2
	}
	o.pause(r, slow)
	if fate == streamed {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "working on it\n")
		http.NewResponseController(w).Flush()
		o.pause(r, o.Latency)
	}
	if fate >= committed {
		o.commit(r, rule)
	}
	o.pause(r, slow+o.Latency)
	switch fate {
	case rejected:
		w.WriteHeader(http.StatusUnprocessableEntity)
	case overloaded:
		w.WriteHeader(http.StatusServiceUnavailable)
	case failed:
		w.WriteHeader(http.StatusInternalServerError)
	case misled:
		w.WriteHeader(http.StatusGatewayTimeout)
	case committed:
		w.WriteHeader(http.StatusCreated)
	case cut:
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case gone:
		panic(http.ErrAbortHandler) // net/http's way to break a connection off
	}
	fmt.Fprint(w, "done\n")
}

func (o *Origin) commit(r *http.Request, rule *policy.Invalidation) {
	id, _ := strconv.Atoi(r.Header.Get(WriteField))
	var registers []Register
	for _, cache := range rule.Caches {
		registers = append(registers, registerOf(cache, r))
	}
	o.mu.Lock()
	o.History.Commit(id, registers, func(value int64) {
		if o.values == nil {
			o.values = map[Register]int64{}
		}
		for _, register := range registers {
			o.values[register] = value
		}
	})
	o.mu.Unlock()
	if o.Committed != nil {
		o.Committed()
	}
}
