package l1_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"chatcache/filter/internal/l1"
)

const forever = int64(1) << 62

func TestStoreKeepsWithinItsBytesAndEvictsTheLeastRecentlyUsed(t *testing.T) {
	s := l1.NewStore(3000)
	item := l1.Item{Block: make([]byte, 700), Expires: forever}
	for _, key := range []string{"a", "b", "c"} {
		s.Put([]byte(key), item, 0)
	}
	if s.Len() != 3 || s.Bytes() > 3000 {
		t.Fatalf("%d items, %d bytes", s.Len(), s.Bytes())
	}
	s.Get([]byte("a"), 0)
	s.Put([]byte("d"), item, 0)
	for key, want := range map[string]bool{"a": true, "b": false, "c": true, "d": true} {
		if _, got := s.Get([]byte(key), 0); got != want {
			t.Errorf("%s: found %v, want %v", key, got, want)
		}
	}
	s.Put([]byte("e"), l1.Item{Block: make([]byte, 3001), Expires: forever}, 0)
	if s.Len() != 3 {
		t.Errorf("an item larger than the store displaced others: %d left", s.Len())
	}
	s.Resize(0, 0)
	if s.Len() != 0 || s.Bytes() != 0 {
		t.Errorf("after Resize(0): %d items, %d bytes", s.Len(), s.Bytes())
	}
}

