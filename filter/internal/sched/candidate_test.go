//go:build !wasip1

package sched

import (
	"slices"
	"testing/synctest"

	"chatcache/filter/internal/exchange"
	"chatcache/redisbridge/wire"
)

// emitter takes a step that is possible now, and how likely it is to be taken.
type emitter func(s step, weight int)

// Weights of steps. What stands for a fault is rare.
const (
	usual  = 16
	seldom = 1
)

// candidates lists what may happen now, but for what the scheduler does of itself: time,
// faults and new requests.
func (w *world) candidates(emit emitter) {
	for _, s := range w.streams {
		s.candidates(emit)
	}
	for _, c := range w.calls {
		switch {
		case c.lost:
		case c.path == pathSelf && c.loop == nil:
			for n := range int16(2) { // either VM is one of the proxy's
				emit(step{arrives, c.owner, c.number, n}, c.weight)
			}
		case c.bridge == nil && c.loop == nil:
			emit(step{arrives, c.owner, c.number, 0}, c.weight)
		case c.response != nil:
			emit(step{answered, c.owner, c.number, 0}, c.weight)
		}
	}
	for _, o := range w.operations() {
		if !w.tooSoon(o) {
			emit(step{executed, o.call.owner, o.call.number, int16(o.number)}, o.call.weight)
		}
	}
	for n, v := range w.vms {
		for x, r := range v.roots {
			if r.mayEnd() {
				emit(step{kind: pluginEnds, n: int16(n), x: int16(x)}, usual/4)
			}
		}
	}
	for _, o := range w.late {
		if w.tooSoon(o) {
			continue
		}
		emit(step{executedLate, o.call.owner, o.call.number, int16(o.number)}, seldom)
	}
}

func (s *stream) candidates(emit emitter) {
	switch {
	case !s.forwarded:
	case s.rule == nil && !s.over && !s.read.got:
		emit(step{kind: originReads, who: s.number}, s.weight)
	case s.rule == nil && !s.over:
		emit(step{kind: originEnds, who: s.number}, s.weight)
		if s.w.plan.stale {
			emit(step{kind: originEnds, who: s.number, x: originFails}, seldom)
		}
	case s.rule != nil:
		if !s.write.over {
			emit(step{kind: commits, who: s.number}, s.w.plan.committing)
		}
		if s.over {
			return
		}
		if s.rest != nil {
			if !s.holding {
				emit(step{kind: goesOn, who: s.number}, s.w.plan.ending)
			}
			return
		}
		end := func(e ending, weight int) { emit(step{kind: responseEnds, who: s.number, x: int16(e)}, weight) }
		if s.write.version > 0 {
			end(changed, s.w.plan.ending)
		} else {
			end(rejected, seldom)
			switch {
			case s.w.plan.named:
				end(changed, s.w.plan.ending) // it may commit between the header section and the rest
			case s.rule.also > 0:
				end(changedLater, s.w.plan.ending)
			}
		}
		for _, e := range []ending{cutOff, unavailable, retriedRejected, retriedChanged} {
			end(e, s.w.plan.breaking)
		}
	}
}

// faults lists what may go wrong now.
func (w *world) faults(emit emitter) {
	for _, s := range w.streams {
		if !s.over {
			emit(step{kind: clientLeaves, who: s.number}, seldom)
			if s.held && w.plan.locals {
				emit(step{kind: locally, who: s.number}, usual/4)
			}
		}
	}
	for _, c := range w.calls {
		if !c.lost {
			emit(step{lost, c.owner, c.number, 0}, seldom)
		}
	}
	for _, o := range w.operations() {
		emit(step{failsBefore, o.call.owner, o.call.number, int16(o.number)}, seldom)
		if w.tooSoon(o) {
			continue
		}
		emit(step{failsAfter, o.call.owner, o.call.number, int16(o.number)}, seldom)
	}
	for n := range int16(2) {
		emit(step{kind: dies, n: n}, usual/4)
		emit(step{kind: bridgeRestarts, n: n}, usual/4)
	}
	for x := range failures {
		emit(step{kind: redisFails, x: int16(x)}, usual/4)
	}
	emit(step{kind: purge, who: w.fresh(purgeOwner)}, usual/4)
}

// class puts steps that go wrong alike together; -1 for one that is no fault. A
// schedule has faults of few classes: of many, none would come often enough.
func (s step) class() int {
	switch s.kind {
	case clientLeaves, locally:
		return 0
	case lost:
		return 1
	case failsBefore, failsAfter:
		return 2
	case dies:
		return 3
	case bridgeRestarts:
		return 4
	case purge:
		return 5
	case redisFails:
		return 6 + int(s.x)
	}
	return -1
}

const classes = 6 + int(failures)

// fresh is the first number from least on that no stream has.
func (w *world) fresh(least int16) int16 {
	for w.used[least] {
		least++
	}
	return least
}

// possible tells whether a step of another schedule can be taken here.
func (w *world) possible(want step) (found bool) {
	switch want.kind {
	case readBegins, writeBegins, purge, operates:
		return !w.used[want.who]
	case timePasses, configures:
		return true
	}
	match := func(s step, _ int) { found = found || s == want }
	w.candidates(match)
	if !found {
		w.faults(match)
	}
	return found
}

