package model

// Ticket is an epoch and a sequence; epoch 0 is none.
type Ticket struct{ Epoch, Seq uint8 }

// Server is what decides validity in Redis, for one group and two suspension ids.
// Each method is one script, so one step.
type Server struct {
	Ticket
	Gen        uint8 // generation of the group; 0: missing
	Open       [2]bool
	Closed     [2]bool // tombstones
	Quarantine bool
	Raises     uint32 // bit n: the event n is a raise, otherwise a suspension
	Due        [5]bool
	Also       bool    // every suspension's end is followed by one more raise
	Later      [2]bool // that raise is to come, after the suspension of the id
}

// Places in Due, after the ids: the quarantine, and the later raises of the ids.
const (
	dueQuarantine = 2
	dueLater      = 3
)

func (s *Server) take() { s.Seq++ }

func (s *Server) raise() {
	s.take()
	s.Gen = s.Seq
	s.Raises |= 1 << s.Seq
}

// Suspended tells whether anything is open on the group.
func (s *Server) Suspended() bool { return s.Open[0] || s.Open[1] || s.Quarantine }

// Suspend opens or renews a suspension, unless it was closed.
func (s *Server) Suspend(r Rule, id int) {
	s.expire(r, false)
	if s.Closed[id] {
		return
	}
	s.Due[id] = false
	if s.Open[id] {
		return
	}
	s.Open[id] = true
	s.take()
}

// Close ends a suspension, with or without a raise.
func (s *Server) Close(r Rule, id int, raise bool) {
	s.expire(r, false)
	s.Open[id], s.Due[id] = false, false
	if r == OneSuspensionPerGroup {
		s.Open = [2]bool{}
	}
	s.Closed[id] = true
	if raise {
		s.raise()
		s.Later[id] = s.Also && r != NothingAlsoAfter
	}
}

// Purge raises the group for an administrator.
func (s *Server) Purge(r Rule) {
	s.expire(r, false)
	if r == PurgeClearsSuspensions {
		s.Open = [2]bool{}
	}
	s.raise()
}

// Lookup gives the ticket, and unless suspended the generation.
func (s *Server) Lookup(r Rule) (t Ticket, gen uint8, suspended bool) {
	s.expire(r, true)
	if s.Suspended() {
		return s.Ticket, 0, true
	}
	if s.Gen == 0 {
		s.Gen = s.Seq
	}
	return s.Ticket, s.Gen, false
}

// Feed gives the position, whether a cursor can be continued (as far as the
// feed still reaches), and whether an event after it moves slots.
func (s *Server) Feed(r Rule, cursor Ticket) (t Ticket, continues, moves bool) {
	s.expire(r, false)
	continues = cursor.Epoch == s.Epoch && cursor.Seq <= s.Seq
	for n := cursor.Seq + 1; continues && n <= s.Seq; n++ {
		if r != SlotsMoveAtRaisesOnly || s.Raises&(1<<n) != 0 {
			moves = true
		}
	}
	return s.Ticket, continues, moves
}

// Pass lets the deadline of a suspension or of the quarantine pass, or a later raise become
// due. The next script turns it into a raise; nobody can tell that from now.
func (s *Server) Pass(r Rule, which int) {
	s.Due[which] = true
	if r != OnlyLookupsExpire {
		s.expire(r, true)
	}
}

func (s *Server) expire(r Rule, lookup bool) {
	if r == OnlyLookupsExpire && !lookup {
		return
	}
	for which, due := range s.Due {
		if !due {
			continue
		}
		s.Due[which] = false
		switch {
		case which >= dueLater:
			s.Later[which-dueLater] = false
		case which == dueQuarantine:
			s.Quarantine = false
		default:
			s.Open[which], s.Later[which] = false, s.Also
		}
		if r != ExpiryWithoutRaise {
			s.raise()
		}
	}
}

// NewEpoch forgets everything and begins suspended.
func (s *Server) NewEpoch(r Rule) {
	*s = Server{Ticket: Ticket{s.Epoch + 1, 0}, Also: s.Also}
	if r != NoQuarantine {
		s.Quarantine = true
		s.take()
	}
}

// LoseGeneration is an expiry or an eviction of the generation's key.
func (s *Server) LoseGeneration(r Rule) {
	s.Gen = 0
	if r == SuspensionInGeneration {
		s.Open, s.Quarantine = [2]bool{}, false
	}
}

// admits tells whether a stored response with the ticket stored is valid.
func admits(r Rule, now Ticket, gen uint8, stored Ticket) bool {
	if r == NoTicketCheck {
		return true
	}
	if r == NumbersAsStrings && now.Epoch == stored.Epoch {
		return decimal(gen) <= decimal(stored.Seq)
	}
	return now.Epoch == stored.Epoch && gen <= stored.Seq
}
