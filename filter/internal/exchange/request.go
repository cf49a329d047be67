package exchange

import (
	"strings"

	"chatcache/filter/internal/httpcache"
)

// request is the header section of a request, read once. It is what package
// policy makes keys and identities of.
type request struct {
	fields                  httpcache.Fields
	stream                  Stream
	method, authority, path string
}

func newRequest(s Stream) (*request, error) {
	fields, err := s.RequestFields()
	if err != nil {
		return nil, err
	}
	r := &request{fields: fields, stream: s}
	for _, f := range fields {
		switch f[0] {
		case ":method":
			r.method = f[1]
		case ":authority":
			r.authority = f[1]
		case ":path":
			r.path = f[1]
		}
	}
	return r, nil
}

func (r *request) Method() string                         { return r.method }
func (r *request) Authority() string                      { return r.authority }
func (r *request) Path() string                           { return r.path }
func (r *request) Header(name string) []string            { return r.fields.Values(name) }
func (r *request) Property(path ...string) ([]byte, bool) { return r.stream.Property(path...) }

// plainPath is the path without its query.
func (r *request) plainPath() string {
	path, _, _ := strings.Cut(r.path, "?")
	return path
}

// unanswerable says why a request of a cache can't be answered from it,
// whatever is stored; end tells that the request has no body.
func (r *request) unanswerable(bodyKeyed, end bool) httpcache.Reason {
	cc := r.fields.CacheControl()
	switch {
	case r.method == "HEAD":
		return reasonHead
	case r.fields.Has("range"):
		return reasonRange
	case r.fields.Has("if-none-match"), r.fields.Has("if-modified-since"), r.fields.Has("if-match"),
		r.fields.Has("if-unmodified-since"), r.fields.Has("if-range"):
		return reasonConditional
	case r.fields.Has("upgrade"):
		return reasonUpgrade
	case cc.NoStore, cc.NoCache, r.fields.Get("pragma") == "no-cache":
		return reasonRequest
	case bodyKeyed && r.fields.Has("expect"):
		return reasonExpect
	case bodyKeyed && (end || r.fields.Has("content-encoding")):
		return reasonBodyUnusable
	case !bodyKeyed && !end:
		return reasonRequestBody
	}
	return httpcache.Storable
}
