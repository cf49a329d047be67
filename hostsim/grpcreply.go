package hostsim

import (
	"fmt"
	"strconv"
	"strings"
)

// isGRPC reports whether the request is one of gRPC, which gets its replies in headers alone.
func (st *Stream) isGRPC() bool {
	kind := st.req.Headers.Get("content-type")
	return kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+")
}

// grpcReply is a local reply to gRPC: always 200, the status and the body in header fields.
func grpcReply(h Headers, r localReply, head bool) Headers {
	code := grpcFromHTTP(r.status)
	if r.grpcStatus != nil {
		code = *r.grpcStatus
	}
	h.Set(":status", "200")
	h.Set("content-type", "application/grpc")
	if !h.Has("grpc-status") {
		h.Add("grpc-status", strconv.Itoa(int(code)))
	}
	if len(r.body) > 0 && !head {
		h.Set("grpc-message", percentEncode(string(r.body)))
	}
	h.Del("content-length")
	return h
}

// grpcFromHTTP is Envoy's mapping of an HTTP status.
func grpcFromHTTP(status int) int32 {
	switch status {
	case 400:
		return 13
	case 401:
		return 16
	case 403:
		return 7
	case 404:
		return 12
	case 429, 502, 503, 504:
		return 14
	}
	return 2
}

// percentEncode leaves printable ASCII but %.
func percentEncode(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
