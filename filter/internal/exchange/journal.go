package exchange

import (
	"slices"
	"time"

	"chatcache/redisbridge/wire"
)

const (
	maxJournal        = 1024
	maxJournalCalls   = 16 // under way at a time
	journalBackOffMin = 100 * time.Millisecond
	journalBackOffMax = 2 * time.Second
)

// journal holds the ends of writes until the bridge has acknowledged them.
//
// Where the suspension itself was not acknowledged ("unreachable": "forward"),
// the groups are blocked: this VM neither uses nor fills them until the entry
// is delivered. Everywhere else the suspension in Redis does that.
type journal struct {
	state   *State
	entries []*journalEntry
	blocked map[string]int // entries and open writes that block a group
}

// journalEntry is the end of one write.
type journalEntry struct {
	id      string
	groups  []string
	outcome outcome
	settle  time.Duration // what is left to wait where the outcome is unknown
	also    time.Duration // raise once more, that long after its end
	blocks  bool

	call    *delivery // under way, nil if none
	done    bool
	retryAt int64
	backOff time.Duration
}

// delivery is one call for an entry. Its answer is lost with its plugin.
type delivery struct{ by *Plugin }

// block stops use and filling of groups in this VM until unblock:
//
//  1. the bridge is asked to raise a group; what L1 has of it can't be used any more
//  2. a lookup overtakes that, and brings an entry that names the group into L1
//  3. the raise fails, and the group is blocked
//  4. a read finds the entry in L1: nothing but its slots tells that it is of the group
func (j *journal) block(groups []string) {
	for _, g := range groups {
		j.blocked[g]++
	}
	j.state.move(groups)
}

// unblock ends that. The groups' slots move once more:
//
//  1. a lookup is executed, and finds an entry that names a blocked group
//  2. the raise of the group is executed, and acknowledged: nothing is blocked any more
//  3. the lookup's answer comes: only the slots tell that the entry may be older than 2
func (j *journal) unblock(groups []string) {
	for _, g := range groups {
		if j.blocked[g]--; j.blocked[g] <= 0 {
			delete(j.blocked, g)
		}
	}
	j.state.move(groups)
}

// idle tells whether no group at all is blocked.
func (j *journal) idle() bool { return len(j.blocked) == 0 }

// blocks tells whether one of a read's groups is blocked.
func (j *journal) blocks(groups []string) bool {
	return !j.idle() && slices.ContainsFunc(groups, func(g string) bool { return j.blocked[g] > 0 })
}

// add takes the end of a write and sees to its delivery. An entry that blocks
// has its groups blocked already.
func (j *journal) add(e *journalEntry) {
	if len(j.entries) >= maxJournal {
		e = j.merge(e)
	}
	j.entries = append(j.entries, e)
	j.state.wake()
}

// merge makes one entry for everything out of all entries.
func (j *journal) merge(e *journalEntry) *journalEntry {
	all := j.everything(append(j.entries, e))
	j.entries = nil
	j.report(metricJournalMerged, "chatcache: the journal is full: everything is invalidated once the bridge answers again")
	return all
}

// everything makes one entry for everything out of some. Their suspensions, if Redis
// has them, end by their deadlines.
func (j *journal) everything(entries []*journalEntry) *journalEntry {
	all := &journalEntry{id: j.state.newID(), groups: []string{groupAll}, blocks: true}
	j.block(all.groups)
	for _, old := range entries {
		old.done = true
		if old.outcome == unknown {
			all.outcome, all.settle = unknown, max(all.settle, old.settle)
		}
		all.also = max(all.also, old.also)
		if old.blocks {
			j.unblock(old.groups)
		}
	}
	return all
}

func (j *journal) report(metric, line string) {
	if p := j.state.current(); p != nil {
		p.count(metric)
		p.host.Warn(line)
	}
}

// refused handles an entry that the bridge will never take. That of a write that has
// changed nothing is forgotten: its suspension ends by its deadline. Any other
// becomes one for everything, together with those that are that already; one
// that is refused even so is tried again, in case that the bridge is another one by then.
func (j *journal) refused(p *Plugin, e *journalEntry, a Answer) {
	switch {
	case e.isEverything():
		e.postpone(p.host.Now())
		return
	case e.outcome == unchanged:
		j.forget(e)
	default:
		j.widen(e)
	}
	j.report(metricJournalRefused, "chatcache: the bridge refused the end of a write for good, with "+a.Status+"; unless it has changed nothing, everything is invalidated instead")
}

// widen puts one entry for everything in place of this one and of those for everything that aren't being delivered.
func (j *journal) widen(e *journalEntry) {
	wide := []*journalEntry{e}
	j.entries = slices.DeleteFunc(j.entries, func(other *journalEntry) bool {
		if other.isEverything() && other.call == nil {
			wide = append(wide, other)
			return true
		}
		return other == e
	})
	j.entries = append(j.entries, j.everything(wide))
	j.state.wake()
}

func (e *journalEntry) isEverything() bool { return len(e.groups) == 1 && e.groups[0] == groupAll }

// forget takes an entry out of the journal.
func (j *journal) forget(e *journalEntry) {
	e.done = true
	if i := slices.Index(j.entries, e); i >= 0 {
		j.entries = slices.Delete(j.entries, i, i+1)
	}
	if e.blocks {
		j.unblock(e.groups)
	}
}

func (j *journal) run(p *Plugin, now int64) {
	calls := 0
	for _, e := range j.entries {
		if e.call == nil && now >= e.retryAt {
			j.deliver(p, e)
		}
		if e.call != nil {
			calls++
		}
		if calls >= maxJournalCalls {
			return
		}
	}
}

func (j *journal) deliver(p *Plugin, e *journalEntry) {
	path, frame := e.frame(p)
	this := &delivery{by: p}
	e.call = this
	err := p.host.Call(path, frame, rootTimeout, func(a Answer) {
		if e.call == this && !e.done {
			e.call = nil
			j.answered(p, e, a)
		}
	})
	if err != nil {
		e.call = nil
		e.postpone(p.host.Now())
	}
}

// takeBack makes what a plugin that ends was delivering due again.
func (j *journal) takeBack(p *Plugin) {
	for _, e := range j.entries {
		if e.call != nil && e.call.by == p {
			e.call, e.retryAt = nil, 0
		}
	}
}

// frame is the call that ends the write: a close, or where the outcome is unknown
// a last term for the suspension, which ends as a raise.
func (e *journalEntry) frame(p *Plugin) (path string, frame []byte) {
	if e.outcome == unknown {
		return wire.PathSuspend, p.suspension(e.id, e.groups, e.settle, e.also)
	}
	return wire.PathClose, wire.CloseRequest{
		Scope: p.state.scope, ID: e.id, Groups: e.groups, Raise: e.outcome == changed, AlsoAfter: e.also.Milliseconds(),
	}.Encode()
}

func (j *journal) answered(p *Plugin, e *journalEntry, a Answer) {
	if a.refuses() {
		j.refused(p, e, a)
		return
	}
	if !a.acknowledges() {
		e.postpone(p.host.Now())
		return
	}
	p.count(metricClosed)
	j.state.move(e.groups) // sooner than the feed's event comes round
	j.forget(e)
	if len(j.entries) > 0 {
		j.state.wake()
	}
}

func (e *journalEntry) postpone(now int64) {
	e.backOff = min(max(2*e.backOff, journalBackOffMin), journalBackOffMax)
	e.retryAt = now + int64(e.backOff)
}
