package httpcache

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

// ErrPairs says that bytes are not a header section in the layout of [Pairs].
var ErrPairs = errors.New("httpcache: not a list of field lines")

// Pairs is a header section as the proxy-wasm ABI hands it over (proxy_get_header_map_pairs)
// and takes it (proxy_send_local_response): the number of field lines and the lengths of each
// name and value, little-endian and 32 bits wide; then each name and value, each with a zero byte
// behind it.
type Pairs []byte

const (
	countBytes = 4 // the number of lines
	sizeBytes  = 8 // the lengths of a line's name and value
)

// AppendFields appends the field lines to dst. They share p's memory, which must not change any
// more. The error is [ErrPairs].
func (p Pairs) AppendFields(dst Fields) (Fields, error) {
	l, ok := p.lines()
	if !ok {
		return nil, ErrPairs
	}
	return l.appendFields(dst), nil
}

// Get gives the value of the first line of the name, which is in lower case, or "" if there is none. It
// shares p's memory.
func (p Pairs) Get(name string) string {
	l, ok := p.lines()
	if !ok {
		return ""
	}
	for l.len() > 0 {
		if field := l.next(); field[0] == name {
			return field[1]
		}
	}
	return ""
}

func (p Pairs) lines() (l lines, ok bool) {
	if len(p) < countBytes {
		return lines{}, len(p) == 0 // a proxy that has no lines may hand over nothing at all
	}
	l, rest, ok := cutLines(p[countBytes:], uint64(binary.LittleEndian.Uint32(p)))
	return l, ok && len(rest) == 0
}

// Pairs lays the section out.
func (f Fields) Pairs() Pairs { return lines{}.appendPairs(nil, f) }

// lines is a header section but for the number of its lines: in two parts, so that
// lines can be added at its end by copying both.
type lines struct {
	sizes []byte // of each line, sizeBytes
	data  []byte // names and values
}

// cutLines cuts so many lines off b.
func cutLines(b []byte, count uint64) (l lines, rest []byte, ok bool) {
	if count > uint64(len(b))/sizeBytes {
		return lines{}, nil, false
	}
	l.sizes, b = b[:count*sizeBytes:count*sizeBytes], b[count*sizeBytes:]
	total := uint64(0)
	for i := 0; i < len(l.sizes); i += countBytes {
		total += uint64(binary.LittleEndian.Uint32(l.sizes[i:])) + 1
	}
	if total > uint64(len(b)) {
		return lines{}, nil, false
	}
	l.data = b[:total:total]
	return l, b[total:], true
}

func (l lines) len() int { return len(l.sizes) / sizeBytes }

// next cuts the first line off. Its strings share the section's memory.
func (l *lines) next() (field [2]string) {
	for i := range field {
		n := binary.LittleEndian.Uint32(l.sizes)
		field[i] = unsafe.String(unsafe.SliceData(l.data), n)
		l.sizes, l.data = l.sizes[countBytes:], l.data[n+1:]
	}
	return field
}

func (l lines) appendFields(dst Fields) Fields {
	for l.len() > 0 {
		dst = append(dst, l.next())
	}
	return dst
}

// appendPairs appends the lines, and more behind them, as [Pairs].
func (l lines) appendPairs(dst []byte, more Fields) Pairs {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(l.len()+len(more)))
	dst = more.appendSizes(append(dst, l.sizes...))
	return more.appendData(append(dst, l.data...))
}

func (f Fields) appendSizes(dst []byte) []byte {
	for _, field := range f {
		for _, s := range field {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
		}
	}
	return dst
}

func (f Fields) appendData(dst []byte) []byte {
	for _, field := range f {
		for _, s := range field {
			dst = append(append(dst, s...), 0)
		}
	}
	return dst
}
