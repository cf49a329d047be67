package exchange

import (
	"slices"
	"time"

	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// minHold is how long a round waits at the bridge at least, so that reads which came one
// after the other don't cost a call each.
const minHold = 100 * time.Millisecond

// round is one lookup for all who wait in a flight. It is made from the root context, and so
// outlives each of their streams.
type round struct {
	flight *flight
	by     *Plugin // whose call it is, or will be
	first  *read   // the oldest of those who wait; perhaps gone when the answer comes
	last   uint64  // the youngest: reads that come later need another lookup, unless it misses
	until  int64   // when its wait at the bridge ends; 0: it doesn't wait there
	alone  bool    // it is a call of its own that doesn't wait there
	began  int64   // monotonic nanoseconds
	permit permit
	fence  fence
}

// begin answers those who wait from L1, as far as they may be, or sends a round.
func (f *flight) begin(p *Plugin, now int64) {
	f.due = false
	first := f.waiters[0]
	fence := first.fenceAt(now)
	if found, ok := first.inL1(fence.leased, now); ok && (first.canUse(found, now) || !first.suits(found)) {
		f.answer(found, f.state.flights.arrivals)
		if f.endIfEmpty(); len(f.waiters) == 0 {
			return
		}
		first = f.waiters[0]
		fence = first.fenceAt(now)
	}
	if f.landing {
		return // what is stored can't be found yet
	}
	permit, ok := p.admit()
	if !ok {
		f.forward(reasonBreaker)
		return
	}
	rd := &round{flight: f, by: p, first: first, last: f.state.flights.arrivals, began: now, permit: permit, fence: fence}
	if f.hold {
		if f.state.flights.held >= maxHeld {
			f.pass()
			return
		}
		f.hold, f.round = false, rd
		wait := min(max(time.Duration(first.until-now), minHold), wire.MaxHold*time.Millisecond)
		rd.until = now + int64(wait)
		f.state.flights.held++
		rd.ask(p, wait)
		return
	}
	f.round = rd
	if g := &f.state.gathering; g.takes(p) && first.plugin == p {
		g.add(rd) // it runs after the flights
		return
	}
	rd.askAlone(p)
}

// ask makes the round's own call, which waits at the bridge for so long.
func (rd *round) ask(p *Plugin, wait time.Duration) {
	f := rd.flight
	rd.by = p
	q := rd.first.query(p, f, wait)
	err := p.host.Call(q.path, q.frame, wait+p.Policy.Bridge.Timeout, func(a Answer) {
		if f.round == rd {
			f.landRound()
			answer, reason := rd.first.understand(q, a)
			f.answered(p, rd, a, answer, reason)
			f.state.flights.letGo(p, p.host.Now(), maxLetGo)
		}
	})
	if err != nil {
		f.landRound()
		rd.first.metrics.count(p.host, wire.CountErrors, &rd.first.metrics.errors)
		f.forward(reasonUnreachable)
	}
}

// landRound ends the round under way.
func (f *flight) landRound() {
	if f.round.until != 0 {
		f.state.flights.held--
	}
	if f.round.alone {
		f.state.gathering.alone--
	}
	f.round = nil
}

// The methods below make a round an asker.

func (rd *round) asks() bool { return rd.flight.round == rd }

func (rd *round) gatherer(now int64) (of *Plugin, waited time.Duration, patient bool) {
	return rd.first.plugin, time.Duration(now - rd.began), true
}

func (rd *round) depart() wire.LookupRequest {
	rd.last = rd.flight.state.flights.arrivals
	return rd.first.lookupRequest(rd.flight, 0)
}

func (rd *round) took(p *Plugin, answer wire.LookupAnswer, a Answer, malformed error) (letGo bool) {
	if f := rd.flight; f.round == rd {
		f.landRound()
		answer, reason := rd.first.judged(answer, a, malformed)
		f.answered(p, rd, a, answer, reason)
	}
	return false // they are decided on only
}

func (rd *round) tooLate(*Plugin) {} // it is patient

func (rd *round) askAlone(p *Plugin) {
	if !rd.asks() {
		return
	}
	if !rd.alone {
		rd.alone = true
		rd.flight.state.gathering.alone++
	}
	rd.ask(p, 0)
}

// answered goes on with what the round's lookup has found.
func (f *flight) answered(p *Plugin, rd *round, a Answer, answer wire.LookupAnswer, reason httpcache.Reason) {
	p.report(rd.permit, a)
	now := p.host.Now()
	got, hit := rd.first.inL2(answer, now)
	f.saw(answer.Ticket, rd.fence, unused(got, hit), rd.last)
	switch {
	case reason != "":
		f.forward(reason)
	case hit && rd.first.canUse(got, now):
		rd.first.keep(rd.fence, got, now)
		f.answer(got, rd.last)
		f.leader = rd.first
		f.giveBack(answer)
	case hit && !rd.first.suits(got):
		f.answer(got, rd.last) // another variant: whom it doesn't suit goes to the origin
		f.leader = rd.first
		f.giveBack(answer)
	case leads(answer):
		f.promote(rd, now)
	case answer.State != wire.LookupLeased:
		f.pass() // the mark: nobody is to wait
	case rd.until > now:
		f.pass() // the bridge doesn't hold lookups now
	default:
		f.hold = true
		f.next()
	}
}

// answer answers those who came up to the one, where they can use what was found. While the configuration changes some may be of a plugin
// by whose policy L1 isn't used, or for a shorter time: they wait on.
func (f *flight) answer(found found, last uint64) {
	f.waiters = slices.DeleteFunc(f.waiters, func(r *read) bool {
		if r.joined > last {
			return false
		}
		if found.tier == tierL1 && !r.leased(r.plugin.host.Now()) {
			return false
		}
		f.decide(r, decision{found: &found, ticket: f.ticket, fence: f.fence})
		return true
	})
}

// promote makes the oldest of those who wait the leader. If nobody waits any more the lease goes back.
// What was found and can't be used as it is, it may have confirmed.
func (f *flight) promote(rd *round, now int64) {
	if len(f.waiters) == 0 {
		f.leader = rd.first
		f.release(0)
		return
	}
	r := f.waiters[0]
	f.waiters = slices.Delete(f.waiters, 0, 1)
	f.decide(r, f.toOrigin())
	r.fence = f.fence
	f.lead(r, now)
}
