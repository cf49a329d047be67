package httpcache

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
)

// ErrResponse says that bytes are not a stored response.
var ErrResponse = errors.New("httpcache: not a stored response")

// Response is a stored response: what a hit answers with.
type Response struct {
	Status     uint32
	InitialAge int64 // seconds that it was old when it arrived (RFC 9111 §4.2.3)
	Fields     Fields
	Body       []byte
}

// hopByHop are fields that concern one connection (RFC 9110 §7.6.1), and those
// that a hit makes anew or that speak of a request that never happens.
var hopByHop = []string{
	"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"proxy-authenticate", "proxy-authentication-info",
	"content-length", "age", "x-envoy-upstream-service-time",
}

// StoredFields gives the fields that are kept of a response's header section
// (RFC 9111 §3.1).
func StoredFields(f Fields) Fields {
	drop := hopByHop
	f.listItems("connection", func(item string) {
		drop = append(slices.Clip(drop), strings.ToLower(item))
	})
	kept := make(Fields, 0, len(f))
	for _, field := range f {
		if !strings.HasPrefix(field[0], ":") && !slices.Contains(drop, field[0]) {
			kept = append(kept, field)
		}
	}
	return kept
}

// Append writes the response behind dst as one block without pointers:
// status, initial age and number of fields as unsigned varints, each name and
// value prefixed with its length, then the body to the end.
func (r Response) Append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Status))
	dst = binary.AppendUvarint(dst, uint64(r.InitialAge))
	dst = binary.AppendUvarint(dst, uint64(len(r.Fields)))
	for _, field := range r.Fields {
		for _, s := range field {
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		}
	}
	return append(dst, r.Body...)
}

const maxFields = 1024

// DecodeResponse reads what Append wrote. Body aliases block; room leaves space
// for that many more fields behind the stored ones.
func DecodeResponse(block []byte, room int) (Response, error) {
	status, block, ok1 := cutUint(block)
	age, block, ok2 := cutUint(block)
	count, block, ok3 := cutUint(block)
	if !ok1 || !ok2 || !ok3 || status < 100 || status > 599 || age > 1<<31 || count > maxFields {
		return Response{}, ErrResponse
	}
	r := Response{Status: uint32(status), InitialAge: int64(age), Fields: make(Fields, count, int(count)+room)}
	for i := range r.Fields {
		for j := range r.Fields[i] {
			n, rest, ok := cutUint(block)
			if !ok || n > uint64(len(rest)) {
				return Response{}, ErrResponse
			}
			r.Fields[i][j], block = string(rest[:n]), rest[n:]
		}
	}
	r.Body = block
	return r, nil
}

func cutUint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
