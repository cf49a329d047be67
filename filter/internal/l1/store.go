package l1

import (
	"bytes"
	"container/list"
)

// overhead is what an item costs beside its key and block: the item, its list
// element and its place in the map, measured roughly and rounded up.
const overhead = 256

// Item is one stored response in memory.
type Item struct {
	Block      []byte // the response without pointers, as httpcache lays it out
	Definition string // of the cache it was stored for
	Slots      []Slot
	Mark       uint64 // when its lookup was sent
	Stored     int64  // monotonic nanoseconds
	Expires    int64  // monotonic nanoseconds
}

type node struct {
	Item
	key string
}

// Store holds items up to a number of bytes; the least recently used ones make
// room for new ones.
type Store struct {
	maxBytes int
	bytes    int
	items    map[string]*list.Element
	recent   *list.List // front: most recently used
}

// NewStore gives an empty store of at most maxBytes bytes.
func NewStore(maxBytes int) *Store {
	s := &Store{maxBytes: maxBytes}
	s.Clear()
	return s
}

// Get finds an item that hasn't expired at now. An expired one is dropped.
func (s *Store) Get(key []byte, now int64) (*Item, bool) {
	element, ok := s.items[string(key)]
	if !ok {
		return nil, false
	}
	n := element.Value.(*node)
	if now >= n.Expires {
		s.remove(element)
		return nil, false
	}
	s.recent.MoveToFront(element)
	return &n.Item, true
}

// Put stores an item in place of an earlier one under the key. An item that is
// larger than the whole store is left out. Key and block are copied: what is held takes the memory that is
// accounted for, not that of a whole frame.
func (s *Store) Put(key []byte, item Item) {
	s.Delete(key)
	n := &node{Item: item, key: string(key)}
	if n.cost() > s.maxBytes {
		return
	}
	n.Block = bytes.Clone(n.Block)
	s.items[n.key] = s.recent.PushFront(n)
	s.bytes += n.cost()
	s.evict()
}

// Delete drops the item under the key.
func (s *Store) Delete(key []byte) {
	if element, ok := s.items[string(key)]; ok {
		s.remove(element)
	}
}

// Clear drops everything.
func (s *Store) Clear() {
	s.bytes = 0
	s.items = make(map[string]*list.Element)
	s.recent = list.New()
}

// Resize sets a new bound and drops what no longer fits.
func (s *Store) Resize(maxBytes int) {
	s.maxBytes = maxBytes
	s.evict()
}

// Bytes is what the items cost together, never more than the bound.
func (s *Store) Bytes() int { return s.bytes }

// Len is the number of items.
func (s *Store) Len() int { return len(s.items) }

func (s *Store) evict() {
	for s.bytes > s.maxBytes {
		s.remove(s.recent.Back())
	}
}

func (s *Store) remove(element *list.Element) {
	n := s.recent.Remove(element).(*node)
	delete(s.items, n.key)
	s.bytes -= n.cost()
}

func (n *node) cost() int { return len(n.key) + len(n.Block) + 4*len(n.Slots) + overhead }