// take takes a step that is possible.
func (w *world) take(s step) {
	w.trace = append(w.trace, s)
	switch s.kind {
	case readBegins:
		w.used[s.who] = true
		w.deliver()
		w.begin(s.who, w.vms[s.n], nil, nil, s.x)
	case writeBegins:
		w.used[s.who] = true
		w.begin(s.who, w.vms[s.n], rules[s.x], nil, 0)
	case arrives, answered, lost:
		w.takeCall(s)
	case executed, failsBefore, failsAfter, executedLate:
		w.takeOperation(s)
	case originReads, originEnds, commits, responseEnds, clientLeaves, goesOn, locally:
		w.takeStream(s)
	case purge:
		w.used[s.who] = true
		w.purge(s.who)
	case operates:
		w.used[s.who] = true
		w.operate(s.who, setting(s.x))
	case dies:
		w.kill(s.n)
	case bridgeRestarts:
		w.restart(s.n)
	case configures:
		v := w.vms[s.n]
		v.enter(func() { v.configure(policies[s.x]) })
	case pluginEnds:
		v := w.vms[s.n]
		v.enter(v.roots[s.x].end)
	case redisFails:
		w.store.lose(failure(s.x))
		if failure(s.x) == allLost {
			w.forgotten()
		}
	case timePasses:
		w.pass(int64(s.n))
	}
	synctest.Wait()
	w.cut()
	w.calls = slices.DeleteFunc(w.calls, func(c *call) bool { return c.over })
	for _, v := range w.vms {
		if v.journal() > 9 { // three writes, each with its own end, and the raises before and after its response
			w.violation("%d entries in a journal", v.journal())
		}
	}
}

func (w *world) takeCall(s step) {
	for _, c := range w.calls {
		if c.owner != s.who || c.number != s.n {
			continue
		}
		switch s.kind {
		case arrives:
			if c.path == pathSelf {
				w.loop(c, w.vms[s.x])
			} else {
				c.arrive(w.bridges[w.bridgeOf(c)])
			}
		case answered:
			if c.vm != nil {
				c.vm.told(input{kind: answered, call: c.recorded, answer: c.response.answer()})
			}
			if c.joins() && c.response.answer().Status == "200" {
				w.paid(c)
				c.vm.polls++
			}
			c.end(c.response.answer())
		case lost:
			c.lost = true
			if c.vm == nil || c.vm.dead {
				c.over = true
			}
		}
		return
	}
}

// bridgeOf is the bridge that a call goes to: each VM has one of its own, or all have the same.
func (w *world) bridgeOf(c *call) int {
	switch {
	case !w.plan.twoBridges:
		return 0
	case c.path == pathControls:
		return int(c.owner) % 2
	case c.vm == nil:
		return 0
	}
	return int(c.vm.index)
}

// answer is what the proxy makes of a bridge's response.
func (r *response) answer() exchange.Answer {
	switch {
	case r.broken:
		return exchange.Answer{Status: "503"}
	case r.status != 200:
		return exchange.Answer{Status: statusText(r.status)}
	}
	return exchange.Answer{Status: "200", Body: r.body}
}

func (w *world) takeOperation(s step) {
	list := w.operations()
	if s.kind == executedLate {
		list = w.late
	}
	for _, o := range list {
		if o.call.owner != s.who || o.call.number != s.n || o.number != int(s.x) {
			continue
		}
		switch s.kind {
		case executed, failsAfter:
			w.execute(o, s.kind == executed)
		case failsBefore:
			w.fail(o)
		case executedLate:
			w.executeLate(o)
		}
		return
	}
}

func (w *world) takeStream(s step) {
	for _, st := range w.streams {
		if st.number != s.who {
			continue
		}
		switch s.kind {
		case originReads:
			st.read.version, st.read.got = w.version, true
		case originEnds:
			st.vm.enter(func() { st.readEnds(s.x == originFails) })
		case commits:
			w.commit(st)
		case responseEnds:
			st.vm.enter(func() { st.writeEnds(ending(s.x)) })
		case goesOn:
			st.vm.enter(st.rest)
		case locally:
			st.vm.enter(st.localReply)
		case clientLeaves:
			st.details = "downstream_remote_disconnect"
			st.vm.told(input{kind: clientLeaves, stream: st.number})
			st.vm.enter(st.end)
		}
		return
	}
}

// kill ends a VM. Its streams break off, its calls are answered to nobody.
func (w *world) kill(n int16) {
	old := w.vms[n]
	old.dead = true
	w.forsake(old)
	for _, s := range w.streams {
		if s.vm == old && !s.over {
			s.over, s.held = true, false
			s.tell(0)
			w.ends(s)
		}
	}
	for _, c := range w.calls {
		c.over = c.over || c.lost && c.vm == old
	}
	w.vms[n] = w.newVM(n, old.life+1)
	w.own[n] = 0
}

// restart ends a bridge and what is under way in it.
func (w *world) restart(n int16) {
	old := w.bridges[n]
	for _, c := range w.calls {
		if c.bridge == old {
			c.cut = true
		}
	}
	old.end()
	w.bridges[n] = w.bubble.start()
	w.heard[n] = 0
	synctest.Wait()
	for _, c := range w.calls {
		if c.bridge == old && c.response != nil {
			c.response.broken = true
		}
	}
}

const pathPurge = "/v1/purge"

// purge is an administrator's, of the whole cache.
func (w *world) purge(who int16) {
	c := &call{w: w, path: pathPurge, frame: []byte(`{"policy":"chat","cache":"stats"}`), owner: who, weight: usual}
	c.number = w.numberOf(who, c.path)
	w.addCall(c)
}

// pathSelf is that of a proxy's requests to itself.
const pathSelf = "self"

// firstLoop is the number of the first request that a proxy sends to itself.
const firstLoop = 800

// loop lets a request of the proxy to itself begin in a VM.
func (w *world) loop(c *call, v *vm) {
	n := w.fresh(firstLoop)
	w.used[n] = true
	w.begin(n, v, nil, c, 0)
}

// feed tells whether the call is a poll.
func (c *call) feed() bool { return c.path == wire.PathFollow }
