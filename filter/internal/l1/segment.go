package l1

import "unsafe"

// Item is one stored response in memory.
type Item struct {
	Block      []byte // the response without pointers, as httpcache lays it out
	Definition []byte // of the cache it was stored for
	Slots      []Slot
	Mark       uint64 // when its lookup was sent
	Stored     int64  // monotonic nanoseconds
	Expires    int64  // monotonic nanoseconds
}

// segment is a stretch of the store's log: items one behind the other, without pointers. It is written once: what somebody
// has been given of it stays as it is, even when the store has dropped it.
type segment struct {
	number  uint32
	live    int // items that are still the store's
	records []record
	slots   []Slot
	data    []byte // key, definition and block of each
}

// record tells where an item stands in its segment.
type record struct {
	hash                   uint64 // of its key
	mark                   uint64
	stored, expires        int64
	at                     uint32 // in data
	key, definition, block uint32 // bytes
	firstSlot, slots       uint32
	live                   bool // it is still the store's
	used                   bool // somebody has got it since the segment was written, or met by makeRoom
}

// What an item costs beside its bytes: its record, and its address in the map, measured roughly and rounded up.
const (
	recordBytes  = int(unsafe.Sizeof(record{}))
	addressBytes = 32
	slotBytes    = int(unsafe.Sizeof(Slot(0)))
)

// size is what an item takes of a segment's data.
func size(key []byte, item Item) int { return len(key) + len(item.Definition) + len(item.Block) }

// cost is all that it takes.
func cost(key []byte, item Item) int {
	return size(key, item) + slotBytes*len(item.Slots) + recordBytes + addressBytes
}

func newSegment(number uint32, size int) *segment {
	return &segment{number: number, data: make([]byte, 0, size)}
}

// append writes an item, for which there is room.
func (g *segment) append(hash uint64, key []byte, item Item) {
	g.records = append(g.records, record{
		hash: hash, mark: item.Mark, stored: item.Stored, expires: item.Expires, at: uint32(len(g.data)),
		key: uint32(len(key)), definition: uint32(len(item.Definition)), block: uint32(len(item.Block)),
		firstSlot: uint32(len(g.slots)), slots: uint32(len(item.Slots)), live: true,
	})
	g.data = append(append(append(g.data, key...), item.Definition...), item.Block...)
	g.slots = append(g.slots, item.Slots...)
	g.live++
}

func (g *segment) key(r *record) []byte { return g.data[r.at : r.at+r.key] }

func (g *segment) item(r *record) Item {
	definition := r.at + r.key
	block := definition + r.definition
	end := block + r.block
	last := r.firstSlot + r.slots
	return Item{
		Block: g.data[block:end:end], Definition: g.data[definition:block:block], Slots: g.slots[r.firstSlot:last:last],
		Mark: r.mark, Stored: r.stored, Expires: r.expires,
	}
}

// cost is what the item of the record needs.
func (g *segment) cost(r *record) int { return cost(g.key(r), g.item(r)) }

// bytes is what the segment takes, with what is written yet, replaced, or dropped.
func (g *segment) bytes() int {
	return cap(g.data) + cap(g.records)*recordBytes + cap(g.slots)*slotBytes + len(g.records)*addressBytes
}
