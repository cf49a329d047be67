package chatapi

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"
)

// Options say how the API behaves. The zero value answers at once.
type Options struct {
	// Latency scales every route's latency: 1 is a real backend's, 0 none.
	Latency float64
	// Sleep waits for a latency; an error (the context's) ends the request
	// without an answer. Default: a timer.
	Sleep func(ctx context.Context, d time.Duration) error
	// BeforeChunk is called before each event of a streamed answer is written,
	// counted from 0, and once before the commit: a test holds a stream open
	// with it. An error breaks the stream off; nothing is committed. Default: a
	// Sleep of 40 ms, scaled.
	BeforeChunk func(ctx context.Context, n int) error
	// Now dates what is created. Default: time.Now.
	Now func() time.Time
}

// API is the sample backend, an http.Handler. Its methods are safe for
// concurrent use.
type API struct {
	options Options
	mux     *http.ServeMux

	mu     sync.Mutex
	counts map[string]int
	faults map[string]Fault
	users  map[string]*user
	usage  map[string]int // messages by model, of all users
}

// New makes an API whose users all have the sample data.
func New(o Options) *API {
	a := &API{
		options: o,
		mux:     http.NewServeMux(),
		counts:  map[string]int{},
		faults:  map[string]Fault{},
		users:   map[string]*user{},
		usage:   map[string]int{},
	}
	if a.options.Sleep == nil {
		a.options.Sleep = sleep
	}
	if a.options.BeforeChunk == nil {
		a.options.BeforeChunk = func(ctx context.Context, _ int) error { return a.sleep(ctx, 40*time.Millisecond) }
	}
	if a.options.Now == nil {
		a.options.Now = time.Now
	}
	a.routes()
	return a
}

func (a *API) routes() {
	a.read("GET /api/chat/stats", 500*time.Millisecond, a.stats)
	a.read("GET /api/chat/search", 200*time.Millisecond, a.search)
	a.read("GET /api/chat/sessions", 200*time.Millisecond, a.listSessions)
	a.read("GET /api/chat/sessions/{session}", 200*time.Millisecond, a.getSession)
	a.read("GET /api/chat/sessions/{session}/messages", 200*time.Millisecond, a.listMessages)
	a.read("GET /api/user/me", 300*time.Millisecond, a.me)
	a.read("GET /api/activity", 200*time.Millisecond, a.activity)
	a.read("POST /v1/initialize", 150*time.Millisecond, a.initialize)
	a.readShared("GET /api/models", 100*time.Millisecond, a.models)
	a.readShared("GET /api/rankings", 200*time.Millisecond, a.rankings)

	a.write("POST /api/chat/sessions", a.createSession)
	a.write("PUT /api/chat/sessions/{session}", a.updateSession)
	a.write("PATCH /api/chat/sessions/{session}", a.updateSession)
	a.write("DELETE /api/chat/sessions/{session}", a.deleteSession)
	a.handle("POST /api/chat/sessions/{session}/messages", a.createMessage)
	a.write("DELETE /api/chat/sessions/{session}/messages/{message}", a.deleteMessage)

	a.mux.HandleFunc("GET /_counts", func(w http.ResponseWriter, _ *http.Request) { respond(w, http.StatusOK, a.Counts()) })
	a.mux.HandleFunc("/_fault", serveFault)
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Count gives how many requests came for a route, named as in the package's
// list: "GET /api/chat/stats". Requests that were refused count too.
func (a *API) Count(route string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.counts[route]
}

// Counts gives the requests of every route that had one.
func (a *API) Counts() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.counts)
}

// Reset sets every count to 0. Data and faults stay.
func (a *API) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.counts)
}

// SetFault makes a route answer with the fault instead of itself, until the
// zero Fault is set. What a faulty write was to change stays as it was.
func (a *API) SetFault(route string, f Fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults[route] = f
}

// handle serves a route: it counts, and answers with the route's fault if one is set.
func (a *API) handle(route string, h http.HandlerFunc) {
	a.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.counts[route]++
		fault := a.faults[route]
		a.mu.Unlock()
		if fault != (Fault{}) {
			fault.ServeHTTP(w, r)
			return
		}
		h(w, r)
	})
}

// answer is what a route has to say.
type answer struct {
	status int
	body   any // as JSON; nil for none
}

// read serves a route that looks at one user's data, then takes its time.
func (a *API) read(route string, latency time.Duration, h func(*user, *http.Request) answer) {
	a.handle(route, func(w http.ResponseWriter, r *http.Request) {
		a.finish(w, r, latency, a.asUser(r, h))
	})
}

// readShared serves a route that belongs to nobody.
func (a *API) readShared(route string, latency time.Duration, h func(*http.Request) answer) {
	a.handle(route, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		got := h(r)
		a.mu.Unlock()
		a.finish(w, r, latency, got)
	})
}

// write serves a route that changes one user's data.
func (a *API) write(route string, h func(*user, *http.Request) answer) {
	a.read(route, 0, h)
}

// asUser calls h for the request's user with the data locked. The body is read
// before, so that a slow client holds nobody up.
func (a *API) asUser(r *http.Request, h func(*user, *http.Request) answer) answer {
	token, ok := bearer(r)
	if !ok {
		return unauthorized()
	}
	r, failure := bufferBody(r)
	if failure != nil {
		return *failure
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return h(a.user(token), r)
}

func (a *API) finish(w http.ResponseWriter, r *http.Request, latency time.Duration, got answer) {
	if err := a.sleep(r.Context(), latency); err != nil {
		panic(http.ErrAbortHandler) // the client has gone: net/http's way to answer nothing
	}
	respond(w, got.status, got.body)
}

// sleep waits for a latency as scaled by the options.
func (a *API) sleep(ctx context.Context, d time.Duration) error {
	d = time.Duration(float64(d) * a.options.Latency)
	if d <= 0 {
		return ctx.Err()
	}
	return a.options.Sleep(ctx, d)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
