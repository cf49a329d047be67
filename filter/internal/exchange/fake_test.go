package exchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
	"chatcache/redisbridge/wire"
)

const testPolicy = `{
  "version": 1, "name": "chat",
  "identity": [{"header": "authorization"}],
  "bridge": {"cluster": "bridge", "timeout": "50ms"},
  "l1": {"max_bytes": "1MiB", "max_staleness": "3s"},
  "host": {"allow_on_headers_stop_iteration": true},
  "max_response": "4KiB",
  "caches": {
    "stats":  {"match": ["GET /stats"], "ttl": "600s"},
    "deep":   {"match": ["GET /deep"], "ttl": "600s", "l1": false},
    "models": {"match": ["GET /models"], "ttl": "600s", "shared": true},
    "flags":  {"match": ["POST /flags"], "ttl": "600s", "body": {"max_bytes": "1KiB"}},
    "queries": {"match": ["QUERY /queries", "POST /queries"], "ttl": "origin", "shared": true, "body": {}},
    "off":    {"match": ["GET /off"], "ttl": "0s"},
    "pages":  {"match": ["GET /pages/{page}"], "ttl": "origin", "shared": true}
  },
  "invalidations": [
    {"name": "save", "match": ["POST /messages"], "invalidate": ["stats", "deep"]},
    {"name": "strict", "match": ["PUT /messages"], "invalidate": ["stats"], "unreachable": "refuse"}
  ]
}`

// call is one that waits for the test's answer.
type call struct {
	path  string
	frame []byte
	done  func(Answer)
	owner string // "root" or a stream's name
	// timeout is that of a call of the root context.
	timeout time.Duration
}

// world is a proxy in miniature: it records what the filter asks for, and the test
// answers the calls.
type world struct {
	t       testing.TB
	now     time.Duration
	unix    int64
	calls   []*call
	down    bool // calls fail at once
	wakes   int
	counts  map[string]uint64
	states  *States
	plugin  *Plugin
	streams int
	roots   []*fakeRoot
	within  *fakeStream // whose context a callback of the root context has entered
	inRoot  bool        // a callback of the root context runs
	warned  []string
	fetched []httpcache.Fields
	entry   []byte // that a test has stored
	secret  string // of partitions
	// protocol is that of the streams that come; "" if the proxy doesn't say.
	protocol string
	// showJoins leaves joins as they are; otherwise they look like lookups.
	showJoins bool
}

// newWorld is a world with testPolicy, in which each first text of edits is replaced by the one after it.
func newWorld(t testing.TB, edits ...string) *world {
	t.Helper()
	w := &world{t: t, unix: 1_790_000_000, counts: map[string]uint64{}, states: NewStates("vm"), secret: "0123456789abcdef"}
	w.plugin = w.configure(strings.NewReplacer(edits...).Replace(testPolicy))
	return w
}

func (w *world) configure(document string) *Plugin {
	w.t.Helper()
	p, problems := policy.Parse([]byte(document))
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
	root := &fakeRoot{world: w, gauges: map[string]int64{}}
	plugin, err := NewPlugin(p, []byte(w.secret), root, w.states)
	if err != nil {
		w.t.Fatal(err)
	}
	w.roots = append(w.roots, root)
	return plugin
}

// fakeRoot is the root context of one plugin.
type fakeRoot struct {
	*world
	ticking  bool
	finished bool
	gauges   map[string]int64
}

func (r *fakeRoot) StartTicks()                { r.ticking = true }
func (r *fakeRoot) Set(gauge *Metric, v int64) { r.gauges[gauge.Name] = v }

func (r *fakeRoot) Finished() { r.finished = true }

// gauge is what the proxy shows: the sum over all root contexts.
func (w *world) gauge(name string) (sum int64) {
	for _, r := range w.roots {
		sum += r.gauges[name]
	}
	return sum
}

func (w *world) Call(path string, frame []byte, timeout time.Duration, done func(Answer)) error {
	err := w.call("root", path, frame, done)
	if err == nil {
		w.calls[len(w.calls)-1].timeout = timeout
	}
	return err
}

func (w *world) call(owner, path string, frame []byte, done func(Answer)) error {
	if w.down {
		return errors.New("no healthy upstream")
	}
	if owner == "root" {
		inStream := done
		done = func(a Answer) { w.asRoot(func() { inStream(a) }) }
		if w.within != nil {
			w.t.Errorf("a call of the root context to %s in the context of %s", path, w.within.name)
		}
	}
	c := &call{path: path, frame: frame, done: done, owner: owner}
	if path == wire.PathJoin && !w.showJoins {
		c.unwrap(w.t)
	}
	w.calls = append(w.calls, c)
	return nil
}

// unwrap makes a lookup of a join, which says nothing of controls.
func (c *call) unwrap(t testing.TB) {
	m, err := wire.DecodeJoinRequest(c.frame)
	if err != nil {
		t.Fatal(err)
	}
	c.path, c.frame = wire.PathLookup, m.Lookup.Encode()
	join := c.done
	c.done = func(a Answer) {
		if answer, err := wire.DecodeLookupAnswer(a.Body); err == nil {
			a.Body = wire.JoinAnswer{Lookup: answer}.Encode()
		}
		join(a)
	}
}

