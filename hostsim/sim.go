package hostsim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// T is what RunT needs of *testing.T.
type T interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// Sim is one simulated proxy with a plugin, or a further plugin of one
// (Options.Beside): a main thread and workers, each with a VM. It is used from
// one goroutine.
type Sim struct {
	t        T // nil outside tests
	opts     Options
	clock    *Clock
	code     *compiled
	main     *worker
	workers  []*worker
	clusters map[string]*clusterEntry
	proxy    *proxy
	ended    bool // no longer part of the proxy
	logs     []LogLine
	failures []Failure
	streams  map[*Stream]struct{}
	rng      *rand.Rand
	lastID   uint64
}

type clusterEntry struct {
	handler http.Handler
	state   ClusterState
	http2   bool
}

// New starts a proxy. The error matches ErrModule (what Envoy would refuse to
// load) or ErrConfig (the module refused its configuration).
func New(o Options) (*Sim, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	code, err := compileModule(o.Module, o.MemoryLimit, o.OnCall)
	if err != nil {
		return nil, err
	}
	s := &Sim{
		opts: o, clock: o.Clock, code: code, proxy: newProxy(),
		clusters: map[string]*clusterEntry{}, streams: map[*Stream]struct{}{},
		rng: rand.New(rand.NewPCG(o.Seed, 0x5eed)),
	}
	if o.Beside != nil {
		s.proxy = o.Beside.proxy
	}
	s.proxy.hold(o.VMID)
	if o.Beside != nil { // a VM may be shared that it mustn't harm
		if err := s.canary(); err != nil {
			s.end()
			return nil, err
		}
	}
	s.clock.watchdog = o.HandlerTimeout
	s.clock.onStuck, s.clock.onEndless = s.handlerStuck, s.neverSettles
	for name, h := range o.Clusters {
		s.clusters[name] = &clusterEntry{handler: h, http2: slices.Contains(o.HTTP2Clusters, name)}
	}
	for i := range o.Workers + 1 {
		w := &worker{sim: s, index: i}
		if err := w.start(); err != nil {
			s.Close()
			return nil, err
		}
		if i == 0 {
			s.main = w
		} else {
			s.workers = append(s.workers, w)
		}
	}
	s.clock.Settle()
	return s, nil
}

// RunT starts a proxy for a test; everything is taken down when the test ends.
// Failures that Expect has not taken fail the test then.
func RunT(t T, o Options) *Sim {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	s.t = t
	t.Cleanup(func() {
		s.checkStuck()
		s.Close()
		for _, f := range s.failures {
			t.Errorf("%s", f.Error())
		}
		if test, ok := t.(interface{ Failed() bool }); len(s.failures) > 0 || ok && test.Failed() {
			s.tellOrder()
		}
	})
	return s
}

// tellOrder says how to repeat a run that failed, where chance was in it.
func (s *Sim) tellOrder() {
	if s.clock.order != nil {
		s.t.Logf("hostsim: events came in the order of %s", s.clock.order)
	}
	if s.clock.order != nil || s.opts.Seed != 0 {
		s.t.Logf("hostsim: Options.Seed was %d", s.opts.Seed)
	}
}

// Clock is the proxy's virtual time.
func (s *Sim) Clock() *Clock { return s.clock }

// Advance moves virtual time, event by event.
func (s *Sim) Advance(d time.Duration) { s.clock.Advance(d) }

// Settle runs what can happen without time passing.
func (s *Sim) Settle() { s.clock.Settle() }

// SetCluster changes how a cluster answers from now on.
func (s *Sim) SetCluster(name string, state ClusterState) {
	if c := s.clusters[name]; c != nil {
		c.state = state
	}
}

// Start sends a request to a worker (1 is the first) and doesn't wait:
// Settle, Advance or Do let it go on.
func (s *Sim) Start(worker int, req *Request) *Stream {
	if worker < 1 || worker > len(s.workers) {
		panic(fmt.Sprintf("hostsim: worker %d, there are 1 to %d", worker, len(s.workers)))
	}
	w := s.workers[worker-1]
	if w.root == nil {
		panic("hostsim: the plugin has been removed")
	}
	s.lastID++
	st := &Stream{ID: s.lastID, sim: s, worker: w, req: req, started: int64(s.clock.Since()), filterState: map[string][]byte{}, envoyState: map[string][]byte{}}
	st.router.st = st
	limit := s.opts.BufferLimit
	if req.HTTP2 {
		limit = s.opts.StreamWindow
	}
	st.upload = flow{clock: s.clock, lane: st, full: st.uploadFull}
	st.request = chain{filter: requestSide{st}, next: &st.router, limit: limit, drained: st.upload.resume, overflow: func() {
		st.localReply(localReply{status: 413, body: []byte("Payload Too Large"), details: "request_payload_too_large"})
	}}
	st.response = chain{filter: responseSide{st}, next: clientSide{st}, limit: limit, drained: st.router.resume, overflow: func() {
		st.localReply(localReply{status: 500, body: []byte("Internal Server Error"), details: "response_payload_too_large"})
	}}
	s.streams[st] = struct{}{}
	st.post(st.begin)
	return st
}

