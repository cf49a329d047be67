// Package l1 is the VM's own memory of stored responses: a byte-bounded store
// and the slots that tell which of them a write has made invalid.
//
// It is pure, has no clock and no lock: a Wasm VM runs one callback at a time.
package l1

import "hash/maphash"

// The slots lie in pages that are made when one of them first moves: a VM whose groups
// are few pays for few of them.
const (
	slotCount = 1 << 15
	pageSlots = 1 << 7
)

type page [pageSlots]uint64

// Slots remember, in fixed memory, when the groups of the policy last moved: at
// a suspension, at a raise, at a reset. Groups are hashed, so two may share a slot:
// a collision costs a miss and is never a stale hit.
//
// The mark is the VM's own event number. An entry carries the mark at which its
// lookup was sent, and is usable only while none of its slots moved later:
//
//  1. a lookup is sent at mark 7
//  2. a write's suspension arrives by the feed: the group's slot := 8
//  3. the lookup is answered, the origin too: the entry has mark 7 < 8 and is
//     not taken in, although the lookup itself may have been answered before 2
type Slots struct {
	seed  maphash.Seed
	mark  uint64
	floor uint64 // the mark of the last move of everything
	moved [slotCount / pageSlots]*page
}

// NewSlots gives slots that nothing has moved.
func NewSlots() *Slots { return &Slots{seed: maphash.MakeSeed(), mark: 1} }

// Slot is a group's place.
type Slot uint32

// Of gives the place of a group.
func (s *Slots) Of(group string) Slot {
	return Slot(maphash.String(s.seed, group) % slotCount)
}

// Mark is the number of the last move.
func (s *Slots) Mark() uint64 { return s.mark }

// Move makes every entry of these slots that was looked up until now unusable.
func (s *Slots) Move(slots ...Slot) {
	s.mark++
	for _, slot := range slots {
		p := &s.moved[slot/pageSlots]
		if *p == nil {
			*p = new(page)
		}
		(*p)[slot%pageSlots] = s.mark
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
		if p := s.moved[slot/pageSlots]; p != nil && p[slot%pageSlots] > mark {
			return false
		}
	}
	return true
}