// Fetch is a call with the path of the request.
func (w *world) Fetch(cluster string, fields httpcache.Fields, _ time.Duration, done func(string)) error {
	w.fetched = append(w.fetched, fields)
	return w.call("root", cluster+" "+fields.Get(":path"), nil, func(a Answer) { done(a.Status) })
}

func (w *world) Wake()                   { w.wakes++ }
func (w *world) Now() int64              { return int64(w.now) }
func (w *world) Unix() int64             { return w.unix }
func (w *world) Add(c *Metric, n uint64) { w.counts[c.Name] += n }
func (w *world) Record(*Metric, uint64)  {}
func (w *world) Warn(line string)        { w.warned = append(w.warned, line) }

// Within runs act in the context of a stream that hasn't gone.
func (w *world) Within(s Stream, act func()) bool {
	if !w.inRoot || w.within != nil {
		w.t.Error("Within outside of a callback of the root context")
	}
	if w.within = s.(*fakeStream); w.within.gone {
		w.within = nil
		return false
	}
	defer func() { w.within = nil }()
	act()
	return true
}

// run lets the plugin do what is due.
func (w *world) run() { w.asRoot(w.plugin.Run) }

// asRoot runs a callback of the root context.
func (w *world) asRoot(callback func()) {
	w.inRoot = true
	defer func() { w.inRoot = false }()
	callback()
}

// take removes and gives the oldest call to the path.
func (w *world) take(path string) *call {
	w.t.Helper()
	for i, c := range w.calls {
		if c.path == path {
			w.calls = slices.Delete(w.calls, i, i+1)
			return c
		}
	}
	w.t.Fatalf("no call to %s among %s", path, w.paths())
	return nil
}

func (w *world) none(path string) {
	w.t.Helper()
	for _, c := range w.calls {
		if c.path == path {
			w.t.Errorf("unexpected call to %s", path)
		}
	}
}

func (w *world) paths() string {
	var paths []string
	for _, c := range w.calls {
		paths = append(paths, c.path)
	}
	return "[" + strings.Join(paths, " ") + "]"
}

