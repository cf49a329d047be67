// Package l1 is the VM's own memory of stored responses: a byte-bounded store
// and the slots that tell which of them a write has made invalid.
//
// It is pure, has no clock and no lock: a Wasm VM runs one callback at a time.
package l1

import "hash/maphash"

// The places lie in pages that are made when one of their groups first moves: a VM whose
// groups are few pays for few of them. All of them are 768 KiB.
const (
	placeCount = 1 << 15
	pagePlaces = 1 << 5
)

// place remembers exactly when one of its groups moved, the last that did, and of all
// others only that none of them moved later than others.
type place struct {
	last     Slot
	lastAt   uint64
	othersAt uint64
}

// Slots remember, in fixed memory, when the groups of the policy last moved: at
// a suspension, at a raise, at a reset. Groups are hashed into places, and a place tells
// the group that moved there last from the others: an entry is lost without need only
// when two others have moved in its place since, or one of the same hash. A
// collision costs a miss and is never a stale hit.
//
// The mark is the VM's own event number. An entry carries the mark at which its
// lookup was sent, and is usable only while none of its groups moved later:
//
//  1. a lookup is sent at mark 7
//  2. a write's suspension arrives by the feed: the group's place says 8
//  3. the lookup is answered, the origin too: the entry has mark 7 < 8 and is
//     not taken in, although the lookup itself may have been answered before 2
type Slots struct {
	seed  maphash.Seed
	mark  uint64
	floor uint64 // the mark of the last move of everything
	moved [placeCount / pagePlaces]*[pagePlaces]place
}

// NewSlots gives slots that nothing has moved.
func NewSlots() *Slots { return &Slots{seed: maphash.MakeSeed(), mark: 1} }

// Slot is a group's hash: its place, and what tells it from the others there.
type Slot uint32

func (s Slot) place() int { return int(s % placeCount) }

// Of gives the slot of a group.
func (s *Slots) Of(group string) Slot { return Slot(maphash.String(s.seed, group)) }

// Mark is the number of the last move.
func (s *Slots) Mark() uint64 { return s.mark }

// Move makes every entry of these slots that was looked up until now unusable.
func (s *Slots) Move(slots ...Slot) {
	s.mark++
	for _, slot := range slots {
		page := &s.moved[slot.place()/pagePlaces]
		if *page == nil {
			*page = new([pagePlaces]place)
		}
		p := &(*page)[slot.place()%pagePlaces]
		if p.last != slot {
			p.last, p.othersAt = slot, p.lastAt
		}
		p.lastAt = s.mark
	}
}

// MoveAll makes every entry that was looked up until now unusable.
func (s *Slots) MoveAll() {
	s.mark++
	s.floor = s.mark
}

// Unmoved tells whether none of the slots moved after the mark.
func (s *Slots) Unmoved(mark uint64, slots []Slot) bool {
	if s.floor > mark {
		return false
	}
	for _, slot := range slots {
		if s.movedAt(slot) > mark {
			return false
		}
	}
	return true
}

// movedAt is the mark of the slot's last move, or a later one.
func (s *Slots) movedAt(slot Slot) uint64 {
	page := s.moved[slot.place()/pagePlaces]
	if page == nil {
		return 0
	}
	p := &page[slot.place()%pagePlaces]
	if p.last == slot {
		return p.lastAt
	}
	return p.othersAt
}
