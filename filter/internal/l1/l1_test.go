package l1_test

import (
	"fmt"
	"math/rand/v2"
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

// The slots against what they abridge: the last move of each group. Nothing that moved may count as
// unmoved; what didn't is lost only to two others of its place.
func TestSlotsAgainstExactMoves(t *testing.T) {
	s := l1.NewSlots()
	random := rand.New(rand.NewPCG(1, 2))
	groups := crowded(s, 5, 3)
	last := map[string]uint64{}
	lost, kept := 0, 0
	for range 20_000 {
		if g := groups[random.IntN(len(groups))]; random.IntN(3) > 0 {
			s.Move(s.Of(g))
			last[g] = s.Mark()
		}
		g, mark := groups[random.IntN(len(groups))], s.Mark()-min(s.Mark(), random.Uint64N(6))
		others := 0
		for other, at := range last {
			if other != g && l1.SharePlace(s.Of(other), s.Of(g)) && at > mark {
				others++
			}
		}
		usable := s.Unmoved(mark, []l1.Slot{s.Of(g)})
		switch {
		case last[g] > mark:
			if usable {
				t.Fatalf("%s moved at %d, and is usable since %d", g, last[g], mark)
			}
		case others < 2 && !usable:
			t.Fatalf("%s is lost since %d to %d other group", g, mark, others)
		case usable:
			kept++
		default:
			lost++
		}
	}
	if lost == 0 || kept == 0 {
		t.Errorf("%d lost to others of their place, %d kept: want some of both", lost, kept)
	}
}

// Ten minutes of users who write ten times a second, to three groups each: how much of what L1 holds for
// those who write nothing is lost.
func BenchmarkLostToCollisions(b *testing.B) {
	const quiet, writes = 1000, 6000
	s := l1.NewSlots()
	lost := 0
	for n := range b.N {
		mark := s.Mark()
		for w := range writes {
			user := (n*writes + w) % 20_000
			s.Move(s.Of(fmt.Sprint("p:stats:", user)), s.Of(fmt.Sprint("p:search:", user)), s.Of(fmt.Sprint("p:sessions:", user)))
		}
		for u := range quiet {
			if !s.Unmoved(mark, []l1.Slot{s.Of("c:user"), s.Of(fmt.Sprint("p:user:quiet", u))}) {
				lost++
			}
		}
	}
	b.ReportMetric(float64(lost)/float64(b.N*quiet), "lost/entry")
}

// crowded gives groups that share places, so many in each.
func crowded(s *l1.Slots, places, each int) []string {
	var groups []string
	for i := 0; len(groups) < places*each; i++ {
		g := fmt.Sprint("p:stats:user", i)
		if len(groups)%each == 0 || l1.SharePlace(s.Of(g), s.Of(groups[len(groups)-1])) {
			groups = append(groups, g)
		}
	}
	return groups
}

func TestSlots(t *testing.T) {
	s := l1.NewSlots()
	ann, bob := []l1.Slot{s.Of("p:stats:ann")}, []l1.Slot{s.Of("p:stats:bob")}
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