// decoded reads a call's frame.
func decoded[Request any](w *world, c *call, decode func([]byte) (Request, error)) Request {
	w.t.Helper()
	m, err := decode(c.frame)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (c *call) ok(body []byte) { c.done(Answer{Status: "200", Body: body}) }
func (c *call) ack()           { c.ok(wire.Ack{Ticket: wire.Ticket{Epoch: 9, Sequence: 1}}.Encode()) }
func (c *call) fails()         { c.done(Answer{Status: "503"}) }

func (c *call) miss(sequence uint64) {
	c.ok(wire.LookupAnswer{State: wire.LookupMiss, Ticket: wire.Ticket{Epoch: 9, Sequence: sequence}}.Encode())
}

// feed answers the poll under way: where the policy stands, and what led there.
func (w *world) feed(last uint64, events ...wire.Event) {
	w.t.Helper()
	w.take(wire.PathFollow).ok(followed(wire.FeedAnswer{Last: wire.Ticket{Epoch: 9, Sequence: last}, Events: events}))
}

func followed(a wire.FeedAnswer) []byte { return wire.FollowAnswer{FeedAnswer: a}.Encode() }

// lease brings the feed to life.
func (w *world) lease() {
	w.t.Helper()
	w.plugin.state.follower.follow()
	w.run()
	w.feed(1)
}

// fakeStream is one request.
type fakeStream struct {
	w          *world
	name       string
	exchange   Exchange
	request    httpcache.Fields
	body       []byte
	fields     httpcache.Fields // the response's
	chunk      []byte
	added      []string
	properties map[string][]byte
	resumed    int
	released   int    // the response was resumed
	status     uint32 // of a reply
	reply      []byte
	pairs      httpcache.Pairs // of the reply
	described  string          // for the access log
	gone       bool            // its context exists no more
	holds      bool            // the response's header section
	responding bool            // the callback of the response's header section runs
}

func (w *world) stream(method, path, user string, extra ...[2]string) *fakeStream {
	w.streams++
	s := &fakeStream{w: w, name: fmt.Sprint("stream-", w.streams), properties: map[string][]byte{
		"response.code_details":          []byte("via_upstream"),
		"upstream.request_attempt_count": {1, 0, 0, 0, 0, 0, 0, 0},
		"request.protocol":               []byte(w.protocol),
	}}
	s.request = httpcache.Fields{{":method", method}, {":authority", "chat.test"}, {":path", path}}
	if user != "" {
		s.request = append(s.request, [2]string{"authorization", "Bearer " + user})
	}
	s.request = append(s.request, extra...)
	s.exchange = w.plugin.NewExchange(s)
	return s
}

// missed is a read of the user's stats that the bridge has answered with a miss.
func (w *world) missed(user string) *fakeStream {
	w.t.Helper()
	s := w.stream("GET", "/stats", user)
	s.exchange.RequestHeaders(true)
	w.take(wire.PathLookup).miss(1)
	return s
}

func (s *fakeStream) RequestFields(dst httpcache.Fields) (httpcache.Fields, error) {
	return append(dst, s.request...), nil
}

// asRequest is the request as a rule sees it.
func (s *fakeStream) asRequest() *request {
	r := new(request)
	r.readTarget(s.request)
	r.read(s.request, s)
	return r
}

func (s *fakeStream) RequestBody(n int) ([]byte, error)         { return s.body[:n], nil }
func (s *fakeStream) ResponseFields() (httpcache.Fields, error) { return s.fields, nil }
func (s *fakeStream) ResponseBody(n int) ([]byte, error)        { return s.chunk[:min(n, len(s.chunk))], nil }

func (s *fakeStream) SetRequestField(name, value string) error {
	_ = s.RemoveRequestField(name)
	s.request = append(s.request, [2]string{name, value})
	return nil
}

func (s *fakeStream) RemoveRequestField(name string) error {
	s.request = slices.DeleteFunc(slices.Clone(s.request), func(f [2]string) bool { return f[0] == name })
	return nil
}

func (s *fakeStream) AddResponseField(name, value string) error {
	s.added = append(s.added, name+": "+value)
	return nil
}

func (s *fakeStream) Describe(rule, result string) { s.described = rule + " " + result }

func (s *fakeStream) Property(path ...string) ([]byte, bool) {
	v, ok := s.properties[strings.Join(path, ".")]
	return v, ok
}

func (s *fakeStream) Call(path string, frame []byte, _ time.Duration, done func(Answer)) error {
	return s.w.call(s.name, path, frame, done)
}

func (s *fakeStream) Reply(status uint32, pairs httpcache.Pairs, body []byte) error {
	s.mayAct()
	if s.status != 0 || s.resumed > 0 && !s.responding {
		s.w.t.Errorf("%s: a reply after a reply or a resume", s.name)
	}
	s.status, s.pairs, s.reply = status, append(s.pairs[:0], pairs...), body
	return nil
}

// replyField are the fields of the reply.
func (s *fakeStream) replyField() httpcache.Fields {
	fields, err := s.pairs.AppendFields(nil)
	if err != nil {
		s.w.t.Error(err)
	}
	return fields
}

// mayAct: a callback of the root context must have entered the stream's context.
func (s *fakeStream) mayAct() {
	if s.w.inRoot && s.w.within != s {
		s.w.t.Errorf("%s: resumed or answered from the root context", s.name)
	}
}

func (s *fakeStream) ResumeResponse() error {
	if s.released++; s.released > 1 || s.status != 0 {
		s.w.t.Errorf("%s: the response resumed %d times, reply %d", s.name, s.released, s.status)
	}
	return nil
}

func (s *fakeStream) Resume() error {
	s.mayAct()
	s.resumed++
	if s.resumed > 1 || s.status != 0 {
		s.w.t.Errorf("%s: resumed %d times, reply %d", s.name, s.resumed, s.status)
	}
	return nil
}

// respond lets the origin answer with a whole response.
func (s *fakeStream) respond(status, body string, extra ...[2]string) {
	s.head(status, append(extra, [2]string{"content-length", fmt.Sprint(len(body))})...)
	s.send(body, true)
	s.exchange.Done()
}

func (s *fakeStream) head(status string, extra ...[2]string) {
	s.fields = append(httpcache.Fields{{":status", status}}, extra...)
	replied := s.status != 0
	s.responding = true
	action := s.exchange.ResponseHeaders(false)
	s.responding = false
	s.holds = action == PauseAll
	if (action == Replaced) != (s.status != 0 && !replied) {
		s.w.t.Errorf("%s: action %v to the response's headers, reply %d", s.name, action, s.status)
	}
}

// answeredByProxy has the proxy answer by itself, without a body.
func (s *fakeStream) answeredByProxy() {
	s.fields = httpcache.Fields{{":status", "504"}}
	s.exchange.ResponseHeaders(true)
}

func (s *fakeStream) send(chunk string, end bool) {
	s.chunk = []byte(chunk)
	s.exchange.ResponseBody(len(chunk), end)
}

// cacheStatus is the member that the client sees.
func (s *fakeStream) cacheStatus() string {
	if s.status != 0 {
		return s.replyField().Get("cache-status")
	}
	if len(s.added) == 0 {
		return ""
	}
	return strings.TrimPrefix(s.added[0], "cache-status: ")
}

func (s *fakeStream) wants(status string) {
	s.w.t.Helper()
	if got := s.cacheStatus(); got != status {
		s.w.t.Errorf("%s: cache-status %q, want %q", s.name, got, status)
	}
	if rule, result, _ := strings.Cut(s.described, " "); result != resultOf(status) || (rule == "") != (status == "") {
		s.w.t.Errorf("%s: the access log has rule %q and result %q, cache-status is %q", s.name, rule, result, status)
	}
}
