package model

// writeSteps are the steps of writer i, which is in VM i.
func (m *Model) writeSteps(s *State, i int, emit emitter) {
	w := s.Writes[i]
	become := func(name string, change func(n *State, w *write)) {
		n := *s
		change(&n, &n.Writes[i])
		emit(Step{name, i}, n)
	}
	if w.Message {
		become("suspend call is executed", func(n *State, w *write) {
			n.Server.Suspend(m.Break, i)
			w.Message = false
			if w.Phase == sent {
				w.Phase = executed
			}
		})
		become("suspend call is lost", func(_ *State, w *write) { w.Message = false })
	}
	if w.Phase >= forwarded && !w.Finished {
		become("the origin commits the write", func(n *State, _ *write) { commit(n, i) })
	}
	switch w.Phase {
	case unsent:
		become("write: suspend call is sent", func(n *State, w *write) { m.beginWrite(n, w, i) })
	case sent:
		become("suspend call timed out: forwarded, pending", forwardPending)
	case executed:
		if w.Late && m.Break != LateAckTaken {
			become("suspension is acknowledged too late: forwarded, pending", forwardPending)
		} else {
			become("suspension is acknowledged: forwarded", func(n *State, w *write) {
				w.Phase, w.Acked, w.Late = forwarded, true, false
				n.move(i)
			})
		}
		become("suspend call timed out: forwarded, pending", forwardPending)
	case forwarded:
		m.responseSteps(s, i, become)
	case ended:
		become("the end of the write is executed", func(n *State, _ *write) { m.deliver(n, i) })
	case delivered:
		become("the end of the write is acknowledged", func(n *State, _ *write) { finish(n, i) })
		if !w.Repeated {
			become("the acknowledgement is lost: to be repeated", func(_ *State, w *write) {
				w.Phase, w.Repeated = ended, true
			})
		}
	}
}

func (m *Model) beginWrite(s *State, w *write, i int) {
	s.move(i)
	if m.Break == NoSuspension {
		w.Phase, w.Acked = forwarded, true
		return
	}
	w.Phase, w.Message = sent, true
}

func forwardPending(_ *State, w *write) { w.Phase, w.Pending, w.Late = forwarded, true, false }

// commit makes the next version, and requires it of whom the write covers.
func commit(s *State, i int) {
	w := &s.Writes[i]
	s.Version++
	w.Version, w.Finished = s.Version, true
	covered := w.Acked && !w.Late && !w.Closed
	if covered {
		s.require(w.Version)
	}
	blocked := w.Pending && !w.Closed && (w.Phase < delivered || w.Phase == delivered && !w.Late)
	if blocked || covered && !w.Gap {
		s.VMs[i].Own = w.Version
	}
	switch {
	case covered:
	case w.Closed:
		s.Exceptions |= CommitBeforeAlso
	case blocked:
		s.Exceptions |= CommitWhilePending
	default:
		s.Exceptions |= CommitAfterTerm
	}
}

func (m *Model) responseSteps(s *State, i int, become func(string, func(*State, *write))) {
	end := func(name string, o outcome) {
		become(name, func(_ *State, w *write) {
			w.Phase, w.Outcome = ended, o
			w.Finished = w.Finished || o == unchanged || o == changed && !m.AlsoAfter
			if w.Early {
				w.Phase = done
			}
		})
	}
	w := s.Writes[i]
	end("the write's response ends: changed", changed)
	end("the write's stream ends: outcome unknown", unknown)
	if w.Version == 0 {
		end("the write's response ends: rejected", unchanged)
	} else if m.Break == RetriedRejectionIsDefinite {
		end("the write's response ends: rejected, after a retry", unchanged)
	}
	if (m.Deadlines || s.NewEpoch) && w.Acked && !w.Message && !s.Renewed {
		become("renewal is sent", func(n *State, w *write) { w.Message, n.Renewed = true, true })
	}
	if m.Break == JournalBeforeEnd && w.Pending && !w.Early {
		become("the journal is delivered already", func(n *State, w *write) {
			n.Server.Close(m.Break, i, true)
			w.Early = true
			n.move(i)
		})
	}
}

// deliver executes the close, or where the outcome is unknown the last term.
func (m *Model) deliver(s *State, i int) {
	w := &s.Writes[i]
	w.Phase = delivered
	if w.Outcome == unknown && m.Break != UnknownClosedAtOnce {
		s.Server.Suspend(m.Break, i)
		w.Acked, w.Gap, w.Late = true, w.Gap || w.Late, false
		s.require(w.Version)
		return
	}
	s.Server.Close(m.Break, i, w.Outcome != unchanged)
	if w.Outcome != unchanged {
		w.Closed = m.AlsoAfter
		s.require(w.Version)
	}
}

// settle ends the time in which the origin may still commit.
func (s *State) settle(i int) {
	w := &s.Writes[i]
	w.Finished, w.Settled = true, true
	s.require(w.Version)
}

func finish(s *State, i int) {
	w := &s.Writes[i]
	w.Phase, w.Gap, w.Pending = done, false, false
	s.move(i)
	if s.Floor >= w.Version {
		s.VMs[i].Own = max(s.VMs[i].Own, w.Version)
	}
}

// crash ends a VM; another one begins in its place.
func crash(s *State, i int) {
	s.Crashed = true
	s.move(i)
	s.VMs[i] = vm{}
	for r := range s.Reads {
		if s.Reads[r].Phase != storing && int(s.Reads[r].VM) == i {
			s.Reads[r] = read{}
		}
	}
	w := &s.Writes[i]
	switch w.Phase {
	case unsent, done:
		return
	case sent, executed:
		w.Finished = true // never forwarded
	}
	if w.Pending {
		s.Exceptions |= DiedPending
	}
	w.Phase, w.Pending, w.Gap = done, false, true
}
