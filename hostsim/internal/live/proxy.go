// Package live runs a simulated proxy on real sockets in real time: virtual
// time follows the wall clock, and clusters are reached through net/http.
package live

import (
	"context"
	"io"
	"net/http"
	"time"

	"chatcache/hostsim"
)

// Proxy hands requests from real connections to a Sim, which only its own
// goroutine (Run) touches.
type Proxy struct {
	sim    *hostsim.Sim
	work   chan func()
	poke   chan struct{} // something real happened: look again
	log    func(Line)
	idle   func()
	next   int // worker
	active map[*exchange]struct{}
}

// Line tells of one request that has ended.
type Line struct {
	Method, Path string
	Status       int
	Decision     string // Cache-Status, or else the response code details, or "local reply"
	Took         time.Duration
	HostCalls    int
	Complete     bool
}

// New makes a proxy of a Sim whose clock stands at the present. poke is what
// Cluster handlers signal on; log hears of every request that has ended, and idle
// is called whenever none is under way.
func New(sim *hostsim.Sim, poke chan struct{}, log func(Line), idle func()) *Proxy {
	return &Proxy{sim: sim, work: make(chan func()), poke: poke, log: log, idle: idle, active: map[*exchange]struct{}{}}
}

// catchUp is how long nothing may happen before virtual time catches up.
const catchUp = 2 * time.Millisecond

// Run drives the simulation until ctx is done.
func (p *Proxy) Run(ctx context.Context) {
	last := time.Now()
	tick := time.NewTicker(catchUp)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-p.work:
			f()
		case <-p.poke:
		case <-tick.C:
		}
		now := time.Now()
		p.sim.Advance(now.Sub(last))
		last = now
		for x := range p.active {
			p.move(x)
		}
		if len(p.active) == 0 {
			p.idle()
		}
	}
}

// Do runs f on the simulation's goroutine and waits for it.
func (p *Proxy) Do(f func()) {
	done := make(chan struct{})
	p.work <- func() { f(); close(done) }
	<-done
}

// exchange is one request from a real client.
type exchange struct {
	stream  *hostsim.Stream
	parts   chan part // to the client's goroutine
	sent    int       // bytes of the body handed over
	headers bool
	whole   bool // the response ended well; to be read once parts is closed
	began   time.Time
}

// part is a piece of a response: headers first, then body.
type part struct {
	status  int
	headers hostsim.Headers
	body    []byte
}

// partsWaiting bounds what a slow client leaves waiting; beyond it, it is cut off.
const partsWaiting = 4096

// maxBody bounds a request's body, which is read before the stream begins.
const maxBody = 64 << 20

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	x := &exchange{parts: make(chan part, partsWaiting), began: time.Now()}
	p.Do(func() {
		p.next = p.next%p.sim.Workers() + 1
		x.stream = p.sim.Start(p.next, request(r, body))
		p.active[x] = struct{}{}
	})
	for {
		select {
		case pt, more := <-x.parts:
			if !more && !x.whole {
				panic(http.ErrAbortHandler) // the client's connection is cut, too
			}
			if !more {
				return
			}
			pt.write(w)
		case <-r.Context().Done():
			p.Do(x.stream.Disconnect)
			return
		}
	}
}

func request(r *http.Request, body []byte) *hostsim.Request {
	req := &hostsim.Request{Method: r.Method, Path: r.RequestURI, Authority: r.Host, Body: body, HTTP2: r.ProtoMajor == 2}
	for name, values := range r.Header {
		for _, v := range values {
			req.Headers.Add(name, v)
		}
	}
	return req
}

func (pt part) write(w http.ResponseWriter) {
	if pt.status != 0 {
		for _, f := range pt.headers {
			w.Header().Add(f[0], f[1])
		}
		w.WriteHeader(pt.status)
	}
	w.Write(pt.body)
	http.NewResponseController(w).Flush()
}

// move hands what is new of a response to the client's goroutine.
func (p *Proxy) move(x *exchange) {
	resp := x.stream.Response()
	if resp == nil {
		return
	}
	var pt part
	if !x.headers && resp.Status != 0 {
		pt.status, pt.headers, x.headers = resp.Status, resp.Headers, true
	}
	pt.body = resp.Body[x.sent:]
	x.sent = len(resp.Body)
	if pt.status != 0 || len(pt.body) > 0 {
		select {
		case x.parts <- pt:
		default:
			x.stream.Disconnect()
		}
	}
	if !x.stream.Done() {
		return
	}
	delete(p.active, x)
	x.whole = resp.Complete
	p.log(line(x, resp))
	close(x.parts)
}

func line(x *exchange, resp *hostsim.Response) Line {
	r := x.stream.Request()
	l := Line{Method: r.Method, Path: r.Path, Status: resp.Status, Took: time.Since(x.began), Complete: resp.Complete,
		Decision: resp.Get("cache-status"), HostCalls: x.stream.HostCalls()}
	if l.Decision == "" {
		l.Decision = resp.Details
	}
	if l.Decision == "" {
		l.Decision = "local reply" // without details
	}
	return l
}
