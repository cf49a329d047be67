// Package mesh runs the whole of chatcache for a test: two proxies with the filter,
// the bridge, Redis and the sample chat API. The same test runs on two of them:
// [Simulated] is hostsim and miniredis in this process and in virtual time, [Real]
// is Envoy and Valkey as processes.
package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chatcache/redisbridge"
	"chatcache/test/chatapi"
	"chatcache/test/stack"
)

// Proxies is how many proxies a mesh has, and Workers how many workers, each with its
// own VM, a proxy has.
const (
	Proxies = 2
	Workers = 2
)

// Loopback is a cluster that leads to the proxy's own listener.
const Loopback = "loopback"

// Request is what a client sends. Each goes over a connection of its own.
type Request struct {
	Method, Path string
	User         string // bearer token; none if empty
	Body         string
	Fields       [][2]string
	// Claims are those of a token that jwt_authn has verified; User is ignored then.
	Claims map[string]any
}

// Response is what it got.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// CacheStatus is the response's Cache-Status.
func (r Response) CacheStatus() string { return r.Header.Get("Cache-Status") }

// Hit tells whether the response came from the cache.
func (r Response) Hit() bool { return strings.HasPrefix(r.CacheStatus(), "chatcache; hit") }

// Stored tells whether it came from the origin and was stored.
func (r Response) Stored() bool {
	return r.CacheStatus() == "chatcache; fwd=uri-miss; stored" || r.CacheStatus() == "chatcache; fwd=uri-miss; collapsed=?0; stored"
}

// Collapsed tells whether it came from the cache, where another request's response was
// stored while it waited.
func (r Response) Collapsed() bool {
	return strings.HasPrefix(r.CacheStatus(), "chatcache; fwd=uri-miss; collapsed;")
}

// Serial is the number that the origin gave the response: greater ones are newer.
func (r Response) Serial() int64 {
	n, _ := strconv.ParseInt(r.Header.Get(serialField), 10, 64)
	return n
}

func (r Response) String() string {
	return fmt.Sprintf("%d, cache-status %q, serial %d: %.80q", r.Status, r.CacheStatus(), r.Serial(), r.Body)
}

// Stream is a response whose body is still coming.
type Stream interface {
	// Finish waits for the end and gives the whole response.
	Finish() Response
}

// settleWithin is far more than what is left to do ever takes.
const settleWithin = 30 * time.Second

// ledger counts what the responses so far have left to do.
type ledger struct{ stored, written uint64 }

func (l *ledger) note(r Response) {
	switch {
	case r.Stored():
		l.stored++
	case strings.HasPrefix(r.CacheStatus(), "chatcache; fwd=method"):
		l.written++
	}
}

// settled tells whether the filters' counters show all of it done.
func (l *ledger) settled(m Mesh) bool {
	return m.Sum(".stores") >= l.stored && m.Sum("chatcache.writes_closed") >= l.written
}

// Part is something that can fail.
type Part int

// The parts.
const (
	Bridge Part = iota
	Redis
)

// Fault is how it fails.
type Fault int

// The faults. Garbage is for the bridge only.
const (
	Healthy Fault = iota
	Down          // connections are refused
	Hung          // connections are taken, nothing answers
	Garbage       // answers, but not with what was asked
)

