package exchange

import (
	"slices"
	"time"
)

// unlogged are the streams whose end the proxy may not tell of. It does so when it logs them, and by HTTP/3 Envoy logs a stream
// once the client has acknowledged all of it (quic_defer_logging_to_ack_listener, on by default; measured in 1.40):
//
//  1. the last part of the response passes the filter
//  2. the stream is destroyed, and its context in the VM
//  3. it is logged: there is no context any more that could be told
//
// So 1 is the end of such a stream. Of one that has no 1, since its response was cut, the end is noticed when its context
// can't be entered any more: nothing of it is stored then, and a write's outcome is unknown.
type unlogged struct {
	streams []*Exchange
	next    int64 // when they are looked after, monotonic nanoseconds
}

const (
	lookAfterUnlogged = time.Second
	protocolUnlogged  = "HTTP/3"
)

// watch looks after the stream, if need be. One that was answered at once has nothing to end.
func (e *Exchange) watch() {
	if protocol, _ := e.stream.Property("request", "protocol"); string(protocol) == protocolUnlogged {
		e.unlogged = true
		e.state.unlogged.streams = append(e.state.unlogged.streams, e)
	}
}

// passed takes notice that a part of the response passes, which is the last one if end is set.
func (e *Exchange) passed(end bool) {
	if end && e.unlogged && e.phase == flowing {
		e.Done()
	}
}

func (u *unlogged) run(p *Plugin, now int64) {
	if len(u.streams) == 0 || now < u.next {
		return
	}
	u.next = now + int64(lookAfterUnlogged)
	u.streams = slices.DeleteFunc(u.streams, func(e *Exchange) bool {
		if e.phase != ended && !p.host.Within(e.stream, func() {}) {
			e.Done()
		}
		return e.phase == ended
	})
}
