package h2c

import (
	"encoding/binary"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

const (
	// maxOut is from where on frames wait until others have been written, bytes.
	maxOut = 64 << 10
	// outBuffer is room for some short answers, bytes.
	outBuffer = 4 << 10

	frameHeader = 9 // bytes (RFC 9113, section 4.1)
)

// outs are buffers for what is to be written: a connection has one only while it has something to say.
var outs = sync.Pool{New: func() any { return new(make([]byte, 0, outBuffer)) }}

// buffer gives out, or one where there is none.
func buffer(out []byte) []byte {
	if out != nil {
		return out
	}
	return (*outs.Get().(*[]byte))[:0]
}

// flush writes what there is to write, unless somebody else does so: whoever writes goes on until nothing is
// left. The mutex is free meanwhile, so that afterwards anything may have happened. What other
// handlers that are ready answer goes out together with this: a write costs more than all else.
func (c *conn) flush() {
	if c.writing {
		return
	}
	c.writing = true
	if len(c.out) > 0 {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	for len(c.out) > 0 && !c.failed {
		out := c.out
		c.out = nil
		c.mu.Unlock()
		_ = c.nc.SetWriteDeadline(time.Now().Add(c.server.WriteTimeout)) // a connection that is broken can't be written to either
		_, err := c.nc.Write(out)
		if cap(out) <= 2*maxOut {
			outs.Put(&out)
		}
		c.mu.Lock()
		if c.room.Broadcast(); err != nil {
			c.fail()
			c.nc.Close() // the reading goroutine ends, too
		}
	}
	if c.writing = false; c.failed {
		c.out = nil
	}
}

// answer sends what a handler has answered, as the client's windows let it, and ends the stream.
func (c *conn) answer(s *stream, r *response) {
	r.complete(s.request.Method)
	c.mu.Lock()
	defer c.mu.Unlock()
	code := http2.ErrCodeNo
	if body := r.body; !s.gone {
		var ok bool
		if c.out, ok = c.appendHeaders(buffer(c.out), s.id, r); !ok {
			code, body = http2.ErrCodeInternal, nil
		}
		for len(body) > 0 && !s.gone && !c.failed {
			n := min(int64(len(body)), int64(c.maxFrame), s.window, c.window)
			if n <= 0 || len(c.out) > maxOut {
				c.awaitRoom(s)
				continue
			}
			s.window, c.window = s.window-n, c.window-n
			c.out = appendFrame(buffer(c.out), http2.FrameData, flagsOf(int(n) == len(body), http2.FlagDataEndStream), s.id, int(n))
			c.out, body = append(c.out, body[:n]...), body[n:]
		}
	}
	c.finishLocked(s, code)
	c.flush()
}

// awaitRoom waits until the client takes more of a stream, or it has taken too long.
func (c *conn) awaitRoom(s *stream) {
	if len(c.out) > 0 && !c.writing {
		c.flush()
		return
	}
	if s.timer == nil {
		s.timer = time.AfterFunc(c.server.WriteTimeout, func() { c.resetStream(s.id, http2.ErrCodeCancel) })
	}
	c.room.Wait()
}

func flagsOf(set bool, flag http2.Flags) http2.Flags {
	if set {
		return flag
	}
	return 0
}

// appendFrame begins a frame of so many bytes.
func appendFrame(out []byte, kind http2.FrameType, flags http2.Flags, stream uint32, length int) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(out, stream)
}

func appendSettings(out []byte, list ...http2.Setting) []byte {
	out = appendFrame(out, http2.FrameSettings, 0, 0, 6*len(list))
	for _, s := range list {
		out = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(out, uint16(s.ID)), s.Val)
	}
	return out
}

func appendSettingsAck(out []byte) []byte {
	return appendFrame(out, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
}

func appendPingAck(out []byte, data [8]byte) []byte {
	return append(appendFrame(out, http2.FramePing, http2.FlagPingAck, 0, len(data)), data[:]...)
}

func appendWindowUpdate(out []byte, stream uint32, more int) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(out, http2.FrameWindowUpdate, 0, stream, 4), uint32(more))
}

func appendReset(out []byte, stream uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(out, http2.FrameRSTStream, 0, stream, 4), uint32(code))
}

func appendGoAway(out []byte, last uint32, code http2.ErrCode) []byte {
	out = binary.BigEndian.AppendUint32(appendFrame(out, http2.FrameGoAway, 0, 0, 8), last)
	return binary.BigEndian.AppendUint32(out, uint32(code))
}

// What HPACK's static table has of an answer's fields (RFC 7541, appendix A).
const (
	indexStatus     = 8
	indexLength     = 28
	indexType       = 31
	indexDate       = 33
	emptyTable      = 0x20 // sets the size of the dynamic table to 0
	indexedField    = 0x80
	withoutIndexing = 0x0f // less than that: the index, otherwise what is missing in the next byte
)

// appendHeaders appends an answer's header section; it isn't ok if that doesn't fit a frame. The dynamic table
// isn't used, and the client is told so at first: whatever size it sets, nothing is to be said again.
func (c *conn) appendHeaders(out []byte, stream uint32, r *response) (_ []byte, ok bool) {
	start := len(out)
	out = appendFrame(out, http2.FrameHeaders, http2.FlagHeadersEndHeaders|flagsOf(len(r.body) == 0, http2.FlagHeadersEndStream), stream, 0)
	if !c.tableSaid {
		out = append(out, emptyTable)
	}
	if r.status == http.StatusOK {
		out = append(out, indexedField|indexStatus)
	} else {
		out = appendLiteral(append(out, indexStatus), strconv.Itoa(r.status))
	}
	for name, values := range r.header {
		if !httpguts.ValidHeaderFieldName(name) || name == "Connection" {
			continue
		}
		for _, value := range values {
			if httpguts.ValidHeaderFieldValue(value) {
				out = appendLiteral(appendName(out, name), value)
			}
		}
	}
	length := len(out) - start - frameHeader
	if length > initialFrame {
		return out[:start], false
	}
	c.tableSaid = true
	out[start], out[start+1], out[start+2] = byte(length>>16), byte(length>>8), byte(length)
	return out, true
}

// appendName begins a field that isn't indexed.
func appendName(out []byte, name string) []byte {
	switch name {
	case "Content-Length":
		return append(out, withoutIndexing, indexLength-withoutIndexing)
	case "Content-Type":
		return append(out, withoutIndexing, indexType-withoutIndexing)
	case "Date":
		return append(out, withoutIndexing, indexDate-withoutIndexing)
	}
	out = appendLength(append(out, 0), len(name))
	for i := 0; i < len(name); i++ {
		b := name[i]
		if 'A' <= b && b <= 'Z' {
			b |= 0x20
		}
		out = append(out, b)
	}
	return out
}

func appendLiteral(out []byte, s string) []byte {
	return append(appendLength(out, len(s)), s...)
}

// appendLength appends an integer with a prefix of seven bits (RFC 7541, section 5.1).
func appendLength(out []byte, n int) []byte {
	const full = 1<<7 - 1
	if n < full {
		return append(out, byte(n))
	}
	out = append(out, full)
	for n -= full; n >= 1<<7; n >>= 7 {
		out = append(out, byte(n)|1<<7)
	}
	return append(out, byte(n))
}
