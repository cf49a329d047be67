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
	InitialAge int64 // seconds that it was old when it was stored (RFC 9111 §4.2.3)
	Freshness
	// Variant is that of the request which it answered, where its fields have Vary names
	// beyond the key; Varies tells whether they have.
	Varies  bool
	Variant [16]byte
	Fields  Fields // of a decoded one only after ReadFields
	Body    []byte

	lines lines // the fields of a decoded one
}

// hopByHop are fields that concern one connection (RFC 9110 §7.6.1), and those
// that a hit makes anew or that speak of a request that never happens.
var hopByHop = []string{
	"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	"proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
	"content-length", "age",
	"endpoint-load-metrics", "endpoint-load-metrics-bin", // how busy the origin was then (ORCA), which a proxy in front would take for this one's load
}

// fromEnvoy begins the fields by which one Envoy tells the next of a single request or host. Replayed by a hit they would be told of this proxy: by
// X-Envoy-Immediate-Health-Check-Fail, which a host that is being drained sends with each response, the one before would take it for a host that
// fails (source/common/router/router.cc, onUpstreamHeaders), for as long as the response is stored.
const fromEnvoy = "x-envoy-"

// StoredFields gives the fields that are kept of a response's header section
// (RFC 9111 §3.1), without those of the lower-case names in without.
func StoredFields(f Fields, without []string) Fields {
	drop := append(slices.Clip(hopByHop), without...)
	f.listItems("connection", func(item string) {
		drop = append(drop, strings.ToLower(item))
	})
	kept := make(Fields, 0, len(f))
	for _, field := range f {
		if !strings.HasPrefix(field[0], ":") && !strings.HasPrefix(field[0], fromEnvoy) && !slices.Contains(drop, field[0]) {
			kept = append(kept, field)
		}
	}
	return kept
}

// Dated gives the section a Date, if it has none: when it came, in seconds since 1970. RFC 9110 §6.6.1
// wants that of whoever stores it.
func (f Fields) Dated(unix int64) Fields {
	if f.Has("date") {
		return f
	}
	return append(slices.Clip(f), [2]string{"date", FormatDate(unix)})
}

// layout is the first byte of a stored response. Earlier layouts have others, and the first one
// began with a status, which 3 never begins.
const layout = 3

// Flags of a stored response.
const (
	flagStrict = 1 << iota
	flagImmutable
	flagVaries
)

// Append writes the response behind dst as one block without pointers: the layout's
// number and the flags, a byte each; status, initial age, lifetime, while-revalidate, if-error and
// number of fields as unsigned varints; the variant, if there is one; the fields as [Pairs] has
// them behind their number; the body to the end.
func (r Response) Append(dst []byte) []byte {
	r.ReadFields(0) // those of a decoded one
	dst = append(dst, layout, flag(r.Strict, flagStrict)|flag(r.Immutable, flagImmutable)|flag(r.Varies, flagVaries))
	for _, n := range [...]int64{int64(r.Status), r.InitialAge, r.Lifetime, r.WhileRevalidate, r.IfError, int64(len(r.Fields))} {
		dst = binary.AppendUvarint(dst, uint64(n))
	}
	if r.Varies {
		dst = append(dst, r.Variant[:]...)
	}
	return append(r.Fields.appendData(r.Fields.appendSizes(dst)), r.Body...)
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

const maxFields = 1024

// DecodeResponse reads what Append wrote, but for the fields, which [Response.ReadFields] reads where
// somebody needs them: most hits hand them on as they are. The response shares block's memory. The
// error is [ErrResponse].
func DecodeResponse(block []byte) (Response, error) {
	if len(block) < 2 || block[0] != layout {
		return Response{}, ErrResponse
	}
	flags, block := block[1], block[2:]
	var numbers [6]uint64
	for i := range numbers {
		n, rest, ok := cutUint(block)
		if !ok || n > 1<<32 {
			return Response{}, ErrResponse
		}
		numbers[i], block = n, rest
	}
	status, count := numbers[0], numbers[5]
	if status < 200 || status > 599 || count > maxFields {
		return Response{}, ErrResponse
	}
	r := Response{
		Status: uint32(status), InitialAge: int64(numbers[1]),
		Freshness: Freshness{
			Lifetime: int64(numbers[2]), WhileRevalidate: int64(numbers[3]), IfError: int64(numbers[4]),
			Strict: flags&flagStrict != 0, Immutable: flags&flagImmutable != 0,
		},
		Varies: flags&flagVaries != 0,
	}
	if r.Varies {
		if len(block) < len(r.Variant) {
			return Response{}, ErrResponse
		}
		block = block[copy(r.Variant[:], block):]
	}
	var ok bool
	if r.lines, r.Body, ok = cutLines(block, count); !ok {
		return Response{}, ErrResponse
	}
	return r, nil
}

// ReadFields sets the fields of a decoded response, with space for so many more behind them. They share
// its block's memory.
func (r *Response) ReadFields(room int) {
	if r.Fields == nil {
		r.Fields = r.lines.appendFields(make(Fields, 0, r.lines.len()+room))
	}
}

// AppendPairs appends the header section of a decoded response, as it was stored, and more behind it.
func (r *Response) AppendPairs(dst []byte, more Fields) Pairs { return r.lines.appendPairs(dst, more) }

func cutUint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
