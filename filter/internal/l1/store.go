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
	// firstSegment is the size of a store's first one. Others are as large as all before them, up to the bound.
	firstSegment = 4 << 10
	// shareOfSegment is the largest part of a segment that an item may take. A larger one has a segment of its own, which no
	// copying makes smaller or leaves half empty.
	shareOfSegment = 8
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

// Put stores an item in place of an earlier one under the key. Others make room for it, the oldest segments first: what has
// expired at now, and what wasn't used. An item that is larger than the whole store is left out. Everything is copied.
func (s *Store) Put(key []byte, item Item, now int64) {
	hash := maphash.Bytes(s.seed, key)
	s.forget(hash)
	if cost(key, item) > s.maxBytes {
		return
	}
	s.makeRoom(now, size(key, item))
	s.write(hash, key, item)
	s.makeRoom(now, 0) // for what the segment's own lists have grown by
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
	s.makeRoom(now, 0)
}

// Bytes is what the store takes, never more than the bound.
func (s *Store) Bytes() int { return s.bytes }

// Len is the number of items.
func (s *Store) Len() int { return len(s.items) }

// write puts an item behind the others.
func (s *Store) write(hash uint64, key []byte, item Item) {
	g := s.segmentFor(size(key, item))
	s.bytes -= g.bytes()
	s.items[hash] = address{g.number, uint32(len(g.records))}
	g.append(hash, key, item)
	s.bytes += g.bytes()
	s.live += cost(key, item)
}

// segmentFor is one with room for n bytes: the open one, or a new one.
func (s *Store) segmentFor(n int) *segment {
	if s.fits(n) {
		return s.open
	}
	g := s.add(s.sizeFor(n))
	if s.shares(n) {
		if before := s.open; before != nil && before.live == 0 {
			s.drop(before)
		}
		s.open = g
	}
	return g
}

// largest is the size of a segment with more than one item at most.
func (s *Store) largest() int { return min(maxSegment, s.maxBytes/minSegments) }

// shares tells whether n bytes share a segment with others.
func (s *Store) shares(n int) bool { return n <= s.largest()/shareOfSegment }

// fits tells whether n bytes belong into the open segment, and there is room.
func (s *Store) fits(n int) bool {
	return s.shares(n) && s.open != nil && cap(s.open.data)-len(s.open.data) >= n
}

// sizeFor is the size of a new segment for n bytes.
func (s *Store) sizeFor(n int) int {
	if !s.shares(n) {
		return n
	}
	return max(n, min(s.largest(), max(s.bytes, firstSegment)))
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

// makeRoom lets the oldest segments go until n bytes more are within the bound, and none but the open one while there are others:
// it has what has just come, which nobody can have used yet. What was used is kept until every segment
// has been met twice, when nothing is marked as used any more, or until too much has been copied for it.
func (s *Store) makeRoom(now int64, n int) {
	met, copied := 0, 0
	for len(s.order) > 0 && s.bytes+s.wanted(n) > s.maxBytes {
		g := s.segments[s.order[0]]
		keep := met < 2*len(s.order) && copied <= 4*max(n, maxSegment)
		if met++; g == s.open && keep && len(s.order) > 1 {
			s.rotate(g)
			continue
		}
		copied += s.retire(g, now, keep)
	}
}

// wanted is what n bytes more will take.
func (s *Store) wanted(n int) int {
	if n == 0 || s.fits(n) {
		return 0
	}
	return s.sizeFor(n) + recordBytes + addressBytes
}

// rotate gives the oldest segment another turn.
func (s *Store) rotate(g *segment) { s.order = append(s.order[1:], g.number) }

// retire lets the oldest segment go, and tells how many bytes were copied for that. What is to be kept of it is written anew, or, where that is most of
// it, the segment stays as it is for another turn, so that few bytes are copied for one that becomes free. That is what was used; and
// all of it where the items need less than half of what the store has: then others hold little but what was replaced.
func (s *Store) retire(g *segment, now int64, keep bool) (copied int) {
	sparse := s.live < s.maxBytes/2
	kept := 0
	stays := func(r *record) bool { return r.live && keep && (r.used || sparse) && now < r.expires }
	for i := range g.records {
		if r := &g.records[i]; stays(r) {
			kept += g.cost(r)
		}
	}
	if kept > g.bytes()/4*3 {
		for i := range g.records {
			g.records[i].used = false
		}
		s.rotate(g)
		return 0
	}
	if g == s.open {
		s.open = nil
	}
	for i := range g.records {
		switch r := &g.records[i]; {
		case stays(r):
			s.live -= g.cost(r)
			s.write(r.hash, g.key(r), g.item(r))
		case r.live:
			s.forget(r.hash)
		}
	}
	s.drop(g)
	return kept
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
