package model

// feedSteps are the steps of VM v's follower, and of time.
func (m *Model) feedSteps(s *State, v int, emit emitter) {
	become := func(name string, change func(n *State, v *vm)) {
		n := *s
		change(&n, &n.VMs[v])
		emit(Step{name, v}, n)
	}
	switch s.VMs[v].Poll {
	case noPoll:
		become("poll is sent", func(_ *State, v *vm) { v.Poll, v.Age = pollSent, after })
		return
	case pollSent:
		become("poll: the bridge reads the feed", func(n *State, v *vm) { m.readFeed(n, v, false) })
		if s.VMs[v].Cursor.Seq < s.Server.Seq {
			become("poll: the bridge reads the feed, which was trimmed", func(n *State, v *vm) { m.readFeed(n, v, true) })
		}
	case pollAnswered:
		become("poll's answer arrives", func(n *State, _ *vm) { m.follow(n, v) })
	}
	become("poll is lost", func(_ *State, v *vm) { v.endPoll() })
}

func (v *vm) endPoll() {
	v.Poll, v.Age, v.Answer, v.Continues, v.Moves = noPoll, over, Ticket{}, false, false
}

func (m *Model) readFeed(s *State, v *vm, trimmed bool) {
	v.Poll = pollAnswered
	v.Answer, v.Continues, v.Moves = s.Server.Feed(m.Break, v.Cursor)
	if trimmed {
		v.Continues, v.Moves = false, false
	}
}

func (m *Model) follow(s *State, i int) {
	v := &s.VMs[i]
	if v.Moves || !v.Continues && m.Break != GapIgnored {
		s.move(i)
	}
	v.Cursor, v.Lease = v.Answer, v.Age
	if m.Break == LeaseFromAnswer {
		v.Lease = after
	}
	v.endPoll()
}

// stalenessPasses ends the leases whose polls were sent before Floor was raised:
// they are older than max_staleness now.
func stalenessPasses(s *State, emit emitter) {
	if !s.Ticking {
		return
	}
	n := *s
	n.Late, n.Ticking = n.Floor, false
	for i := range n.VMs {
		v := &n.VMs[i]
		if v.Lease == before {
			v.Lease = over
		}
		if v.Age == before {
			v.Age = over
		}
	}
	emit(Step{"max_staleness passes", -1}, n)
}
