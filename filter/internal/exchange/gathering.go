package exchange

import (
	"slices"
	"time"

	"chatcache/redisbridge/wire"
)

// maxAlone is how many lookups of a VM are under way before the next ones gather.
const maxAlone = 4

// gathering sends lookups together that come while others are under way: a call of its own costs the
// proxy and the bridge more than all else that there is to do for a hit in Redis.
//
//  1. Up to maxAlone lookups are under way: what comes is sent at once, as a call of its stream's.
//  2. One more comes, and gathers. The root context is woken: only its calls outlive their streams.
//  3. It sends all that have gathered as one call. What comes meanwhile gathers for the next one.
//  4. The call is answered: each asker goes on with its own answer, a read in its stream's context. Flights whose
//     waiters need another lookup add theirs, and the next call is sent.
//
// A read's timeout begins when it gathers, and so a call that is late gives up those that wait for it, too: it
// is sent only for those who have half of their time left. Who waits in a flight has more time: a round that is late is asked for by itself.
type gathering struct {
	state   *State
	most    int // lookups under way before others gather
	alone   int // of them, those that are calls of their own
	waiting []asker
	sent    *gathered       // under way, nil if none
	again   underWay[*read] // asked for by themselves after all
}

// asker is who asks for a lookup that may be sent together with others: a read, or the round of those who
// wait in a flight.
type asker interface {
	// asks tells whether anybody still wants the answer.
	asks() bool
	// gatherer is the plugin of whose policy the lookup is, and for how long the asker has gathered; patient tells that it may
	// be late.
	gatherer(now int64) (of *Plugin, waited time.Duration, patient bool)
	// depart gives the lookup, which is sent now.
	depart() wire.LookupRequest
	// took takes the answer in the root context of p; malformed is what was wrong with its frame. It tells whether a stream
	// has been answered or let go.
	took(p *Plugin, answer wire.LookupAnswer, a Answer, malformed error) (letGo bool)
	// tooLate gives up an asker that nothing was asked for: that says nothing of the bridge.
	tooLate(p *Plugin)
	// askAlone asks by itself for what can't come with others.
	askAlone(p *Plugin)
}

// gathered is one call for several askers.
type gathered struct {
	by     *Plugin
	askers []asker
}

// takes tells whether a lookup of the plugin's policy is to be sent together with others; then the asker is added. Until the VM
// is registered each lookup registers it, and goes alone.
func (g *gathering) takes(of *Plugin) bool {
	busy := g.alone + len(g.waiting)
	if g.sent != nil {
		busy += len(g.sent.askers)
	}
	return busy >= g.most && of == g.state.current() && g.state.follower.stands(of.host.Now())
}

// add adds an asker. Somebody has to see to it that run is called.
func (g *gathering) add(a asker) { g.waiting = append(g.waiting, a) }

// run sends some of what has gathered, unless a call is under way. The next ones follow its answer, or in a run of
// their own: see maxLetGo.
func (g *gathering) run(p *Plugin, now int64) {
	g.waiting = slices.DeleteFunc(g.waiting, func(a asker) bool { return !a.asks() })
	if len(g.waiting) == 0 || g.sent != nil {
		return
	}
	timeout := p.Policy.Bridge.Timeout
	n := min(len(g.waiting), wire.MaxLookups)
	call := &gathered{by: p}
	var late, others []asker
	left := timeout
	for _, a := range g.waiting[:n] {
		of, waited, patient := a.gatherer(now)
		switch isLate := waited > timeout/2; {
		case isLate && !patient:
			late = append(late, a)
		case isLate, of != p, !g.state.follower.stands(now): // the call would say what isn't so of its policy, or must register the VM
			others = append(others, a)
		default:
			call.askers, left = append(call.askers, a), min(left, timeout-waited)
		}
	}
	g.waiting = slices.Delete(g.waiting, 0, n)
	if len(call.askers) > 0 {
		g.send(call, left)
	}
	if g.sent == nil && len(g.waiting) > 0 {
		g.state.wake()
	}
	for _, a := range others {
		a.askAlone(p)
	}
	for _, a := range late {
		a.tooLate(p)
	}
}

func (g *gathering) send(call *gathered, timeout time.Duration) {
	p := call.by
	m := wire.LookupsRequest{Scope: p.state.scope}
	for _, a := range call.askers {
		m.Lookups = append(m.Lookups, a.depart())
	}
	g.sent = call
	finish := func(a Answer) {
		if g.sent != call {
			return // taken back
		}
		g.sent = nil
		letGo := g.answered(call, a)
		if p != g.state.current() {
			g.state.wake()
			return
		}
		now := p.host.Now()
		g.state.flights.beginRounds(p, now)
		g.run(p, now)
		g.state.flights.letGo(p, now, maxLetGo-letGo)
	}
	if err := p.host.Call(wire.PathLookups, m.Encode(), timeout, finish); err != nil {
		g.sent = nil
		g.answered(call, Answer{})
	}
}

// answered tells how many streams it has answered or let go.
func (g *gathering) answered(call *gathered, a Answer) (letGo int) {
	got, err := wire.DecodeLookupsAnswer(a.Body, len(call.askers))
	for i, asker := range call.askers {
		one, its := wire.LookupResult{}, a
		if a.Status == "200" && err == nil {
			one = got.Results[i]
		}
		switch one.Outcome {
		case wire.LookupAlone:
			asker.askAlone(call.by)
			continue
		case wire.LookupFailed:
			its = Answer{Status: "503"}
		}
		if asker.took(call.by, one.Answer, its, err) {
			letGo++
		}
	}
	return letGo
}

// takeBack lets those gather again whose answers are lost with a plugin that ends.
func (g *gathering) takeBack(p *Plugin) {
	if g.sent != nil && g.sent.by == p {
		g.waiting, g.sent = append(g.waiting, g.sent.askers...), nil
	}
	g.again.takeBack(p, func(r *read) { g.add(r) })
}

// The methods below make a read an asker.

func (r *read) asks() bool { return r.phase == paused }

func (r *read) gatherer(now int64) (of *Plugin, waited time.Duration, patient bool) {
	return r.plugin, time.Duration(now - r.gathers), false
}

func (r *read) depart() wire.LookupRequest {
	if r.flight != nil {
		r.flight.asked = r.state.flights.arrivals
	}
	return r.lookupRequest(r.flight, 0)
}

func (r *read) took(p *Plugin, answer wire.LookupAnswer, a Answer, malformed error) (letGo bool) {
	return p.host.Within(r.stream, func() {
		r.plugin.report(r.permit, a)
		if r.phase == paused {
			r.goOn(r.judged(answer, a, malformed))
		}
	})
}

func (r *read) tooLate(p *Plugin) {
	p.host.Within(r.stream, func() {
		if r.phase == paused {
			r.goOn(r.judged(wire.LookupAnswer{}, Answer{Status: "504"}, nil))
		}
	})
}

func (r *read) askAlone(p *Plugin) {
	if r.phase != paused {
		return
	}
	g := &r.state.gathering
	q := r.query(p, r.flight, 0)
	g.again[r] = p
	finish := func(a Answer) {
		if g.again.land(p, r) {
			p.host.Within(r.stream, func() { r.lookedUp(q, a) })
		}
	}
	if err := p.host.Call(q.path, q.frame, p.Policy.Bridge.Timeout, finish); err != nil {
		finish(Answer{})
	}
}
