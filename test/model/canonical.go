package model

import "math/bits"

// canonical gives the state that stands for all that nobody can tell from it.
func (m *Model) canonical(s *State) {
	if m.Break != SlotsMoveAtRaisesOnly {
		s.Server.Raises = 0
	}
	m.forgetCursors(s)
	if m.Break != NoTicketCheck && m.Break != NumbersAsStrings {
		s.forgetDead()
	}
	if m.Break != NumbersAsStrings && m.Break != SlotsMoveAtRaisesOnly {
		s.renumber()
	}
	if m.Readers == 2 && order(s.Reads[1]) < order(s.Reads[0]) {
		s.Reads[0], s.Reads[1] = s.Reads[1], s.Reads[0]
	}
}

// order is a total order of reads: readers are alike.
func order(r read) uint64 {
	n := uint64(r.Phase)<<8 | uint64(r.VM)
	if r.MayFill {
		n |= 1 << 7
	}
	for _, b := range [...]uint8{r.Floor, r.Ticket.Epoch, r.Ticket.Seq, r.Gen, r.Version} {
		n = n<<8 | uint64(b)
	}
	return n
}

// forgetCursors drops what a cursor says beyond being behind, and what an
// answer says beyond moving the slots: a VM that is behind moves them all the same.
func (m *Model) forgetCursors(s *State) {
	for i := range s.VMs {
		v := &s.VMs[i]
		if v.Poll == pollAnswered {
			v.Cursor = Ticket{}
			if m.Break != GapIgnored && !v.Continues {
				v.Continues, v.Moves = true, true
			}
		}
		for _, t := range [...]*Ticket{&v.Cursor, &v.Answer} {
			if t.Epoch != s.Server.Epoch {
				*t = Ticket{}
			}
			if m.Break != SlotsMoveAtRaisesOnly && t.Seq < s.Server.Seq {
				t.Seq = 0
			}
		}
	}
}

// forgetDead drops what has a ticket of another epoch or below the generation: neither
// epochs nor generations go back. A read that has seen validity earlier may
// still take a stored response that is dead by now.
func (s *State) forgetDead() {
	for i := range s.Reads {
		if s.Reads[i].Phase == validityRead {
			return
		}
	}
	dead := func(t Ticket) bool { return t.Epoch != s.Server.Epoch || s.Server.Gen > t.Seq }
	for i := range s.Reads {
		r := &s.Reads[i]
		if r.Phase != miss && r.Phase != got && r.Phase != storing || !dead(r.Ticket) {
			continue
		}
		r.Ticket = Ticket{}
		if !r.MayFill {
			*r = read{}
		}
	}
	if dead(s.Stored.Ticket) {
		s.Stored = entry{}
	}
}

// renumber makes the numbers in use contiguous, in the same order: scripts only
// compare them, and take greater ones.
func (s *State) renumber() {
	numbers := [...]*uint8{
		&s.Server.Seq, &s.Server.Gen, &s.Stored.Ticket.Seq,
		&s.Reads[0].Ticket.Seq, &s.Reads[0].Gen, &s.Reads[1].Ticket.Seq, &s.Reads[1].Gen,
		&s.VMs[0].Cursor.Seq, &s.VMs[0].Answer.Seq, &s.VMs[1].Cursor.Seq, &s.VMs[1].Answer.Seq,
	}
	var used uint32
	for _, n := range numbers {
		used |= 1 << *n
	}
	for _, n := range numbers {
		// As many numbers from 1 on are in use below it, and itself.
		*n = uint8(bits.OnesCount32(used & (1<<(*n+1) - 2)))
	}
}
