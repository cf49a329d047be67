package wire

import "slices"

// Tail gathers the bytes that end a frame, behind room for the frame's beginning: what is large
// becomes part of the frame where it lies, without being copied.
type Tail struct {
	buf  []byte
	room int
}

// NewTail gives an empty one behind room bytes, as the message says that it needs, with
// space for size bytes before it has to grow.
func NewTail(room, size int) *Tail {
	return &Tail{buf: make([]byte, room, room+size), room: room}
}

// Append adds what write appends to its argument.
func (t *Tail) Append(write func(dst []byte) []byte) { t.buf = write(t.buf) }

// AppendBytes adds b. What grows doubles, for it becomes large.
func (t *Tail) AppendBytes(b []byte) {
	if len(t.buf)+len(b) > cap(t.buf) {
		t.buf = slices.Grow(t.buf, max(len(b), cap(t.buf)))
	}
	t.buf = append(t.buf, b...)
}

// Bytes are those that were added, good until the next call.
func (t *Tail) Bytes() []byte { return t.buf[t.room:] }

// Len is how many they are.
func (t *Tail) Len() int { return len(t.buf) - t.room }

// Reset forgets them, and keeps the memory.
func (t *Tail) Reset() { t.buf = t.buf[:t.room] }

// under gives the frame that begins as w has it, and ends with the tail as a byte string. It shares the
// tail's memory.
func (t *Tail) under(w *writer) []byte {
	w.uint(uint64(t.Len()))
	if len(w.buf) > t.room { // the room of another message
		return append(w.buf, t.Bytes()...)
	}
	start := t.room - len(w.buf)
	copy(t.buf[start:], w.buf)
	return t.buf[start:]
}
