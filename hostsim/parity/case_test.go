package parity_test

import (
	"fmt"
	"slices"
	"time"

	"chatcache/hostsim"
)

// parityCase is a request, and what happens around it. Each is sent over
// HTTP/1.1 and over HTTP/2 unless it says otherwise.
type parityCase struct {
	name string
	on   string // variant, "default" if empty

	// The request.
	verb, url string
	script    []string // header fields
	body      string
	pieces    []piece         // of the body, after the first
	trailers  hostsim.Headers // the request's
	upstream  string          // which handler; "echo" if empty
	route     string          // which cluster; "backend" if empty

	http1, http2, http10 bool // only so
	// raw compares the order and the spelling of the response's fields, too.
	raw bool

	// before are answered before this one is sent; then wait passes.
	before []parityCase
	wait   time.Duration
	// beside are under way when this one is sent: the module has logged a line of
	// theirs that begins with their begun, "request-headers" if empty.
	beside []parityCase
	begun  string
	// opens lets upstreams that wait for it go on when the module has logged a line
	// that begins so, and fills when the proxy has taken what it takes of a message
	// that is held; without them, they do when this case's own stream is over.
	opens string
	fills bool
	// leave lets the client go away when the module has logged a line that begins so.
	leave string
	// reached: the client goes only when the upstream has this many requests, for
	// what Envoy hasn't sent by then it never sends.
	reached int
	// hangs: it isn't answered; the client leaves when the module has logged a line
	// that begins so, and all else is over.
	hangs string

	// stall is how long the client leaves its response unread.
	stall time.Duration

	until string // the module's last log line begins so; "done" if empty, none if "-"
	// settle: in which order things happen isn't told by what the streams do.
	settle bool
	// state compares %FILTER_STATE(wasm.mine:PLAIN)% of the access log.
	state bool
	// fresh: it needs a listener and VMs of its own, for what it does to them.
	fresh  bool
	expect hostsim.FailureKind

	listener string // of the real Envoy; the variant's if empty
}

// piece is sent when the module has logged a line that begins with after, and the
// upstream has noted so many requests and what it read of them.
type piece struct {
	after, text string
	reached     int
}

func or(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

func (c parityCase) method() string  { return or(c.verb, "GET") }
func (c parityCase) path() string    { return or(c.url, "/x") }
func (c parityCase) variant() string { return or(c.on, "default") }

func (c parityCase) headers() hostsim.Headers {
	h := hostsim.Headers{{"x-upstream", or(c.upstream, "echo")}, {"x-route", or(c.route, "backend")}}
	for i := 0; i+1 < len(c.script); i += 2 {
		h.Add(c.script[i], c.script[i+1])
	}
	return h
}

// over is the case with all its requests over one protocol, to one listener.
func (c parityCase) over(http2 bool) parityCase {
	listener := c.variant()
	if c.fresh {
		listener = fmt.Sprintf("%s, http2 %v", c.name, http2)
	}
	return c.to(listener, http2)
}

func (c parityCase) to(listener string, http2 bool) parityCase {
	c.listener, c.http2 = listener, http2
	for _, others := range []*[]parityCase{&c.before, &c.beside} {
		var all []parityCase
		for _, o := range *others {
			all = append(all, o.to(listener, http2))
		}
		*others = all
	}
	return c
}

// versions are the case over each protocol that it is for.
func (c parityCase) versions() []parityCase {
	var all []parityCase
	if !c.http2 {
		all = append(all, c.over(false))
	}
	if !c.http1 && !c.http10 && !c.raw {
		all = append(all, c.over(true))
	}
	return all
}

// variant is one way of configuring the plugin and its listener.
type variant struct {
	name      string
	allow     bool   // allow_on_headers_stop_iteration
	policy    string // FAIL_…
	backoff   string // reload_config's base interval
	limit     int    // per_connection_buffer_limit_bytes
	retry     bool   // one retry of 5xx
	impatient bool   // a short route timeout
	normalize bool   // normalize_path and merge_slashes
	edge      bool   // use_remote_address
	config    string // of the plugin
	structure string // the plugin's configuration as a Struct, in JSON
	vmID      string // the name if empty
	vmConfig  string
	env       map[string]string
}

var variants = []variant{
	{name: "default"},
	{name: "allow", allow: true, limit: smallLimit},
	{name: "allow-large", allow: true},
	{name: "small", limit: smallLimit},
	{name: "impatient", impatient: true},
	{name: "retry", retry: true},
	{name: "normalize", normalize: true},
	{name: "edge", edge: true},
	{name: "queue", config: "queue q; on-queue call backend /queued 5000"},
	{name: "closed", policy: "FAIL_CLOSED"},
	{name: "open", policy: "FAIL_OPEN"},
	{name: "reload", policy: "FAIL_RELOAD", backoff: "0.002s"},
	{name: "reload-slowly", policy: "FAIL_RELOAD", backoff: "2s"},
}

func (v variant) routeTimeout() time.Duration {
	if v.impatient {
		return 2 * time.Second // in which a busy machine gets the first of the answer through
	}
	return 10 * time.Second
}

// listeners are the variants, and one for each case that needs its own.
func listeners() []variant {
	all := slices.Clone(variants)
	for _, c := range allCases() {
		if !c.fresh {
			continue
		}
		for _, version := range c.versions() {
			v := variantNamed(c.variant())
			v.name = version.listener
			all = append(all, v)
		}
	}
	return all
}

func variantNamed(name string) variant {
	for _, v := range variants {
		if v.name == name {
			return v
		}
	}
	panic("there is no variant " + name)
}
