//go:build !wasip1

package sched

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/redisbridge/wire"
)

// vm is one Wasm VM with one plugin. It is the plugin's host.
type vm struct {
	w       *world
	index   int16
	life    int16 // of this place: how many VMs it has had
	dead    bool
	plugin  *exchange.Plugin
	woken   bool
	tickAt  int64 // ms; 0: no ticks yet
	waiting []*call
	replied []*stream // answered in the callback that is running
	journal int64     // entries
	record  *window   // of a VM that is to be compared with another
	said    map[string]int
}

func (w *world) newVM(index, life int16) *vm {
	v := &vm{w: w, index: index, life: life}
	id := fmt.Sprintf("vm-%c%d", 'a'+index, life)
	plugin, err := exchange.NewPlugin(w.policy, secret, v, exchange.NewStates(id))
	if err != nil {
		w.t.Fatal(err)
	}
	v.plugin = plugin
	return v
}

func (v *vm) owner() int16 { return rootOwner + 2*v.life + v.index }

// enter runs a callback of the proxy, and then what follows of itself: streams that were
// answered end, and the root context runs if it was woken.
func (v *vm) enter(callback func()) {
	callback()
	v.endReplied()
	for v.woken {
		v.woken = false
		v.plugin.Run()
		v.endReplied()
	}
}

func (v *vm) endReplied() {
	for _, s := range v.replied {
		s.exchange.Done()
	}
	v.replied = v.replied[:0]
}

func (v *vm) Call(path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) error {
	v.w.newCall(v, nil, path, frame, timeout, done)
	return nil
}

func (v *vm) Wake() { v.woken = true }

// Within runs act for a stream that hasn't ended.
func (v *vm) Within(other exchange.Stream, act func()) bool {
	s := other.(*stream)
	if s.over {
		return false
	}
	act()
	return true
}

func (v *vm) StartTicks() {
	if v.tickAt == 0 {
		v.tickAt = v.w.now() + exchange.TickPeriod.Milliseconds()
	}
}

func (v *vm) Now() int64            { return v.w.now() * int64(time.Millisecond) }
func (v *vm) Unix() int64           { return time.Now().Unix() }
func (v *vm) Add(string, uint64)    {}
func (v *vm) Record(string, uint64) {}
func (v *vm) Warn(string)           {}
func (v *vm) Finished()             {}
func (v *vm) Set(gauge string, n int64) {
	if strings.HasSuffix(gauge, "journal_entries") {
		v.journal = n
	}
}

// nextTimer is when the VM's next tick or timeout is due.
func (v *vm) nextTimer() (at int64) {
	at = v.tickAt
	for _, c := range v.waiting {
		if at == 0 || c.deadline < at {
			at = c.deadline
		}
	}
	return at
}

// fire runs what is due now: first timeouts, then the tick.
func (v *vm) fire() {
	now := v.w.now()
	for i := 0; i < len(v.waiting); i++ {
		if c := v.waiting[i]; c.deadline <= now {
			c.end(exchange.Answer{Status: "504"})
			i = -1 // the callback may have called anew
		}
	}
	if v.tickAt != 0 && v.tickAt <= now {
		v.tickAt += exchange.TickPeriod.Milliseconds()
		v.enter(v.plugin.Run)
	}
}

var paths = []string{wire.PathLookup, wire.PathStore, wire.PathSuspend, wire.PathClose, wire.PathFollow, wire.PathRelease, "/v1/purge"}

// call is one to a bridge.
type call struct {
	w          *world
	vm         *vm // nil: an administrator's
	stream     *stream
	owner      int16 // stream or root context
	number     int16 // path and how manyth
	path       string
	frame      []byte
	done       func(exchange.Answer)
	deadline   int64   // ms
	write      *stream // whose suspension it opens, renews or ends
	ends       bool    // it was sent after the write's end
	bridge     *bridge // it has arrived at
	cancel     context.CancelFunc
	operations int // commands sent to Redis
	response   *response
	over       bool // answered or given up
	lost       bool // no answer will come
	cut        bool // its bridge has ended
	weight     int
	recorded   recordedCall
}

func (w *world) newCall(v *vm, s *stream, path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) {
	c := &call{w: w, vm: v, stream: s, path: path, frame: frame, done: done, owner: v.owner(), weight: w.weigh(path == wire.PathFollow)}
	c.deadline = w.now() + max(timeout.Milliseconds(), 1)
	if s != nil {
		c.owner = s.number
	}
	c.write = w.writeOf(v, path, frame)
	c.ends = c.write != nil && c.write.over
	if c.write != nil {
		c.owner = c.write.number
	}
	c.number = w.numberOf(c.owner, path)
	v.waiting = append(v.waiting, c)
	w.addCall(c)
	if v.record != nil {
		what := says(path, frame)
		c.recorded = recordedCall{what, v.said[what]}
		v.said[what]++
		v.did("calls %s", what)
	}
}

// numberOf gives a call its name: what it is and the how manyth of its owner.
func (w *world) numberOf(owner int16, path string) int16 {
	i := slices.Index(paths, path)
	if i < 0 {
		w.t.Fatalf("a call to %s, which the scheduler doesn't know", path)
	}
	key := [2]int16{owner, int16(i)}
	n := w.counts[key]
	w.counts[key]++
	return int16(i)*perPath + n%perPath
}

// addCall keeps the calls in the order of their names: the order in which a VM makes
// several at a time may be that of a map.
func (w *world) addCall(c *call) {
	i, _ := slices.BinarySearchFunc(w.calls, c, func(a, b *call) int {
		return (int(a.owner)<<16 + int(a.number)) - (int(b.owner)<<16 + int(b.number))
	})
	w.calls = slices.Insert(w.calls, i, c)
}

// arrive hands the call to a bridge, whose goroutine will run until it waits for Redis,
// for time, or has answered.
func (c *call) arrive(b *bridge) {
	ctx, cancel := context.WithCancel(context.WithValue(b.ctx, callKey{}, c))
	c.bridge, c.cancel = b, cancel
	request := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: c.path}, Header: http.Header{}, Host: "bridge",
		Body: io.NopCloser(bytes.NewReader(c.frame)), ContentLength: int64(len(c.frame)),
	}).WithContext(ctx)
	c.w.work <- func() {
		r := &response{header: http.Header{}, status: http.StatusOK}
		b.ServeHTTP(r, request)
		c.w.network.mu.Lock()
		defer c.w.network.mu.Unlock()
		c.response = r
	}
}

// response is what a bridge answers.
type response struct {
	header http.Header
	status int
	body   []byte
	broken bool // the bridge ended before it was whole
}

func statusText(status int) string { return strconv.Itoa(status) }

func (r *response) Header() http.Header { return r.header }
func (r *response) WriteHeader(n int)   { r.status = n }
func (r *response) Write(b []byte) (int, error) {
	r.body = append(r.body, b...)
	return len(b), nil
}

// end gives the VM an answer, unless it is dead, or the call's stream has ended.
func (c *call) end(a exchange.Answer) {
	c.over = true
	if c.vm == nil {
		return
	}
	if i := slices.Index(c.vm.waiting, c); i >= 0 {
		c.vm.waiting = slices.Delete(c.vm.waiting, i, i+1)
	}
	if c.cancel != nil {
		c.cancel()
	}
	if c.vm.dead || c.stream != nil && c.stream.over {
		return
	}
	c.w.answering(c, a)
	c.vm.enter(func() { c.done(a) })
}
