//go:build !wasip1

package sched

import (
	"strconv"
	"strings"
	"time"

	"chatcache/filter/internal/exchange"
	"chatcache/redisbridge/wire"
)

// What is required, in the words of package model. Versions count the origin's
// commits. A commit is covered while its write's suspension is acknowledged and the
// deadline has not passed since the script ran; while the outcome is unknown, until
// settle has passed after the write's end was executed. Where the rule says also_after,
// a commit is required from that long after the end on. A read that begins later never
// gets an older version from L2, nor from the L1 of the VM that wrote; from another L1
// max_staleness later. The end of a write makes up for a commit that wasn't covered.
//
// Where only the responses to writes name what they invalidate, a commit before such a header section is required once its raise is acknowledged,
// and in the VM that wrote when it goes on, whatever has become of the raise; a commit before the response's end, once everything
// has come to rest, unless the VM has died that owed the raise.
//
// It is said by what the scheduler knows, never by what Redis or a VM has noted: a
// suspension that was lost covers as well.
type oracle struct {
	version int // of the origin's data
	floor   int // no read that begins now may get less from L2
	history []requirement
	own     [2]int // what a VM's own writes require of its L1
	hits    [2]int // seen: L1, L2
}

// requirement says when the floor was raised.
type requirement struct {
	at      int64
	version int
}

type readState struct {
	began   int64
	step    int // likewise
	floor   int // required of L2
	late    int // required of L1
	version int // that the origin gave
	got     bool
}

type writeState struct {
	version int   // what the commit made; 0: none yet
	over    bool  // the origin will not commit any more
	later   bool  // it has answered before it committed
	due     int64 // from then on what it has committed within also_after is required, ms; 0: nothing is to come

	acked, pending bool
	until          int64 // the suspension's deadline, from when the script ran
	late           bool  // it has passed
	gap            bool  // since then the VM's own L1 may hold anything
	ended          bool  // the end is acknowledged

	named     bool // its response names what it invalidates
	head      int  // the version when its header section came
	delivered bool // that is required, or nobody owes it any more

	overAt, committedAt int64 // ms: its end for the proxy, and the commit; 0: not yet
}

// require raises the floor.
func (w *world) require(version int) { w.requireSince(w.now(), version) }

func (w *world) requireSince(at int64, version int) {
	if version <= w.floor {
		return
	}
	w.floor = version
	w.history = append(w.history, requirement{at, version})
}

// mature requires what also_after has covered meanwhile.
func (w *world) mature() {
	for _, s := range w.streams {
		if due := s.write.due; due > 0 && w.now() >= due {
			w.requireSince(due, s.write.version)
			s.write.due = 0
		}
	}
}

// floorAt is the floor as it was at a time.
func (w *world) floorAt(then int64) (version int) {
	for _, r := range w.history {
		if r.at <= then {
			version = r.version
		}
	}
	return version
}

func (w *world) begins(s *stream) {
	w.mature()
	now, own := w.now(), w.own[s.vm.index]
	s.read = readState{
		began: now, step: len(w.trace), floor: max(w.floor, own),
		late: max(w.floorAt(now-s.root.policy.L1.MaxStaleness.Milliseconds()), own),
	}
}

// replied checks what a client got from the cache.
func (w *world) replied(s *stream, status uint32, cacheStatus, body string) {
	if s.rule != nil {
		s.write.over = true
		if status != 503 || !s.rule.refuse {
			w.violation("%s: a write is answered with %d", name(s.number), status)
		}
		return
	}
	if s.self != nil && status == 421 {
		return // a refresh that can store nothing
	}
	switch kind := s.kind(); {
	case kind == readsCached && status == 504:
		return
	case kind == readsRange && status == 206:
		status = 200
	case kind == readsCondition && status == 304:
		status, body = 200, "0"
	}
	version, err := strconv.Atoi(strings.TrimSpace(body))
	if s.other && status == 200 && err == nil {
		return
	}
	least, tier := s.read.floor, 1
	if strings.Contains(cacheStatus, "detail=l1") {
		least, tier = s.read.late, 0
	}
	w.hits[tier]++
	w.spared(s, tier)
	switch {
	case status != 200 || err != nil:
		w.violation("%s: answered with %d %q", name(s.number), status, body)
	case version < least:
		w.violation("%s: stale: version %d (%s), at least %d is required", name(s.number), version, cacheStatus, least)
	}
}

// forwards notes a request that the origin gets.
func (w *world) forwards(s *stream) { s.write.pending = s.rule != nil && !s.write.acked }

// ends notes the end of a stream.
func (w *world) ends(s *stream) {
	if !s.forwarded {
		s.write.over = true
	}
	s.write.overAt = w.now()
}

// agreed requires what was committed by writes for which the policy of their proxy had no rule, since all have one now, and no such write
// can be under way any more: where the origin committed late, it wasn't later than their terms.
func (w *world) agreed() {
	for _, s := range w.streams {
		state := &s.write
		if !s.unruled || state.version == 0 {
			continue
		}
		term := s.rule.settle
		if state.later {
			term = s.rule.also
		}
		if state.overAt == 0 || state.committedAt < state.overAt+term {
			w.require(state.version)
		}
	}
}

