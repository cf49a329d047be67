package live

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"chatcache/hostsim"
)

// Cluster reaches a real server. It waits for the server without holding the
// simulation up: the request runs on a goroutine of its own, and the handler
// waits on the clock until something has come.
type Cluster struct {
	Clock *hostsim.Clock
	URL   *url.URL
	Poke  chan struct{}
	// Patience is how long the simulation stands still in real time for the
	// server to answer, before virtual time may pass: 0 on the wall clock;
	// in scenarios enough for an answer that isn't held back on purpose.
	Patience time.Duration
	// Failed hears, on any goroutine, why the server gave no whole answer.
	Failed func(err error)

	held *sync.Map // paths whose answers were held back before: they get less patience
}

// NewCluster makes a cluster; poke is signalled whenever something has come.
func NewCluster(clock *hostsim.Clock, u *url.URL, poke chan struct{}, patience time.Duration, failed func(error)) Cluster {
	return Cluster{Clock: clock, URL: u, Poke: poke, Patience: patience, Failed: failed, held: &sync.Map{}}
}

// heldPatience is the patience with a path that held its answer back before, a long poll.
const heldPatience = 2 * time.Millisecond

func (c Cluster) patience(path string) time.Duration {
	if _, held := c.held.Load(path); held {
		return min(c.Patience, heldPatience)
	}
	return c.Patience
}

var transport = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}

// answer is what has come from the server so far.
type answer struct {
	mu     sync.Mutex
	header *http.Response
	body   []byte
	err    error // io.EOF at a proper end
	wake   chan struct{}
}

func (a *answer) update(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.wake)
	a.wake = make(chan struct{})
}

// forEver is longer than any exchange: only the wake or the request's end ends the wait.
const forEver = 24 * time.Hour

func (c Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a := &answer{wake: make(chan struct{})}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go c.fetch(ctx, r, body, a)
	patience := time.NewTimer(c.patience(r.URL.Path))
	defer patience.Stop()
	for wrote, patient := false, c.Patience > 0; ; {
		a.mu.Lock()
		header, part, end, wake := a.header, a.body, a.err, a.wake
		a.body = nil
		a.mu.Unlock()
		if header != nil && !wrote {
			copyHeader(w.Header(), header)
			w.WriteHeader(header.StatusCode)
			wrote = true
		}
		if wrote && (len(part) > 0 || end == nil) {
			w.Write(part)
			http.NewResponseController(w).Flush()
		}
		switch {
		case end == io.EOF:
			return
		case end != nil || r.Context().Err() != nil:
			panic(http.ErrAbortHandler)
		case patient:
			select {
			case <-wake:
			case <-patience.C:
				patient = false
				c.held.Store(r.URL.Path, true)
			}
		default:
			c.Clock.Wait(r.Context(), wake, forEver)
		}
	}
}

func copyHeader(to http.Header, resp *http.Response) {
	maps.Copy(to, resp.Header)
	if len(resp.TransferEncoding) == 0 && resp.ContentLength < 0 && resp.ProtoMajor == 1 && resp.Request.Method != http.MethodHead {
		to.Set("Transfer-Encoding", "identity")
	}
}

// fetch asks the server and fills the answer as it comes.
func (c Cluster) fetch(ctx context.Context, r *http.Request, body []byte, a *answer) {
	req := r.Clone(ctx)
	req.URL.Scheme, req.URL.Host, req.RequestURI = c.URL.Scheme, c.URL.Host, ""
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		req.Body = http.NoBody
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		c.failed(ctx, err)
		c.tell(a, func() { a.err = err })
		return
	}
	defer resp.Body.Close()
	c.tell(a, func() { a.header = resp })
	for buf := make([]byte, 16<<10); ; {
		n, err := resp.Body.Read(buf)
		c.tell(a, func() { a.body, a.err = append(a.body, buf[:n]...), err })
		if err != nil {
			if err != io.EOF {
				c.failed(ctx, err)
			}
			return
		}
	}
}

// failed tells of an error, unless nobody waits for the answer any more.
func (c Cluster) failed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		c.Failed(err)
	}
}

func (c Cluster) tell(a *answer, f func()) {
	a.update(f)
	select {
	case c.Poke <- struct{}{}:
	default:
	}
}
