package exchange

import "chatcache/redisbridge/wire"

// raise is that of the groups that only the response to a write names. Nobody has suspended
// them, so they are raised before the response goes on:
//
//  1. the origin has done the write, and its response's header section has come
//  2. what the VM has of the groups can't be used any more, and the bridge is asked to raise them
//  3. it has: the header section goes on. A read that begins after the client has seen it finds nothing older
//
// A read that asked the origin between the write and 3 may have the old response: its ticket is
// older than the raise. Where the bridge doesn't answer the raise goes into the journal, and the groups
// are blocked in this VM, as with a suspension that isn't acknowledged.
type raise struct {
	id     string
	groups []string
}

// raiseNamed asks for the raise, and tells whether the response waits for that.
func (w *write) raiseNamed(groups []string) (waits bool) {
	if len(groups) > maxNamed {
		groups = []string{groupAll}
	}
	w.named, w.raise = groups, &raise{id: w.state.newID(), groups: groups}
	w.state.move(groups)
	if w.pending { // it has waited for the bridge once, in vain
		w.owe()
		return false
	}
	permit, admitted := w.plugin.admit()
	if !admitted {
		w.owe()
		return false
	}
	frame := wire.CloseRequest{
		Scope: w.state.scope, ID: w.raise.id, Groups: groups, Raise: true, AlsoAfter: w.rule.AlsoAfter.Milliseconds(),
	}.Encode()
	err := w.stream.Call(wire.PathClose, frame, w.plugin.Policy.Bridge.Timeout, func(a Answer) {
		w.plugin.report(permit, a)
		w.raised(a)
	})
	if err != nil {
		w.owe()
	}
	return err == nil
}

// raised lets the response go on.
func (w *write) raised(a Answer) {
	if w.raise == nil || w.phase != held {
		return
	}
	if a.acknowledges() {
		w.state.move(w.raise.groups)
		w.raise = nil
		if len(w.groups) == 0 { // nothing else ends with the stream
			w.plugin.count(metricClosed)
		}
	} else {
		w.owe()
	}
	w.describe()
	w.resumeResponse()
	w.passed(w.end)
}

// owe hands the raise to the journal, if it isn't acknowledged.
func (w *write) owe() {
	if w.raise == nil {
		return
	}
	w.plugin.count(metricPending)
	w.owed = true
	w.state.journal.block(w.raise.groups)
	w.state.journal.add(&journalEntry{
		id: w.raise.id, groups: w.raise.groups, outcome: changed, also: w.rule.AlsoAfter, blocks: true,
	})
	w.raise = nil
}

// raiseAgain raises the groups that the response names once more when its stream is done, as the groups of the rule are, for
// the origin may go on with the write after its header section:
//
//  1. an answer is streamed; its header section names a group, which is raised, and goes on
//  2. a read of the group asks the origin, and what that answers is stored
//  3. the origin has sent the last byte, and commits; or the stream breaks, and it commits all the same
//
// Where the outcome is unknown they are suspended for as long as the rule's.
func (w *write) raiseAgain(o outcome) {
	if len(w.named) == 0 || o == unchanged || o == changed && w.headOnly {
		return
	}
	w.state.journal.block(w.named)
	w.state.journal.add(&journalEntry{
		id: w.state.newID(), groups: w.named, outcome: o, settle: w.rule.Settle, also: w.rule.AlsoAfter, blocks: true,
	})
}
