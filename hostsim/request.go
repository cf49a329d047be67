package hostsim

import (
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Request is what a client sends. The zero values of Method, Authority and
// Scheme mean GET, example.com and http.
type Request struct {
	Method, Path, Authority, Scheme string
	Headers                         Headers
	Body                            []byte
	// Trailers reach the module over HTTP/2 only, as with Envoy's defaults.
	Trailers Headers
	// Open keeps the request unfinished after Headers and Body: Stream.SendBody goes on with it.
	Open bool
	// HTTP2 shapes the downstream side as HTTP/2: the end of stream comes with the last data.
	HTTP2 bool
	// HTTP10 sends the request as HTTP/1.0, which Envoy refuses with 426 before any
	// filter sees it: the module hears only of the stream's end.
	HTTP10 bool
	// Metadata is dynamic metadata as filters in front would leave it, by their
	// names: {"envoy.filters.http.jwt_authn": {"payload": {"sub": "u1"}}}.
	Metadata map[string]any
	// Properties are set or overwritten for this stream, by dotted path
	// ("source.address", "connection.uri_san_peer_certificate").
	Properties map[string]any
}

// NewRequest makes a request with header fields given as name, value, ….
func NewRequest(method, path string, fields ...string) *Request {
	r := &Request{Method: method, Path: path}
	for i := 0; i+1 < len(fields); i += 2 {
		r.Headers.Add(fields[i], fields[i+1])
	}
	return r
}

// Get makes a GET request with header fields given as name, value, ….
func Get(path string, fields ...string) *Request { return NewRequest("GET", path, fields...) }

// Post makes a POST request with a body.
func Post(path, body string, fields ...string) *Request {
	r := NewRequest("POST", path, fields...)
	r.Body = []byte(body)
	return r
}

// Response is what the client got.
type Response struct {
	Status   int
	Headers  Headers // without pseudo-headers
	Body     []byte
	Trailers Headers
	// Complete is false when the stream was reset before its end.
	Complete bool
	// Details are Envoy's response code details.
	Details string

	length int // of the body as its headers say; -1 when they don't
}

// Get is the first value of a header field.
func (r *Response) Get(name string) string { return r.Headers.Get(name) }

// upgrade is the protocol that the request asks for in place of HTTP/1.1.
func (r *Request) upgrade() (protocol string, asks bool) {
	asks = !r.HTTP2 && r.Headers.Has("upgrade") && httpguts.HeaderValuesContainsToken(r.Headers.Values("connection"), "upgrade")
	return r.Headers.Get("upgrade"), asks
}

// isHopByHop tells the request fields that Envoy's connection manager removes.
func isHopByHop(name string) bool {
	switch strings.ToLower(name) {
	case "connection", "keep-alive", "proxy-connection", "upgrade":
		return true
	}
	return false
}

// isInternal tells the request fields that steer Envoy's router, or that proxies tell each other; from clients outside, which all are here,
// they are removed.
func isInternal(name string) bool {
	switch strings.ToLower(name) {
	case "x-envoy-retriable-status-codes", "x-envoy-retriable-header-names", "x-envoy-retry-on", "x-envoy-retry-grpc-on", "x-envoy-max-retries",
		"x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms",
		"x-envoy-upstream-rq-timeout-alt-response", "x-envoy-expected-rq-timeout-ms", "x-envoy-force-trace", "x-envoy-ip-tags",
		"x-envoy-original-url", "x-envoy-hedge-on-per-try-timeout", "x-envoy-internal",
		"x-envoy-upstream-stream-duration-ms", "x-forwarded-client-cert":
		return true
	}
	return false
}
