package l1

import (
	"bytes"
	"hash/maphash"
	"slices"
)

const (
	// maxSegment bounds a segment, unless one item alone is larger: what is copied in one callback, and what one item
	// that somebody still reads keeps in memory.
	maxSegment = 256 << 10
	// minSegments is how many segments a full store has at least, so that one is a small part of it.
	minSegments = 32
)

// Store holds items up to a number of bytes: a log of segments. New items are written behind the last ones. Where they need
// room, the oldest segment goes; what was used of it since it was written moves to the log's end, and
// only the rest is dropped (CLOCK, or FIFO with reinsertion, of whole segments). Nothing in it but the
// few segments has a pointer, so that the garbage collector has as little to do for 64 MiB as for none.
type Store struct {
	maxBytes int
	bytes    int // of all segments
	live     int // of these, what the items need
	seed     maphash.Seed
	items    map[uint64]address // by the key's hash; of two keys that share one, the later has it
	segments []*segment         // by number; nil: not in use
	order    []uint32           // the segments' numbers, the oldest first
	open     *segment           // which new items are written to; nil if none
}

// address is where an item stands: the numbers of its segment, and of its record there.
type address struct{ segment, record uint32 }

// NewStore gives an empty store of at most maxBytes bytes.
func NewStore(maxBytes int) *Store {
	s := &Store{maxBytes: maxBytes, seed: maphash.MakeSeed()}
	s.Clear()
	return s
}

// Get finds an item that hasn't expired at now. An expired one is dropped. The item shares the store's memory, which
// nobody writes to again; whoever keeps it for long keeps a whole segment, and should copy it.
func (s *Store) Get(key []byte, now int64) (Item, bool) {
	hash := maphash.Bytes(s.seed, key)
	at, ok := s.items[hash]
	if !ok {
		return Item{}, false
	}
	g := s.segments[at.segment]
	r := &g.records[at.record]
	switch {
	case !bytes.Equal(g.key(r), key):
		return Item{}, false
	case now >= r.expires:
		s.forget(hash)
		return Item{}, false
	}
	r.used = true
	return g.item(r), true
}

// Put stores an item in place of an earlier one under the key; what has expired at now makes room first. An item that is
// larger than the whole store is left out. Everything is copied.
func (s *Store) Put(key []byte, item Item, now int64) {
	hash := maphash.Bytes(s.seed, key)
	s.forget(hash)
	if cost(key, item) > s.maxBytes {
		return
	}
	s.write(hash, key, item)
	s.makeRoom(now)
}

// Delete drops the item under the key.
func (s *Store) Delete(key []byte) {
	hash := maphash.Bytes(s.seed, key)
	if at, ok := s.items[hash]; ok {
		if g := s.segments[at.segment]; bytes.Equal(g.key(&g.records[at.record]), key) {
			s.forget(hash)
		}
	}
}

// Clear drops everything.
func (s *Store) Clear() {
	s.bytes, s.live, s.open = 0, 0, nil
	s.items = make(map[uint64]address)
	s.segments, s.order = nil, nil
}

// Resize sets a new bound and drops what no longer fits.
func (s *Store) Resize(maxBytes int, now int64) {
	s.maxBytes = maxBytes
	s.makeRoom(now)
}

// Bytes is what the store takes, never more than the bound.
func (s *Store) Bytes() int { return s.bytes }

// Len is the number of items.
func (s *Store) Len() int { return len(s.items) }

// write puts an item behind the others.
func (s *Store) write(hash uint64, key []byte, item Item) {
	g := s.segmentFor(len(key) + len(item.Definition) + len(item.Block))
	s.bytes -= g.bytes()
	s.items[hash] = address{g.number, uint32(len(g.records))}
	g.append(hash, key, item)
	s.bytes += g.bytes()
	s.live += cost(key, item)
}

// segmentFor is one with room for n bytes: the open one, or a new one. What is larger than a
// segment has one of its own, and leaves the open one open.
func (s *Store) segmentFor(n int) *segment {
	size := min(maxSegment, s.maxBytes/minSegments)
	if n > size {
		return s.add(n)
	}
	if before := s.open; before == nil || cap(before.data)-len(before.data) < n {
		s.open = s.add(size)
		if before != nil && before.live == 0 {
			s.drop(before)
		}
	}
	return s.open
}

func (s *Store) add(size int) *segment {
	free := slices.Index(s.segments, nil)
	if free < 0 {
		free = len(s.segments)
		s.segments = append(s.segments, nil)
	}
	g := newSegment(uint32(free), size)
	s.segments[free] = g
	s.order = append(s.order, g.number)
	s.bytes += g.bytes()
	return g
}

// makeRoom lets the oldest segments go until the store is within its bound. It keeps what was used as long as every
// segment is met but twice: the second time nothing is marked as used any more.
func (s *Store) makeRoom(now int64) {
	for n := 2 * len(s.order); s.bytes > s.maxBytes; n-- {
		s.retire(s.segments[s.order[0]], now, n > 0)
	}
}

// retire lets the oldest segment go. What is to be kept of it is written anew, or, where that is most of
// it, stays where it is for another turn, so that at most three bytes are copied for one that becomes free. That is what was used; and
// all of it where the items need less than half of what the store has: then others hold little but what was replaced.
func (s *Store) retire(g *segment, now int64, keep bool) {
	if g == s.open {
		s.open = nil
	}
	sparse := s.live < s.maxBytes/2
	kept := 0
	for i := range g.records {
		r := &g.records[i]
		switch {
		case !r.live:
		case keep && (r.used || sparse) && now < r.expires:
			kept += g.cost(r)
		default:
			s.forget(r.hash)
		}
	}
	if kept > g.bytes()/4*3 {
		for i := range g.records {
			g.records[i].used = false
		}
		s.order = append(s.order[1:], g.number)
		return
	}
	for i := range g.records {
		if r := &g.records[i]; r.live {
			s.live -= g.cost(r)
			s.write(r.hash, g.key(r), g.item(r))
		}
	}
	s.drop(g)
}

// forget drops the item of the hash, and its segment with the last one.
func (s *Store) forget(hash uint64) {
	at, ok := s.items[hash]
	if !ok {
		return
	}
	delete(s.items, hash)
	g := s.segments[at.segment]
	r := &g.records[at.record]
	r.live = false
	s.live -= g.cost(r)
	if g.live--; g.live == 0 && g != s.open {
		s.drop(g)
	}
}

// drop drops a segment, if that hasn't been done yet.
func (s *Store) drop(g *segment) {
	if s.segments[g.number] != g {
		return
	}
	s.segments[g.number] = nil
	at := slices.Index(s.order, g.number)
	s.order = slices.Delete(s.order, at, at+1)
	s.bytes -= g.bytes()
}
