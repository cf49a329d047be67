package h2c

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
)

// newRequest puts a request together. It is not ok where RFC 9113 calls a request malformed (sections 8.2
// and 8.3), or it is CONNECT. Of pseudo-header fields http2 has seen that each is there once at most.
func newRequest(ctx context.Context, f *http2.MetaHeadersFrame, nc net.Conn) (r *http.Request, ok bool) {
	r = &http.Request{
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: make(http.Header, len(f.Fields)),
		RemoteAddr: nc.RemoteAddr().String(), ContentLength: -1,
	}
	scheme := ""
	for _, field := range f.Fields {
		switch name, value := field.Name, field.Value; name {
		case ":method":
			r.Method = value
		case ":path":
			r.RequestURI = value
		case ":authority":
			r.Host = value
		case ":scheme":
			scheme = value
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade", ":protocol":
			return nil, false
		case "te":
			if value != "trailers" {
				return nil, false
			}
		case "host":
			if r.Host == "" {
				r.Host = value
			}
		case "cookie": // may come in pieces
			if have := r.Header["Cookie"]; len(have) > 0 {
				have[0] += "; " + value
			} else {
				r.Header["Cookie"] = []string{value}
			}
		case "content-length":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil || r.ContentLength >= 0 && r.ContentLength != int64(n) {
				return nil, false
			}
			r.ContentLength = int64(n)
			r.Header["Content-Length"] = []string{value}
		default:
			name = http.CanonicalHeaderKey(name)
			r.Header[name] = append(r.Header[name], value)
		}
	}
	if r.Method == "" || r.Method == http.MethodConnect || scheme != "http" && scheme != "https" {
		return nil, false
	}
	if r.URL, ok = target(r.RequestURI); !ok {
		return nil, false
	}
	if r.ContentLength < 0 && f.StreamEnded() {
		r.ContentLength = 0
	}
	return r.WithContext(ctx), true
}

// target reads a path with its query, or "*".
func target(path string) (*url.URL, bool) {
	if path == "*" {
		return &url.URL{Path: path}, true
	}
	u, err := url.ParseRequestURI(path)
	return u, err == nil && strings.HasPrefix(path, "/")
}

// WholeBody is what the body of each request is: all of it is there when the handler begins.
type WholeBody interface {
	Whole() []byte // not a copy
}

// body is a request's body, which is there as a whole.
type body struct {
	bytes.Reader
	whole []byte
}

func newBody(b []byte) *body {
	r := &body{whole: b}
	r.Reset(b)
	return r
}

func (*body) Close() error { return nil }

func (b *body) Whole() []byte { return b.whole }
