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
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// vm is one Wasm VM with a plugin, or with several while the configuration changes.
type vm struct {
	w       *world
	index   int16
	life    int16 // of this place: how many VMs it has had
	dead    bool
	states  *exchange.States
	roots   []*root // the newest last
	waiting []*call
	replied []*stream // answered in the callback that is running
	polls   int       // answered
	record  *window   // of a VM that is to be compared with another
	said    map[string]int
}

func (w *world) newVM(index, life int16) *vm {
	v := &vm{w: w, index: index, life: life}
	v.states = exchange.NewStates(fmt.Sprintf("vm-%c%d", 'a'+index, life))
	if w.plan.gathers {
		v.states.Gather(0)
	}
	v.configure(w.policy)
	return v
}

func (v *vm) owner() int16 { return rootOwner + 2*v.life + v.index }

// enter runs a callback of the proxy, and then what follows of itself: streams that were
// answered end, and a root context runs if it was woken.
func (v *vm) enter(callback func()) {
	callback()
	v.endReplied()
	woken := func(r *root) bool { return r.woken }
	for i := slices.IndexFunc(v.roots, woken); i >= 0; i = slices.IndexFunc(v.roots, woken) {
		r := v.roots[i]
		r.woken = false
		r.plugin.Run()
		v.endReplied()
	}
}

// journal is what the VM owes the bridge: the sum of its plugins' gauges, as the proxy shows it.
func (v *vm) journal() (entries int64) {
	for _, r := range v.roots {
		entries += r.journal
	}
	return entries
}

func (v *vm) endReplied() {
	for _, s := range v.replied {
		if !v.w.plan.http3 {
			s.exchange.Done()
		}
	}
	v.replied = v.replied[:0]
}

// nextTimer is when the VM's next tick or timeout is due.
func (v *vm) nextTimer() (at int64) {
	for _, r := range v.roots {
		if r.tickAt != 0 && (at == 0 || r.tickAt < at) {
			at = r.tickAt
		}
	}
	for _, c := range v.waiting {
		if at == 0 || c.deadline < at {
			at = c.deadline
		}
	}
	return at
}

// fire runs what is due now: first timeouts, then the tick. It tells whether a call has ended.
func (v *vm) fire() (ended bool) {
	now := v.w.now()
	for i := 0; i < len(v.waiting); i++ {
		if c := v.waiting[i]; c.deadline <= now {
			c.end(exchange.Answer{Status: "504"})
			ended = true
			i = -1 // the callback may have called anew
		}
	}
	due := func(r *root) bool { return r.tickAt != 0 && r.tickAt <= now }
	for i := slices.IndexFunc(v.roots, due); i >= 0; i = slices.IndexFunc(v.roots, due) {
		r := v.roots[i]
		r.tickAt += exchange.TickPeriod.Milliseconds()
		v.enter(r.plugin.Run)
	}
	return ended
}

var paths = []string{wire.PathLookup, wire.PathStore, wire.PathPiece, wire.PathCommit, wire.PathSuspend, wire.PathClose, wire.PathFollow, wire.PathRelease, pathPurge, wire.PathJoin, pathControls, pathSelf, wire.PathLookups, wire.PathStores}

// requests are what all calls of a path have in common.
var requests = func() map[string]*http.Request {
	m := make(map[string]*http.Request)
	for _, path := range paths {
		m[path] = &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}, Header: http.Header{}, Host: "bridge"}
	}
	return m
}()

// call is one to a bridge.
type call struct {
	w          *world
	vm         *vm // nil: an administrator's
	root       *root
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
	setting    setting          // of an operator
	owes       int64            // the version of controls that its bridge has to put back before it answers
	fields     httpcache.Fields // of a request to the proxy itself
	loop       *stream          // that it is there
	excused    bool             // Redis has lost everything meanwhile: it may have seen more than one loss
}

func (w *world) newCall(r *root, s *stream, path string, frame []byte, timeout time.Duration, done func(exchange.Answer)) *call {
	v := r.vm
	c := &call{w: w, vm: v, root: r, stream: s, path: path, frame: frame, done: done, owner: v.owner(), weight: w.weigh(path == wire.PathFollow)}
	c.deadline = w.now() + max(timeout.Milliseconds(), 1)
	if s != nil {
		c.owner = s.number
	}
	c.write = w.writeOf(v, path, frame)
	c.ends = c.write != nil && c.write.over && (!w.plan.http3 || !c.write.exchange.Concerned())
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
	return c
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
	request := requests[c.path].WithContext(ctx)
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(c.frame)), int64(len(c.frame))
	c.w.work <- func(header http.Header) {
		r := &response{header: header, status: http.StatusOK}
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
	if c.vm.dead || c.root.over || c.stream != nil && c.stream.over {
		return
	}
	c.w.answering(c, a)
	c.vm.enter(func() { c.done(a) })
}
