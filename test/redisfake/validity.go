package redisfake

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

const (
	maxGroups = 64   // of one suspension and one event, as in operations.lua
	maxDue    = 1024 // groups that are due at one time
	ownFrom   = 7    // arguments of the prelude
)

// Validity is what decides validity for one policy: the keys that share its hash tag.
type Validity struct {
	State
	Feed       []Event
	Generation map[string]Generation // by group
	Tombstone  map[string]int64      // closed ids, until when (ms)
	VMs        map[string]int64      // registry: lease's end (ms)
	Applied    map[string]string     // by VM: sequence and epoch of its cursor
	Counts     map[string]int64      // by cache and counter
	Reported   map[string]string     // by VM: the number of its last report
	Rules      map[string]int64      // of policies: until when a VM has them at work (ms)
	Controls   map[string]string     // settings, and "version"
}

// State is the key "state"; Exists is false before the first epoch.
type State struct {
	Exists   bool
	Epoch    string
	Seq      uint64
	Raises   uint64
	Server   string
	Next     int64                 // lower bound of the earliest deadline, 0: none
	Open     map[string]Suspension // by id
	Suspends map[string]int        // open suspensions by group
	Due      []Due                 // raises to come, in order
	Standing []string              // groups that stand suspended
	Differ   string                // caches that policies differ about
}

// Due is a raise to come.
type Due struct {
	Time   int64
	Groups string
}

// Suspension is one that is open.
type Suspension struct {
	Deadline int64
	Groups   string // as wire.JoinGroups writes them
	Also     int64  // ms from its end until they are raised once more; 0: they aren't
}

// Generation is a group's, with the epoch it belongs to.
type Generation struct {
	Seq     uint64
	Epoch   string
	Expires int64
}

// Event is one number of the feed.
type Event struct {
	Seq    uint64
	Kind   string // "r", "s" or "c"
	Groups string
}

func newValidity() *Validity {
	return &Validity{Generation: map[string]Generation{}, Tombstone: map[string]int64{}, VMs: map[string]int64{}, Applied: map[string]string{},
		Counts: map[string]int64{}, Reported: map[string]string{}, Rules: map[string]int64{}, Controls: map[string]string{}}
}

// validity makes a script of what comes after the prelude.
func validity(own func(*Validity, *call) (any, error)) script {
	return func(s *Server, c *call) (any, error) {
		prefix := strings.TrimSuffix(c.keys[0], "state")
		v := s.policies[prefix]
		if v == nil {
			v = newValidity()
			s.policies[prefix] = v
		}
		c.own = c.args[ownFrom:]
		v.prelude(c, s.Identity)
		return own(v, c)
	}
}

func (v *Validity) prelude(c *call, server string) {
	if !v.Exists || v.Server != server {
		v.beginEpoch(c, server)
	}
	v.expire(c)
	v.raiseDue(c)
}

func (v *Validity) beginEpoch(c *call, server string) {
	absent := !v.Exists
	quarantine := max(integer(c.args[1]), v.remaining(c))
	v.Feed = nil
	v.State = State{
		Exists: true, Epoch: c.args[0], Server: server,
		Open: map[string]Suspension{}, Suspends: map[string]int{},
	}
	if quarantine > 0 && !(absent && c.args[2] == "1") {
		v.suspend(c, "quarantine", quarantine, "*", 0) // within every bound: nothing else is open
	}
	v.stand(c)
}

// remaining is for how many ms more the state has something to raise.
func (v *Validity) remaining(c *call) int64 {
	last := c.now
	if n := len(v.Due); n > 0 {
		last = v.Due[n-1].Time
	}
	for _, s := range v.Open {
		last = max(last, s.Deadline+s.Also)
	}
	return min(last-c.now, integer(c.args[6]))
}

func (v *Validity) expire(c *call) {
	if v.Next == 0 || c.now < v.Next {
		return
	}
	type due struct {
		id string
		Suspension
	}
	var passed []due
	v.Next = 0
	pause := int64(len(v.Open) / 10)
	for id, s := range v.Open {
		if s.Deadline <= c.now {
			passed = append(passed, due{id, s})
		} else if v.Next == 0 || s.Deadline < v.Next {
			v.Next = s.Deadline
		}
	}
	if v.Next > 0 {
		v.Next = max(v.Next, c.now+pause)
	}
	slices.SortFunc(passed, func(a, b due) int {
		return cmp.Or(cmp.Compare(a.Deadline, b.Deadline), strings.Compare(a.id, b.id))
	})
	for _, s := range passed {
		v.raise(c, s.Groups)
		if s.Also > 0 {
			v.raiseLater(s.Deadline, s.Also, s.Groups)
		}
		v.forget(s.id)
	}
}