// Do sends a request and runs the loop, with as much virtual time as the
// response takes, until the stream has ended. A stream that can't end any more,
// or not within Options.Patience, is a NeverResumed failure; the response is
// then what has come so far, never nil.
func (s *Sim) Do(worker int, req *Request) *Response {
	st := s.Start(worker, req)
	s.Finish(st)
	if r := st.Response(); r != nil {
		return r
	}
	return &Response{}
}

// Finish runs the loop until the stream has ended, as Do does.
func (s *Sim) Finish(st *Stream) {
	s.clock.Settle()
	limit := s.clock.Now().Add(s.opts.Patience)
	for !st.finished && s.clock.advanceToNext(limit) {
	}
	if !st.finished {
		s.neverResumed(st)
	}
}

func (s *Sim) neverResumed(st *Stream) {
	if st.reported {
		return
	}
	st.reported = true
	why := "the upstream's handler hasn't finished"
	switch {
	case st.request.paused():
		why = "the request is paused"
	case st.response.paused():
		why = "the response is paused"
	case st.req.Open && !st.request.end:
		why = "the client hasn't ended its request"
	}
	s.fail(NeverResumed, st, nil, "%s; %s; waiting: %v", st, why, s.Pending())
}

// checkStuck reports streams that are paused at the end of a test and that
// nothing resumes: where something may, a call or a tick, it gets Options.Patience.
func (s *Sim) checkStuck() {
	s.clock.Settle()
	limit := s.clock.Now().Add(s.opts.Patience)
	for _, st := range s.Streams() {
		if st.reported {
			continue
		}
		for st.paused() && s.clock.advanceToNext(limit) {
		}
		if st.paused() {
			s.neverResumed(st)
		}
	}
}

// Streams are the streams that have not ended, oldest first.
func (s *Sim) Streams() []*Stream {
	return slices.SortedFunc(maps.Keys(s.streams), func(a, b *Stream) int { return cmp.Compare(a.ID, b.ID) })
}

// Pending names the calls that the module waits for, and the handlers that haven't finished.
func (s *Sim) Pending() []string {
	var names []string
	for _, w := range s.threads() {
		names = append(names, w.pendingCalls()...)
	}
	return append(names, s.clock.pendingJobs()...)
}

// SharedData is the value of a key of shared data, and whether it exists.
func (s *Sim) SharedData(key string) ([]byte, bool) {
	v, ok := s.proxy.shared.data[sharedName{s.opts.VMID, key}]
	return v.data, ok
}

// Queued is how many items the shared queues of all plugins hold: what is enqueued stays in the proxy's memory until somebody dequeues it.
func (s *Sim) Queued() (items int) {
	for _, q := range s.proxy.shared.queues {
		items += len(q.items)
	}
	return items
}

// Close takes the plugin out of the proxy without a word to the module: streams
// end, handlers' contexts are cancelled, and VMs closed that no other plugin shares.
func (s *Sim) Close() {
	for st := range s.streams {
		st.finished = true // what it had still to do is left undone
		st.router.close()
		if st.ctx != nil {
			st.ctx.forget()
		}
	}
	for _, w := range s.threads() {
		w.close()
	}
	s.end()
	s.clock.Settle()
}

// end gives up the plugin's hold on what its vm_id shares.
func (s *Sim) end() {
	if !s.ended {
		s.ended = true
		s.proxy.drop(s.opts.VMID)
	}
}

func (s *Sim) uuid() string {
	a, b := s.rng.Uint64(), s.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", uint32(a), uint16(a>>32), uint16(a>>48)&0xfff, uint16(b)&0x3fff|0x8000, b>>16)
}

// random is a source for one VM.
func (s *Sim) random() io.Reader {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(s.rng.Uint32())
	}
	return rand.NewChaCha8(seed)
}

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// Workers is the number of worker threads.
func (s *Sim) Workers() int { return len(s.workers) }
