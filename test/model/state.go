package model

// State is the whole system at one moment. It is comparable and has no padding:
// equal states have equal bytes.
type State struct {
	Server  Server
	Stored  entry // L2
	VMs     [2]vm
	Reads   [2]read
	Writes  [2]write
	Version uint8 // of the origin's data

	Floor   uint8 // no read that begins now may get an older version from L2
	Late    uint8 // nor from any L1
	Ticking bool  // max_staleness runs since Floor was raised last

	Faults                             uint8 // that have happened
	Purged, Renewed, NewEpoch, Crashed bool
	Exceptions                         Exception
	Broken                             Property
}

type entry struct {
	Version uint8
	Ticket  Ticket
}

// age says when a poll was sent: before the last raise of Floor, or after it.
// A lease has the age of its poll.
type age uint8

const (
	over age = iota // max_staleness has passed
	before
	after
)

type vm struct {
	Cursor  Ticket
	Lease   age
	Filled  bool // L1 holds the response, usable as far as slots tell
	Version uint8

	Poll      pollPhase
	Age       age // of the poll
	Answer    Ticket
	Continues bool
	Moves     bool

	Own uint8 // version that this VM's own writes require of its L1
}

type pollPhase uint8

const (
	noPoll pollPhase = iota
	pollSent
	pollAnswered
)

type read struct {
	Phase   readPhase
	VM      uint8
	Floor   uint8 // required when it began
	MayFill bool  // sent under a lease, and no slot has moved since
	Ticket  Ticket
	Gen     uint8
	Version uint8
}

type readPhase uint8

const (
	idle readPhase = iota
	asked
	validityRead
	entryRead
	hit  // the answer is under way
	miss // the origin is to be asked
	got  // the origin has answered
	storing
	lost // no answer will come
)

type write struct {
	Phase    writePhase
	Version  uint8 // what its commit made; 0: none
	Finished bool  // the origin will not commit any more
	Acked    bool  // the suspension is acknowledged
	Pending  bool  // forwarded without
	Late     bool  // the suspension's deadline has passed once
	Gap      bool  // since then the VM's own L1 may hold anything
	Early    bool  // the journal was delivered too early (JournalBeforeEnd)
	Message  bool  // a suspend or a renewal is under way
	Repeated bool
	Outcome  outcome
	Closed   bool // a close with a raise was executed
	Settled  bool // and also_after has passed since
}

type writePhase uint8

const (
	unsent writePhase = iota
	sent
	executed
	forwarded
	ended
	delivered
	done
)

type outcome uint8

const (
	changed outcome = iota
	unchanged
	unknown
)

// Exception is a set of the exceptions that G3 allows and that happened.
type Exception uint8

// The exceptions.
const (
	CommitWhilePending Exception = 1 << iota // bridge unreachable with forward
	CommitAfterTerm                          // after settle, or renewals failed for a whole deadline
	DiedPending                              // the VM died with its journal
	CommitBeforeAlso                         // after the response, before what also_after asks for
)

// Property is what a state breaks.
type Property uint8

// The properties; Fine breaks none.
const (
	Fine Property = iota
	StaleL2
	StaleOwnL1
	StaleOtherL1
	Stuck
)

func (p Property) String() string {
	return [...]string{"fine", "stale read from L2", "stale read from the writer's own L1",
		"stale read from another L1 beyond max_staleness", "stuck for ever"}[p]
}

// start is the state in which everything is known and nothing stored. The
// numbers begin where their decimals grow longer.
func start() State {
	s := State{Server: Server{Ticket: Ticket{1, 9}}}
	for v := range s.VMs {
		s.VMs[v] = vm{Cursor: s.Server.Ticket, Lease: after}
	}
	return s
}

// move makes what L1 holds unusable, also what is on its way into it.
func (s *State) move(v int) {
	s.VMs[v].Filled, s.VMs[v].Version = false, 0
	for i := range s.Reads {
		if int(s.Reads[i].VM) == v {
			s.Reads[i].MayFill = false
		}
	}
}

// require raises Floor, from when max_staleness counts.
func (s *State) require(version uint8) {
	if version <= s.Floor {
		return
	}
	s.Floor, s.Ticking = version, true
	for i := range s.VMs {
		s.VMs[i].Lease = min(s.VMs[i].Lease, before)
		s.VMs[i].Age = min(s.VMs[i].Age, before)
	}
}

// blocked tells whether the journal blocks the group. Writer i is in VM i.
func (s *State) blocked(v int) bool {
	w := &s.Writes[v]
	return w.Pending && !w.Early && w.Phase >= forwarded && w.Phase < done
}

// judge looks for a broken property that is one of the state itself.
func (s *State) judge() {
	for i := range s.VMs {
		v := &s.VMs[i]
		if v.Lease == over || !v.Filled || s.blocked(i) || s.Broken != Fine {
			continue
		}
		if v.Version < v.Own {
			s.Broken = StaleOwnL1
		} else if v.Version < s.Late {
			s.Broken = StaleOtherL1
		}
	}
}
