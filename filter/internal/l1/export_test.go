package l1

import (
	"fmt"
	"hash/maphash"
)

// SharePlace tells whether two groups are remembered in one place.
func SharePlace(a, b Slot) bool { return a.place() == b.place() }

// Collide has a key look where the other one stands, as if both had one hash.
func (s *Store) Collide(key, other []byte) {
	s.items[maphash.Bytes(s.seed, key)] = s.items[maphash.Bytes(s.seed, other)]
}

// Check says what of the store's books isn't true, "" if all is.
func (s *Store) Check() string {
	bytes, live, items, order := 0, 0, 0, map[uint32]bool{}
	for _, number := range s.order {
		g := s.segments[number]
		if g == nil || g.number != number || order[number] {
			return fmt.Sprintf("segment %d stands in the order, and isn't there, or twice", number)
		}
		order[number] = true
		bytes += g.bytes()
		alive := 0
		for i := range g.records {
			r := &g.records[i]
			if at, ok := s.items[r.hash]; r.live != (ok && at == address{number, uint32(i)}) {
				return fmt.Sprintf("record %d of segment %d is live: %v, the key's address is %v", i, number, r.live, at)
			}
			if r.live {
				alive++
				live += g.cost(r)
			}
		}
		if items += alive; alive != g.live || alive == 0 && g != s.open {
			return fmt.Sprintf("segment %d has %d live items, and says %d", number, alive, g.live)
		}
	}
	for number, g := range s.segments {
		if g != nil && !order[uint32(number)] {
			return fmt.Sprintf("segment %d isn't in the order", number)
		}
	}
	if bytes != s.bytes || live != s.live || items != len(s.items) {
		return fmt.Sprintf("%d bytes, %d of them live, of %d items; the store says %d, %d and %d", bytes, live, items, s.bytes, s.live, len(s.items))
	}
	return ""
}
