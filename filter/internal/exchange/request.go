package exchange

import (
	"slices"
	"strings"

	"chatcache/filter/internal/httpcache"
	"chatcache/policy"
)

// request is the header section of a request, read once. It is what package
// policy makes keys and identities of.
type request struct {
	fields                  httpcache.Fields
	stream                  Stream
	method, authority, path string   // method is GET also of a HEAD, which a GET's response answers
	scheme                  string   // "" only in a host that doesn't say: Envoy sets it for HTTP/1.1 too
	overriding              []string // what fields say that the method is, see policy.Overrides
	head                    bool
	wants                   wants
	values                  [2]string // room for what Header gives
}

// wants are the fields of a request that its answer depends on, beside the key.
type wants struct {
	limits     bool // Cache-Control or Pragma
	conditions bool // If-None-Match or If-Modified-Since
	ranges     bool // Range
	match      bool // If-Match or If-Unmodified-Since
	upgrade    bool
	steered    policy.Steering
	refresh    bool // a request of the proxy's own, see refresh.go
}

// readTarget sets what a rule is found by. The fields stay the caller's.
func (r *request) readTarget(fields httpcache.Fields) {
	for _, f := range fields {
		switch f[0] {
		case ":method":
			r.method = f[1]
		case ":scheme":
			r.scheme = f[1]
		case ":authority":
			r.authority = f[1]
		case ":path":
			r.path = f[1]
		default:
			if policy.Overrides(f[0]) {
				r.overriding = append(r.overriding, f[1])
			}
		}
	}
	r.head = r.method == "HEAD"
	r.method = policy.StoredMethod(r.method)
}

// read reads the rest of a request that a rule was found for. The fields stay the caller's until keep.
func (r *request) read(fields httpcache.Fields, s Stream) {
	r.fields, r.stream = fields, s
	for _, f := range fields {
		r.wants.note(f[0])
	}
}

// keep makes the fields the request's own.
func (r *request) keep() { r.fields = slices.Clone(r.fields) }

func (w *wants) note(name string) {
	switch name {
	case "cache-control", "pragma":
		w.limits = true
	case "if-none-match", "if-modified-since":
		w.conditions = true
	case "range":
		w.ranges = true
	case "if-match", "if-unmodified-since":
		w.match = true
	case "upgrade":
		w.upgrade = true
	case refreshField:
		w.refresh = true
	default:
		w.steered = max(w.steered, policy.Steers(name))
	}
}

func (r *request) Method() string    { return r.method }
func (r *request) Scheme() string    { return r.scheme }
func (r *request) Authority() string { return r.authority }
func (r *request) Path() string      { return r.path }
func (r *request) Header(name string) []string {
	return r.fields.AppendValues(r.values[:0], name)
}
func (r *request) Steered() policy.Steering               { return r.wants.steered }
func (r *request) Property(path ...string) ([]byte, bool) { return r.stream.Property(path...) }

// plainPath is the path without its query.
func (r *request) plainPath() string {
	path, _, _ := strings.Cut(r.path, "?")
	return path
}

// unanswerable says why a request of a cache can't be answered from it, whatever is stored; "" if it can.
// end tells that the request has no body. To many origins a request with X-HTTP-Method-Override is of that method.
// Preconditions of a POST are about something else than whether its answer has changed; those of a QUERY aren't.
func (r *request) unanswerable(c *policy.Cache, limits httpcache.Limits, end bool) httpcache.Reason {
	bodyKeyed, post, w := c.Body != nil, r.method == "POST", r.wants
	switch {
	case w.match, post && w.conditions:
		return reasonConditional
	case post && w.ranges:
		return reasonRange
	case w.upgrade:
		return reasonUpgrade
	case len(r.overriding) > 0:
		return reasonOverridden
	case w.limits && r.fields.CacheControl().NoStore, limits.NoCache && !c.Origin:
		return reasonRequest
	case bodyKeyed && r.fields.Has("expect"):
		return reasonExpect
	case bodyKeyed && (end || r.fields.Has("content-encoding") || !policy.IsJSON(r.Header("content-type"))):
		return reasonBodyUnusable
	case !bodyKeyed && !end:
		return reasonRequestBody
	}
	return ""
}