// answering notes an answer that a VM is about to get.
func (w *world) answering(c *call, a exchange.Answer) {
	if w.plan.named && c.stream != nil && c.path == wire.PathClose && a.Status == "200" {
		w.require(c.stream.write.head)
	}
	if c.write == nil || c.write.unruled || a.Status != "200" || w.plan.named {
		return
	}
	state := &c.write.write
	switch {
	case c.stream == c.write:
		state.acked = true
	case c.ends:
		state.ended, state.pending, state.gap = true, false, false
		if w.floor >= state.version && c.write.vm == w.vms[c.write.vm.index] {
			w.own[c.vm.index] = max(w.own[c.vm.index], state.version)
		}
	}
}

// commit is the origin's: it makes the next version.
func (w *world) commit(s *stream) {
	w.mature()
	state := &s.write
	w.version++
	state.version, state.over, state.committedAt = w.version, true, w.now()
	if s.unruled {
		return
	}
	if w.now() >= state.due-rounding {
		state.due = 0 // the raise may have come before it
	}
	if w.plan.named {
		state.delivered = s.over || s.vm.dead // too late
		return
	}
	state.late = state.late || state.acked && w.now() >= state.until
	covered := state.acked && !state.late
	if covered {
		w.require(state.version)
	}
	if alive := s.vm == w.vms[s.vm.index]; alive && (state.pending || covered && !state.gap) {
		w.own[s.vm.index] = state.version
	}
}

// due looks whether a script has turned the deadlines that have passed.
func (w *world) due(o *operation) {
	if args := o.commands[0].Args(); len(args) < 4 || args[3] != prefix+"state" {
		return // of an entry, or it only reads
	}
	for id, deadline := range w.store.deadlines() {
		if deadline <= time.Now().UnixMilli() {
			w.violation("a script ran, and suspension %s is open beyond its deadline", id)
		}
	}
}

// happened notes what Redis has executed of a call.
func (w *world) happened(o *operation) {
	c := o.call
	if o.sets() {
		w.controlled(o)
	}
	if c.path == pathPurge {
		w.renew()
	}
	if c.write == nil || c.write.unruled {
		return
	}
	state, now := &c.write.write, w.now()
	switch {
	case c.ends:
		w.endExecuted(c.write, now)
	case c.path == wire.PathSuspend && !c.write.over:
		if state.late = state.late || state.acked && now >= state.until; !state.late {
			state.until = now + c.write.rule.deadline
		}
	}
}

// rounding is how much later than said a due raise may come, ms: see prelude.lua.
const rounding = 8

// endExecuted covers what may still be committed until settle has passed, and
// requires what was.
func (w *world) endExecuted(s *stream, now int64) {
	state := &s.write
	if w.plan.named {
		return
	}
	if state.later && state.due == 0 {
		// What it commits from now on is required once also_after has passed.
		state.acked, state.pending = false, false
		state.due = now + s.rule.also + rounding
	}
	if !state.over && !state.later {
		state.gap = state.gap || state.late || state.acked && now >= state.until
		state.acked, state.late, state.until = true, false, now+s.rule.settle
	}
	if state.version > 0 {
		w.require(state.version)
	}
}

// writeOf finds the write whose suspension a VM's call opens, renews or ends. Ids
// come up in the order in which writes begin.
func (w *world) writeOf(v *vm, path string, frame []byte) *stream {
	var id string
	switch path {
	case wire.PathSuspend:
		m, _ := wire.DecodeSuspendRequest(frame)
		id = m.ID
	case wire.PathClose:
		m, _ := wire.DecodeCloseRequest(frame)
		id = m.ID
	default:
		return nil
	}
	if s, ok := w.writes[id]; ok {
		return s
	}
	for _, s := range w.streams {
		if s.vm == v && s.rule != nil && s.id == "" {
			s.id, w.writes[id] = id, s
			return s
		}
	}
	return nil
}

// names notes that a header section goes on that names what its write invalidates.
func (w *world) names(s *stream) {
	if s.vm == w.vms[s.vm.index] {
		w.own[s.vm.index] = max(w.own[s.vm.index], s.write.head)
	}
}

// deliver requires what responses have named, once nobody owes anything.
func (w *world) deliver() {
	if !w.plan.named || !w.rests() {
		return
	}
	for _, s := range w.streams {
		if state := &s.write; state.named && state.version > 0 && !state.delivered {
			state.delivered = true
			w.require(state.version)
		}
	}
}

// forsake gives up what a VM owes that dies.
func (w *world) forsake(v *vm) {
	owes := v.journal() > 0
	for _, s := range w.streams {
		if s.vm == v && s.rule != nil && (owes || !s.over) {
			s.write.delivered = true
		}
	}
}