// What is asked for again and again stays, however much that nobody asks for again comes by.
func TestStoreKeepsWhatIsUsed(t *testing.T) {
	s := l1.NewStore(1 << 20)
	for i := range 200 {
		s.Put(fmt.Appendf(nil, "used %d", i), l1.Item{Block: make([]byte, 1000), Expires: forever}, 0)
	}
	lost := 0
	for i := range 20_000 {
		s.Put(fmt.Appendf(nil, "once %d", i), l1.Item{Block: make([]byte, 1000), Expires: forever}, 0)
		if _, ok := s.Get(fmt.Appendf(nil, "used %d", i%200), 0); !ok {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of 20000 reads didn't find what they had read 200 reads before", lost)
	}
}

// What is replaced takes room in the log, but drives nothing out while there is enough for all items.
func TestStoreReplacesWithoutLoss(t *testing.T) {
	s := l1.NewStore(256 << 10)
	const quiet, busy = 80, 10_000
	for i := range busy {
		if i%10 == 0 && i < 10*quiet {
			s.Put(fmt.Appendf(nil, "quiet %d", i), l1.Item{Block: make([]byte, 1000), Expires: forever}, 0)
		}
		s.Put([]byte("busy"), l1.Item{Block: fmt.Appendf(make([]byte, 1000), "%d", i), Expires: forever}, 0)
	}
	if s.Len() != quiet+1 {
		t.Errorf("%d items are left of %d", s.Len(), quiet+1)
	}
	if item, ok := s.Get([]byte("busy"), 0); !ok || string(item.Block[1000:]) != "9999" {
		t.Errorf("what was written last isn't found: %v, %q", ok, item.Block[1000:])
	}
}

// The bound counts what the store needs beside the items' bytes, too, which for small items is most of it.
func TestStoreOfSmallItemsKeepsWithinItsBytes(t *testing.T) {
	const bound = 256 << 10
	for _, slots := range []int{0, 3, 50} {
		s := l1.NewStore(bound)
		for i := range 20_000 {
			s.Put(strconv.AppendInt(nil, int64(i), 10), l1.Item{Slots: make([]l1.Slot, slots), Expires: forever}, 0)
			if s.Bytes() > bound {
				t.Fatalf("%d slots, item %d: %d bytes of %d", slots, i, s.Bytes(), bound)
			}
		}
	}
}

// Two keys of one hash are two keys.
func TestStoreComparesKeys(t *testing.T) {
	s := l1.NewStore(10_000)
	s.Put([]byte("ann"), l1.Item{Block: []byte("ann's"), Expires: forever}, 0)
	s.Collide([]byte("bob"), []byte("ann"))
	if item, ok := s.Get([]byte("bob"), 0); ok {
		t.Errorf("bob's is %q", item.Block)
	}
	if s.Delete([]byte("bob")); s.Len() != 2 {
		t.Error("deleting bob's has dropped what isn't bob's")
	}
}

// What one Put costs has a bound, however large the items are, and however many of them were used: it copies a few segments at
// most. And what was put last is there, most of what was used, too, and the store is full.
func TestPutInAStoreInUse(t *testing.T) {
	const bound = 16 << 20
	for _, size := range []int{1300, 8 << 10, 31 << 10, 33 << 10, 90 << 10, 150 << 10, 255 << 10, 3 << 20, -1300, -31 << 10, -150 << 10, -3 << 20} {
		every := 5 // of these one isn't used
		if size < 0 {
			size, every = -size, bound // all are
		}
		t.Run(fmt.Sprint(size, " unused one of ", every), func(t *testing.T) {
			s := l1.NewStore(bound)
			item := l1.Item{Block: make([]byte, size), Slots: make([]l1.Slot, 3), Expires: forever}
			n := 0
			put := func() {
				s.Put(fmt.Appendf(nil, "key %d", n), item, 0)
				n++
			}
			use := func(i int) bool {
				_, ok := s.Get(fmt.Appendf(nil, "key %d", i), 0)
				return ok
			}
			for s.Len() == n {
				put()
			}
			if taken := s.Len() * (size + 120); taken < bound/100*85 {
				t.Errorf("%d items of %d bytes fill %d MiB", s.Len(), size, bound>>20)
			}
			var before, after runtime.MemStats
			for range 5 {
				used := 0
				for i := range n {
					if i%every > 0 && use(i) {
						used++
					}
				}
				runtime.ReadMemStats(&before)
				put()
				runtime.ReadMemStats(&after)
				if copied := int(after.TotalAlloc - before.TotalAlloc); copied > 4<<20+4*size {
					t.Errorf("a Put has taken %d KiB of memory", copied>>10)
				}
				if !use(n - 1) {
					t.Error("what was put isn't there")
				}
				left := 0
				for i := range n - 1 {
					if i%every > 0 && use(i) {
						left++
					}
				}
				if left < used/100*95-2 {
					t.Errorf("%d of %d that were used are left", left, used)
				}
			}
			if s.Len()*(size+120) < bound/100*75 {
				t.Errorf("%d items of %d bytes are left in %d MiB", s.Len(), size, bound>>20)
			}
		})
	}
}

// What has expired makes room before what hasn't.
func TestStoreDropsTheExpiredFirst(t *testing.T) {
	s := l1.NewStore(256 << 10)
	for i := range 100 {
		s.Put(fmt.Appendf(nil, "short %d", i), l1.Item{Block: make([]byte, 1000), Expires: 10}, 0)
		s.Put(fmt.Appendf(nil, "long %d", i), l1.Item{Block: make([]byte, 1000), Expires: forever}, 0)
		s.Get(fmt.Appendf(nil, "long %d", i), 0)
		s.Get(fmt.Appendf(nil, "short %d", i), 0)
	}
	for i := range 100 {
		s.Put(fmt.Appendf(nil, "new %d", i), l1.Item{Block: make([]byte, 1000), Expires: forever}, 20)
	}
	for i := range 100 {
		if _, ok := s.Get(fmt.Appendf(nil, "long %d", i), 20); !ok {
			t.Fatalf("item %d is lost, which was used and hasn't expired", i)
		}
	}
}

// A reader that is still at work, while the store has dropped what it reads and uses the room otherwise.
func TestWhatWasFoundStaysAsItIs(t *testing.T) {
	s := l1.NewStore(100_000)
	s.Put([]byte("k"), l1.Item{Block: []byte("ann's"), Definition: []byte("d"), Slots: []l1.Slot{7}, Expires: forever}, 0)
	item, _ := s.Get([]byte("k"), 0)
	for i := range 10_000 {
		s.Put(fmt.Append(nil, i), l1.Item{Block: []byte("bob's, and everybody else's"), Definition: []byte("e"), Slots: []l1.Slot{8, 9}, Expires: forever}, 0)
	}
	if string(item.Block) != "ann's" || string(item.Definition) != "d" || len(item.Slots) != 1 || item.Slots[0] != 7 {
		t.Errorf("it became %q, %q, %v", item.Block, item.Definition, item.Slots)
	}
}

// Nor does whoever appends to what was found write into what stands behind it.
func TestWhatWasFoundEndsWhereItEnds(t *testing.T) {
	s := l1.NewStore(1 << 20)
	for _, key := range []string{"one", "two"} {
		s.Put([]byte(key), l1.Item{Block: []byte(key), Definition: []byte("of " + key), Slots: []l1.Slot{l1.Slot(len(key))}, Expires: forever}, 0)
	}
	one, _ := s.Get([]byte("one"), 0)
	_, _, _ = append(one.Block, "xxxxxxxxx"...), append(one.Definition, "xxxxxxxxx"...), append(one.Slots, 7)
	for _, key := range []string{"one", "two"} {
		item, ok := s.Get([]byte(key), 0)
		if !ok || string(item.Block) != key || string(item.Definition) != "of "+key || !slices.Equal(item.Slots, []l1.Slot{l1.Slot(len(key))}) {
			t.Errorf("%s: %v, %q, %q, %v", key, ok, item.Block, item.Definition, item.Slots)
		}
	}
}

// The store against a map of what was put last: it finds that or nothing, and takes what it says.
func FuzzStore(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, size := range []uint32{0, 100, 3000, 60_000, 1 << 20} {
		script := make([]byte, 1500)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(size, script)
	}
	f.Fuzz(func(t *testing.T, size uint32, script []byte) {
		bound := int(size % (4 << 20))
		s, want, now := l1.NewStore(bound), map[string]l1.Item{}, int64(0)
		for n := 0; len(script) >= 3; n++ {
			does, with, length := script[0], script[1], int(script[2])
			script = script[3:]
			key := fmt.Sprint("key ", with%64)
			switch now++; {
			case does < 100:
				item := l1.Item{
					Block: bytes.Repeat(fmt.Append(nil, n, " "), 1+length*length/4), Definition: fmt.Append(nil, "definition ", n%7), Mark: uint64(n),
					Slots: make([]l1.Slot, length%5), Stored: now, Expires: now + int64(length),
				}
				for i := range item.Slots {
					item.Slots[i] = l1.Slot(n + i)
				}
				s.Put([]byte(key), item, now)
				want[key] = item
			case does < 230:
				got, ok := s.Get([]byte(key), now)
				if ok && (!same(got, want[key]) || now >= got.Expires) {
					t.Fatalf("at %d: found under %s what was put as number %d instead of %d, or isn't what was put", now, key, got.Mark, want[key].Mark)
				}
			case does < 250:
				s.Delete([]byte(key))
				delete(want, key)
			case does < 254:
				bound = length * length * 16
				s.Resize(bound, now)
			default:
				s.Clear()
				clear(want)
			}
			if n%16 > 0 && len(script) >= 3 {
				continue
			}
			if problem := s.Check(); problem != "" || s.Bytes() > bound {
				t.Fatalf("%s; %d bytes of %d", problem, s.Bytes(), bound)
			}
		}
	})
}

func same(a, b l1.Item) bool {
	return bytes.Equal(a.Block, b.Block) && bytes.Equal(a.Definition, b.Definition) && slices.Equal(a.Slots, b.Slots) &&
		a.Mark == b.Mark && a.Stored == b.Stored && a.Expires == b.Expires
}

func TestStoreExpiry(t *testing.T) {
	s := l1.NewStore(10_000)
	s.Put([]byte("k"), l1.Item{Expires: 100}, 0)
	if _, ok := s.Get([]byte("k"), 99); !ok {
		t.Error("gone before it expired")
	}
	if _, ok := s.Get([]byte("k"), 100); ok || s.Len() != 0 {
		t.Errorf("found after it expired, or kept (%d)", s.Len())
	}
}

// What the garbage collector has to do for a full store, and a hit and a replacement in it.
func BenchmarkFull(b *testing.B) {
	s := l1.NewStore(64 << 20)
	key := func(i int) []byte { return fmt.Appendf(nil, "GET chat.example /api/v1/stats/user-%d", i) }
	item := l1.Item{Block: make([]byte, 1300), Definition: make([]byte, 16), Slots: make([]l1.Slot, 3), Expires: forever}
	n := 0
	for ; s.Len() == n; n++ {
		s.Put(key(n), item, 0)
	}
	keys := make([][]byte, 0, 1000)
	for i := range cap(keys) {
		keys = append(keys, key(n-1-i*7))
	}
	b.Run("collect", func(b *testing.B) {
		for b.Loop() {
			runtime.GC()
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, ok := s.Get(keys[i%len(keys)], 0); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("put", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.Put(keys[i%len(keys)], item, 0)
		}
	})
	b.Run("put another", func(b *testing.B) {
		b.ReportAllocs()
		buffer := make([]byte, 0, 100)
		for i := 0; b.Loop(); i++ {
			s.Put(fmt.Appendf(buffer, "another %d", i), item, 0)
		}
	})
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