// raiseLater lets the groups be raised once more, delay ms after the moment at.
func (v *Validity) raiseLater(at, delay int64, groups string) {
	grid := int64(1)
	for grid*64 < delay {
		grid *= 2
	}
	time := (at + delay + grid - 1) / grid * grid
	place, known := slices.BinarySearchFunc(v.Due, time, func(d Due, time int64) int { return cmp.Compare(d.Time, time) })
	if !known {
		v.Due = slices.Insert(v.Due, place, Due{Time: time})
	}
	var all []string
	for group := range strings.SplitSeq(v.Due[place].Groups+","+groups, ",") {
		if group != "" && !slices.Contains(all, group) {
			all = append(all, group)
		}
	}
	if slices.Contains(all, "*") || len(all) > maxDue {
		all = []string{"*"}
	}
	v.Due[place].Groups = strings.Join(all, ",")
}

// raiseDue raises what has become due.
func (v *Validity) raiseDue(c *call) {
	for len(v.Due) > 0 && v.Due[0].Time <= c.now {
		for some := range slices.Chunk(strings.Split(v.Due[0].Groups, ","), maxGroups) {
			v.raise(c, strings.Join(some, ","))
		}
		v.Due = v.Due[1:]
	}
}

// untilNext is in how many ms something passes or is due; -1: nothing is.
func (v *Validity) untilNext(c *call) int64 {
	first := v.Next
	if len(v.Due) > 0 && (first == 0 || v.Due[0].Time < first) {
		first = v.Due[0].Time
	}
	if first == 0 {
		return -1
	}
	return max(first-c.now, 1)
}

// take gives the next number to an event.
func (v *Validity) take(kind, groups string) {
	v.Seq++
	v.Feed = append(v.Feed, Event{v.Seq, kind, groups})
}

func (v *Validity) raise(c *call, groups string) {
	v.take("r", groups)
	for group := range strings.SplitSeq(groups, ",") {
		v.Generation[group] = Generation{v.Seq, v.Epoch, c.now + c.life()}
	}
	v.Raises++
}

func (c *call) life() int64 { return integer(c.args[3]) }

// suspend opens the suspension id, or renews it and adds groups.
func (v *Validity) suspend(c *call, id string, duration int64, groups string, also int64) error {
	open, renewed := v.Open[id]
	var all, added []string
	if renewed {
		all = strings.Split(open.Groups, ",")
	}
	for group := range strings.SplitSeq(groups, ",") {
		if !slices.Contains(all, group) {
			all, added = append(all, group), append(added, group)
		}
	}
	if len(all) > maxGroups {
		return Error("TOOMANY groups on one suspension: found " + strconv.Itoa(len(all)) + ", at most 64")
	}
	if most := int(integer(c.args[4])); !renewed && len(v.Open) >= most {
		return Error("TOOMANY suspensions open: at most " + strconv.Itoa(most))
	}
	deadline := c.now + duration
	v.Open[id] = Suspension{deadline, strings.Join(all, ","), also}
	for _, group := range added {
		v.countOpen(group, 1)
	}
	if v.Next == 0 || deadline < v.Next {
		v.Next = deadline
	}
	if len(added) > 0 {
		v.take("s", strings.Join(added, ","))
	}
	return nil
}

func (v *Validity) forget(id string) {
	for group := range strings.SplitSeq(v.Open[id].Groups, ",") {
		v.countOpen(group, -1)
	}
	delete(v.Open, id)
}

// countOpen adds to how many suspensions are open on a group.
func (v *Validity) countOpen(group string, more int) {
	if v.Suspends[group] += more; v.Suspends[group] <= 0 {
		delete(v.Suspends, group)
	}
}

// position is the beginning of every answer.
func (v *Validity) position() []any {
	return []any{v.Epoch, strconv.FormatUint(v.Seq, 10)}
}
