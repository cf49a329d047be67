package wire

import (
	"bytes"
	"strings"
	"testing"
)

// A frame whose end was gathered is the frame that Encode gives, whatever was gathered: nothing, more than
// there was space for, or behind another message's room.
func TestTail(t *testing.T) {
	scope := Scope{Policy: strings.Repeat("p", MaxPolicyName), Horizon: MaxTTL, Quarantine: MaxQuarantine}
	store := StoreRequest{Scope: scope, Key: strings.Repeat("k", MaxKey), TTL: MaxTTL, Fetch: strings.Repeat("f", MaxID)}
	piece := PieceRequest{Scope: scope, Key: store.Key, Upload: store.Fetch, Offset: MaxEntry}
	for name, m := range map[string]struct {
		room       int
		encode     func(b []byte) []byte
		encodeWith func(*Tail) []byte
	}{
		"store": {store.Room(), func(b []byte) []byte { m := store; m.Entry = b; return m.Encode() }, store.EncodeWith},
		"piece": {piece.Room(), func(b []byte) []byte { m := piece; m.Bytes = b; return m.Encode() }, piece.EncodeWith},
	} {
		for _, size := range []int{0, 1, 1000, 3000, 1 << 20} {
			for _, room := range []int{m.room, 0, 10 * m.room} {
				tail := NewTail(room, 1000)
				for range 2 {
					tail.AppendBytes(bytes.Repeat([]byte("a"), size))
					tail.Append(func(dst []byte) []byte { return append(dst, 'b') })
					b := append(bytes.Repeat([]byte("a"), size), 'b')
					if tail.Len() != len(b) || !bytes.Equal(tail.Bytes(), b) {
						t.Fatalf("%s: gathered %d bytes, want %d", name, tail.Len(), len(b))
					}
					if !bytes.Equal(m.encodeWith(tail), m.encode(b)) {
						t.Errorf("%s with %d bytes behind a room of %d: another frame than Encode gives", name, len(b), room)
					}
					tail.Reset()
				}
			}
		}
		tail := NewTail(m.room, 1000)
		if n := testing.AllocsPerRun(10, func() { tail.Reset(); tail.AppendBytes(make([]byte, 500)); m.encodeWith(tail) }); n > 4 {
			t.Errorf("%s: %v allocations for a frame", name, n)
		}
	}
}
