package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Errors of decoding. All of them match ErrFrame with errors.Is.
var (
	// ErrFrame says that bytes are not a frame of the wanted kind.
	ErrFrame = errors.New("wire: not a valid frame")
	// ErrVersion says that the frame is of another version of the protocol.
	ErrVersion = fmt.Errorf("%w: another protocol version", ErrFrame)
	// ErrLimit says that a field is longer than the limits allow.
	ErrLimit = fmt.Errorf("%w: beyond a limit", ErrFrame)
)

const version = 1

type kind byte

const (
	kindLookup kind = iota + 1
	kindLookupAnswer
	kindStore
	kindSuspend
	kindClose
	kindAck
	kindFeed
	kindFeedAnswer
	kindRelease
	kindFollow
	kindFollowAnswer
	kindJoin
	kindJoinAnswer
	kindPiece
	kindCommit
	kindLookups
	kindLookupsAnswer
	kindStores
	kindStoresAnswer
)

// writer appends fields to a buffer.
type writer struct{ buf []byte }

func newWriter(k kind, size int) *writer {
	return &writer{buf: append(make([]byte, 0, size+2), version, byte(k))}
}

func (w *writer) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }

func (w *writer) byte(b byte) { w.buf = append(w.buf, b) }

func (w *writer) bool(b bool) {
	if b {
		w.byte(1)
		return
	}
	w.byte(0)
}

func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) bytes(b []byte) {
	w.uint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) strings(list []string) {
	w.uint(uint64(len(list)))
	for _, s := range list {
		w.string(s)
	}
}

func (w *writer) ticket(t Ticket) {
	w.uint(t.Epoch)
	w.uint(t.Sequence)
}

func (w *writer) scope(s Scope) {
	w.string(s.Policy)
	w.uint(uint64(s.Horizon))
	w.uint(uint64(s.Quarantine))
}

// reader takes fields from a buffer. The first failure sticks: every later
// read gives a zero value, and finish reports it.
type reader struct {
	rest []byte
	err  error
}

func newReader(frame []byte, want kind) *reader {
	r := &reader{rest: frame}
	if len(frame) > MaxFrame {
		r.fail(ErrLimit)
		return r
	}
	switch v, k := r.byte(), r.byte(); {
	case r.err != nil:
	case v != version:
		r.fail(fmt.Errorf("%w: found %d, want %d", ErrVersion, v, version))
	case kind(k) != want:
		r.fail(fmt.Errorf("%w: found kind %d, want %d", ErrFrame, k, want))
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *reader) finish() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%w: %d bytes after its end", ErrFrame, len(r.rest))
	}
	return r.err
}

// failAt is fail for the fields whose reading goes on after a failure: what is wrong is put into
// words once.
func (r *reader) failAt(what string) {
	if r.err == nil {
		r.fail(fmt.Errorf("%w: %s", ErrFrame, what))
	}
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.failAt("cut short")
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail(fmt.Errorf("%w: boolean %d", ErrFrame, b))
	}
	return b == 1
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failAt("bad varint")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// upTo reads an integer that must not be greater than limit.
func (r *reader) upTo(limit uint64) uint64 {
	v := r.uint()
	if v > limit {
		r.fail(fmt.Errorf("%w: %d, at most %d", ErrLimit, v, limit))
		return 0
	}
	return v
}

// answers reads how many of what a frame answers, which are to be as many as were asked for.
func (r *reader) answers(limit uint64, want int, what string) int {
	n := int(r.upTo(limit))
	if r.err == nil && n != want {
		r.fail(fmt.Errorf("%w: answers %d %s, want %d", ErrFrame, n, what, want))
	}
	return n
}

// millis reads a duration in milliseconds.
func (r *reader) millis(limit int64) int64 { return int64(r.upTo(uint64(limit))) }

// bytes reads a byte string; the result aliases the frame.
func (r *reader) bytes(limit int) []byte {
	n := r.upTo(uint64(limit))
	if n > uint64(len(r.rest)) {
		r.fail(fmt.Errorf("%w: cut short", ErrFrame))
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string(limit int) string { return string(r.bytes(limit)) }

func (r *reader) groups() []string {
	n := int(r.upTo(MaxGroups))
	list := make([]string, 0, n)
	for range n {
		list = append(list, r.string(MaxGroup))
	}
	return list
}

func (r *reader) ticket() Ticket {
	return Ticket{Epoch: r.uint(), Sequence: r.uint()}
}

func (r *reader) scope() Scope {
	return Scope{
		Policy:     r.string(MaxPolicyName),
		Horizon:    r.millis(MaxTTL),
		Quarantine: r.millis(MaxQuarantine),
	}
}
