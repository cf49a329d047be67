package model

import "fmt"

// Model is a configuration: its size, and the rule that it breaks.
type Model struct {
	Readers, Writers int
	Faults           int  // at most, of all kinds together
	L1               bool // L1 and the feed
	BothPoll         bool // otherwise VM B only follows the feed; VM A has its first lease
	Deadlines        bool // pass
	AlsoAfter        bool // an origin that has answered a write may commit it until also_after has passed
	EntryFirst       bool // a lookup's two reads are two steps, in either order
	Break            Rule
}

// Step is one step; VM is -1 where none takes it.
type Step struct {
	Name string
	VM   int
}

func (s Step) String() string {
	if s.VM < 0 {
		return "        " + s.Name
	}
	return fmt.Sprintf("VM %c    %s", 'A'+s.VM, s.Name)
}

type emitter func(Step, State)

// Steps gives every step from s.
func (m *Model) Steps(s State, emit emitter) {
	for i := range m.Readers {
		steps := 0
		m.readSteps(&s, i, func(step Step, n State) { steps++; emit(step, n) })
		if s.Reads[i].Phase != idle && steps == 0 {
			n := s
			n.Broken = Stuck
			emit(Step{"nothing will ever happen to the read", int(s.Reads[i].VM)}, n)
		}
	}
	for i := range m.Writers {
		m.writeSteps(&s, i, emit)
	}
	if m.L1 {
		for i := range s.VMs {
			if i == 1 || m.BothPoll {
				m.feedSteps(&s, i, emit)
			}
		}
		stalenessPasses(&s, emit)
	}
	if m.Deadlines || s.Server.Quarantine {
		m.deadlines(&s, emit)
	}
	if m.AlsoAfter {
		m.laterRaises(&s, emit)
	}
	m.faults(&s, emit)
}

// deadlines pass, also while the call that set them is waited for: the proxy may stand still.
func (m *Model) deadlines(s *State, emit emitter) {
	for i := range s.Writes {
		if !s.Server.Open[i] || s.Server.Due[i] {
			continue
		}
		n := *s
		n.Server.Pass(m.Break, i)
		n.Writes[i].Late = true
		emit(Step{"the write's deadline passes", i}, n)
	}
	if !s.Server.Quarantine || s.Server.Due[dueQuarantine] {
		return
	}
	n := *s
	n.Server.Pass(m.Break, dueQuarantine)
	for i := range n.Writes {
		if n.Writes[i].Phase >= executed && !n.Server.Open[i] {
			n.Writes[i].Late = true
		}
		if n.Writes[i].Closed {
			n.settle(i)
		}
	}
	emit(Step{"the quarantine ends", -1}, n)
}

// laterRaises become due: after a write was closed, and then its origin has settled, or
// after its deadline has passed.
func (m *Model) laterRaises(s *State, emit emitter) {
	for i := range s.Writes {
		w := s.Writes[i]
		if !s.Server.Later[i] && (!w.Closed || w.Settled) {
			continue
		}
		n := *s
		if n.Server.Later[i] {
			n.Server.Pass(m.Break, dueLater+i)
		}
		if w.Closed {
			n.settle(i)
		}
		n.require(w.Version)
		emit(Step{"also_after has passed", i}, n)
	}
}

func (m *Model) faults(s *State, emit emitter) {
	if int(s.Faults) >= m.Faults {
		return
	}
	become := func(name string, v int, change func(*State)) {
		n := *s
		n.Faults++
		change(&n)
		emit(Step{name, v}, n)
	}
	if s.Server.Gen != 0 {
		become("the generation is lost", -1, func(n *State) { n.Server.LoseGeneration(m.Break) })
	}
	if !s.Purged {
		become("purge", -1, func(n *State) { n.Purged = true; n.Server.Purge(m.Break) })
	}
	if !s.NewEpoch {
		become("the server restarts: a new epoch", -1, func(n *State) { n.NewEpoch = true; n.Server.NewEpoch(m.Break) })
	}
	if !s.Crashed && m.Writers > 0 {
		become("the VM dies; another one starts", 0, func(n *State) { crash(n, 0) })
	}
}
