package l1_test

import (
	"fmt"
	"testing"

	"chatcache/filter/internal/l1"
)

const forever = int64(1) << 62

func TestStoreKeepsWithinItsBytesAndEvictsTheLeastRecentlyUsed(t *testing.T) {
	s := l1.NewStore(3000)
	item := l1.Item{Block: make([]byte, 700), Expires: forever}
	for _, key := range []string{"a", "b", "c"} {
		s.Put([]byte(key), item)
	}
	if s.Len() != 3 || s.Bytes() > 3000 {
		t.Fatalf("%d items, %d bytes", s.Len(), s.Bytes())
	}
	s.Get([]byte("a"), 0)
	s.Put([]byte("d"), item)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, got := s.Get([]byte(key), 0); got != want {
			t.Errorf("%s: found %v, want %v", key, got, want)
		}
	}
	s.Put([]byte("e"), l1.Item{Block: make([]byte, 3001), Expires: forever})
	if s.Len() != 3 {
		t.Errorf("an item larger than the store displaced others: %d left", s.Len())
	}
	s.Resize(0)
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("after Resize(0): %d items, %d bytes", s.Len(), s.Bytes())
	}
}

func TestStoreBytesStayFlatOverManyKeys(t *testing.T) {
	const bound = 64 << 10
	s := l1.NewStore(bound)
	for i := range 100_000 {
		key := fmt.Appendf(nil, "key-%d", i%5000)
		s.Put(key, l1.Item{Block: make([]byte, i%2000), Expires: forever})
		if s.Bytes() > bound {
			t.Fatalf("%d bytes after %d puts", s.Bytes(), i)
		}
	}
	s.Clear()
	if s.Bytes() != 0 {
		t.Errorf("%d bytes in an empty store", s.Bytes())
	}
}

func TestStoreReplaces(t *testing.T) {
	s := l1.NewStore(10_000)
	s.Put([]byte("k"), l1.Item{Block: make([]byte, 100), Expires: forever})
	s.Put([]byte("k"), l1.Item{Block: make([]byte, 700), Expires: forever})
	once := l1.NewStore(10_000)
	once.Put([]byte("k"), l1.Item{Block: make([]byte, 700), Expires: forever})
	if s.Len() != 1 || s.Bytes() != once.Bytes() {
		t.Errorf("%d items, %d bytes; want 1 and %d", s.Len(), s.Bytes(), once.Bytes())
	}
}

func TestStoreExpiry(t *testing.T) {
	s := l1.NewStore(10_000)
	s.Put([]byte("k"), l1.Item{Expires: 100})
	if _, ok := s.Get([]byte("k"), 99); !ok {
		t.Error("gone before it expired")
	}
	if _, ok := s.Get([]byte("k"), 100); ok || s.Bytes() != 0 {
		t.Errorf("found after it expired, or its bytes kept (%d)", s.Bytes())
	}
}

// Two groups that share a slot move together: a miss for the one that nothing happened to,
// never a hit for the other.
func TestSlotsCollide(t *testing.T) {
	s := l1.NewSlots()
	ann, other := s.Of("p:stats:ann"), ""
	for i := 0; other == "" || s.Of(other) != ann; i++ {
		other = fmt.Sprint("p:stats:user", i)
	}
	for _, moved := range []string{"p:stats:ann", other} {
		mark := s.Mark()
		s.Move(s.Of(moved))
		if s.Unmoved(mark, []l1.Slot{ann}) || s.Unmoved(mark, []l1.Slot{s.Of(other)}) {
			t.Errorf("a move of %s left one of the two usable", moved)
		}
	}
}

func TestSlots(t *testing.T) {
	s := l1.NewSlots()
	ann, bob := []l1.Slot{s.Of("p:stats:ann")}, []l1.Slot{s.Of("p:stats:bob")}
	for i := 0; ann[0] == bob[0]; i++ {
		bob[0] = s.Of(fmt.Sprint("p:stats:bob", i))
	}
	mark := s.Mark()
	s.Move(ann...)
	if s.Unmoved(mark, ann) || !s.Unmoved(mark, bob) {
		t.Error("a move must reach its own group and no other")
	}
	if !s.Unmoved(s.Mark(), ann) {
		t.Error("what was looked up after the move is usable")
	}
	mark = s.Mark()
	s.MoveAll()
	if s.Unmoved(mark, bob) || s.Unmoved(mark, nil) {
		t.Error("MoveAll must reach everything")
	}
}