// Mesh is a running mesh. Its methods fail the test where they can't do what they say.
type Mesh interface {
	// Do sends a request to a proxy and waits for the whole response.
	Do(proxy int, r Request) Response
	// Open sends a request and waits for the response's header section.
	Open(proxy int, r Request) Stream
	// Together sends requests at the same time, to the proxies in turn, and waits
	// for the whole responses. One that fails has status 0.
	Together(requests ...Request) []Response
	// Settle waits until everything that the responses so far have left to do is done:
	// stores and the ends of writes. Not while a part is faulty.
	Settle()
	// Until repeats a condition until it holds, for at most that long, and gives how
	// long it took.
	Until(within time.Duration, what string, holds func() bool) time.Duration
	// Origin is the API behind the proxies.
	Origin() *Origin
	// Break makes a part fail, or heals it.
	Break(p Part, f Fault)
	// Flush empties Redis behind everybody's back.
	Flush()
	// Keys gives every key in Redis and its value as text.
	Keys() map[string]string
	// Purge invalidates a cache, one partition of it, or everything.
	Purge(cache, partition string)
	// Invalidate tells the bridge of a write that didn't pass a proxy, by rule and user.
	Invalidate(rule, user string)
	// Control changes the controls.
	Control(r redisbridge.ControlsRequest)
	// Status is what the bridge says of itself and of the proxies.
	Status() redisbridge.Status
	// Reconfigure gives some proxies another policy; all where none is named.
	Reconfigure(document string, proxies ...int)
	// Refused offers the proxies a policy that they must refuse, and gives what they say.
	Refused(document string) string
	// Sum adds up the counters of all proxies whose names end like that.
	Sum(suffix string) uint64
	// Gauge adds up a gauge of all proxies.
	Gauge(name string) int64
	// Logs gives what the filter has logged.
	Logs() string
}

// Options say what a mesh runs.
type Options struct {
	// Policy is a document; the chat policy if empty.
	Policy string
	// JWT puts Envoy's jwt_authn before the cache: every request must have Claims.
	JWT bool
}

// Each runs a test on the simulated and on the real mesh.
func Each(t *testing.T, o Options, test func(t *testing.T, m Mesh)) {
	if o.Policy == "" {
		o.Policy = ChatPolicy(t)
	}
	t.Run("simulated", func(t *testing.T) { test(t, Simulated(t, o)) })
	t.Run("real", func(t *testing.T) { test(t, Real(t, o)) })
}

// A loaded machine must not turn a hit into a bypass: the tests' filters wait for the
// bridge, and the bridge for Redis, longer than the shipped 50ms and 40ms.
const (
	Patience       = "1s"
	BridgePatience = 900 * time.Millisecond
)

// ChatPolicy is the shipped policy, patient, with edits: each is called with the document.
func ChatPolicy(t testing.TB, edits ...func(document map[string]any)) string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "envoy", "chat.policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	document["bridge"].(map[string]any)["timeout"] = Patience
	for _, edit := range edits {
		edit(document)
	}
	text, err = json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Unhurried edits the chat policy so that many requests at once, or a large one, take their time to the bridge and back.
func Unhurried(document map[string]any) { document["bridge"].(map[string]any)["timeout"] = "5s" }

const serialField = "X-Origin-Serial"

// Origin is the sample chat API. It numbers its answers in the order in which it began
// them, and can hold a streamed one open.
type Origin struct {
	*chatapi.API
	wait   waiter
	serial atomic.Int64
	delay  atomic.Int64
	gate   atomic.Pointer[chan struct{}]
}

type waiter func(ctx context.Context, wake <-chan struct{}, d time.Duration)

func newOrigin(wait waiter) *Origin {
	o := &Origin{wait: wait}
	o.API = chatapi.New(chatapi.Options{BeforeChunk: func(ctx context.Context, n int) error {
		if gate := o.gate.Load(); gate != nil && n == 1 {
			wait(ctx, *gate, 30*time.Second)
		}
		return ctx.Err()
	}})
	return o
}

// Hold lets streamed answers stop after their first event until open is called.
func (o *Origin) Hold() (open func()) {
	gate := make(chan struct{})
	o.gate.Store(&gate)
	return func() {
		o.gate.Store(nil)
		close(gate)
	}
}

// Serial is the number of the last answer.
func (o *Origin) Serial() int64 { return o.serial.Load() }

// Slow makes each answer take that long from now on.
func (o *Origin) Slow(d time.Duration) { o.delay.Store(int64(d)) }

func (o *Origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(serialField, strconv.FormatInt(o.serial.Add(1), 10))
	o.wait(r.Context(), nil, time.Duration(o.delay.Load()))
	o.API.ServeHTTP(w, r)
}
