package model

// readSteps are the steps of reader i.
func (m *Model) readSteps(s *State, i int, emit emitter) {
	r := s.Reads[i]
	become := func(name string, change func(n *State, r *read)) {
		n := *s
		change(&n, &n.Reads[i])
		emit(Step{name, int(r.VM)}, n)
	}
	end := func(name string) { become(name, func(_ *State, r *read) { *r = read{} }) }
	switch r.Phase {
	case idle:
		m.beginReads(s, i, emit)
		return
	case asked:
		become("lookup: validity is read", func(n *State, r *read) {
			m.readValidity(n, r)
			if !m.EntryFirst && r.Phase == validityRead {
				m.decide(r, r.Ticket, r.Gen, n.Stored)
			}
		})
		if m.EntryFirst {
			become("lookup: the entry is read", func(n *State, r *read) {
				r.Phase, r.Ticket, r.Version = entryRead, n.Stored.Ticket, n.Stored.Version
			})
		}
		become("lookup: the call is lost", func(_ *State, r *read) { r.Phase = lost })
		return
	case lost:
		m.timeout(become, end)
		return
	case validityRead:
		become("lookup: the entry is read, too", func(n *State, r *read) {
			m.decide(r, r.Ticket, r.Gen, n.Stored)
		})
	case entryRead:
		become("lookup: validity is read, too", func(n *State, r *read) { m.readValidity(n, r) })
	case hit:
		become("the hit arrives", func(n *State, r *read) { m.useHit(n, r) })
	case miss:
		become("the origin answers the read", func(n *State, r *read) { r.Phase, r.Version = got, n.Version })
	case got:
		become("the read's response ends", func(n *State, r *read) { m.fill(n, r) })
	case storing:
		become("the store arrives", func(n *State, r *read) {
			n.Stored = entry{r.Version, r.Ticket}
			*r = read{}
		})
	}
	end("the read is given up")
}

func (m *Model) beginReads(s *State, i int, emit emitter) {
	for v := range s.VMs {
		if s.blocked(v) || m.L1 && s.VMs[v].Filled && s.VMs[v].Lease != over {
			continue // bypasses, or is answered by L1
		}
		n := *s
		n.Reads[i] = read{
			Phase: asked, VM: uint8(v), Floor: max(s.Floor, s.VMs[v].Own),
			MayFill: m.L1 && s.VMs[v].Lease != over,
		}
		emit(Step{"read: lookup is sent", v}, n)
	}
}

func (m *Model) timeout(become func(string, func(*State, *read)), end func(string)) {
	switch m.Break {
	case NoTimeout:
	case FillAfterTimeout:
		become("lookup: timeout", func(_ *State, r *read) { r.Phase = miss })
	default:
		end("lookup: timeout, the read bypasses")
	}
}

// readValidity runs the lookup script, as first or as second part of a lookup.
func (m *Model) readValidity(s *State, r *read) {
	stored := entry{r.Version, r.Ticket}
	t, gen, suspended := s.Server.Lookup(m.Break)
	switch {
	case suspended:
		*r = read{} // bypass, store nothing
	case r.Phase == asked:
		r.Phase, r.Ticket, r.Gen = validityRead, t, gen
	default:
		m.decide(r, t, gen, stored)
	}
}

func (m *Model) decide(r *read, t Ticket, gen uint8, stored entry) {
	r.Phase, r.Ticket, r.Gen, r.Version = miss, t, 0, 0
	if stored.Ticket.Epoch != 0 && admits(m.Break, t, gen, stored.Ticket) {
		r.Phase, r.Ticket, r.Version = hit, Ticket{}, stored.Version
	}
}

func (m *Model) useHit(s *State, r *read) {
	v := &s.VMs[r.VM]
	if !s.blocked(int(r.VM)) {
		if r.Version < r.Floor {
			s.Broken = StaleL2
		}
		m.fillL1(v, r)
	}
	*r = read{}
}

func (m *Model) fill(s *State, r *read) {
	if s.blocked(int(r.VM)) {
		*r = read{}
		return
	}
	m.fillL1(&s.VMs[r.VM], r)
	if r.Ticket.Epoch == 0 { // nothing that L2 could give out
		*r = read{}
		return
	}
	r.Phase, r.MayFill, r.Floor, r.VM = storing, false, 0, 0
}

func (m *Model) fillL1(v *vm, r *read) {
	if r.MayFill || m.L1 && m.Break == SlotsReadAfterLookup && v.Lease != over {
		v.Filled, v.Version = true, r.Version
	}
}
