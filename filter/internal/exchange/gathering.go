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
//  4. The call is answered: the next one is sent, and then each read goes on with its own answer, in its stream's context.
//
// A lookup's timeout begins when it gathers, and so a call that is late gives up those that wait for it, too: it
// is sent only for those who have half of their time left.
type gathering struct {
	state   *State
	most    int // lookups under way before others gather
	alone   int // of them, those that are calls of their streams'
	waiting []*read
	sent    *gathered       // under way, nil if none
	again   underWay[*read] // asked for by themselves after all
}

// gathered is one call for several reads.
type gathered struct {
	by    *Plugin
	reads []*read
}

// takes tells whether the read's lookup is sent together with others. Until the VM is registered each lookup
// registers it, and goes alone.
func (g *gathering) takes(r *read) bool {
	busy := g.alone + len(g.waiting)
	if g.sent != nil {
		busy += len(g.sent.reads)
	}
	if busy < g.most || r.plugin != g.state.current() {
		return false
	}
	now := r.plugin.host.Now()
	if !g.state.follower.stands(now) {
		return false
	}
	r.gathers = now
	if g.waiting = append(g.waiting, r); len(g.waiting) == 1 && g.sent == nil {
		g.state.wake()
	}
	return true
}

// run sends some of what has gathered, unless a call is under way. The next ones follow its answer, or in a run of
// their own: see maxLetGo.
func (g *gathering) run(p *Plugin, now int64) {
	g.waiting = slices.DeleteFunc(g.waiting, func(r *read) bool { return r.phase != paused })
	if len(g.waiting) == 0 || g.sent != nil {
		return
	}
	timeout := p.Policy.Bridge.Timeout
	n := min(len(g.waiting), wire.MaxLookups)
	call := &gathered{by: p}
	var late, others []*read
	left := timeout
	for _, r := range g.waiting[:n] {
		switch waited := time.Duration(now - r.gathers); {
		case waited > timeout/2:
			late = append(late, r)
		case r.plugin != p, !g.state.follower.stands(now): // the call would say what isn't so of its policy, or must register the VM
			others = append(others, r)
		default:
			call.reads, left = append(call.reads, r), min(left, timeout-waited)
		}
	}
	g.waiting = slices.Delete(g.waiting, 0, n)
	if len(call.reads) > 0 {
		g.send(call, left)
	}
	if g.sent == nil && len(g.waiting) > 0 {
		g.state.wake()
	}
	for _, r := range others {
		g.ask(p, r)
	}
	for _, r := range late {
		p.host.Within(r.stream, func() { r.gathered(wire.LookupAnswer{}, Answer{Status: "504"}, nil) })
	}
}

func (g *gathering) send(call *gathered, timeout time.Duration) {
	p := call.by
	m := wire.LookupsRequest{Scope: p.scope}
	for _, r := range call.reads {
		m.Lookups = append(m.Lookups, r.lookupRequest(0))
	}
	g.sent = call
	finish := func(a Answer) {
		if g.sent != call {
			return // taken back
		}
		g.sent = nil
		if p == g.state.current() {
			g.run(p, p.host.Now())
		} else {
			g.state.wake()
		}
		g.answered(call, a)
	}
	if err := p.host.Call(wire.PathLookups, m.Encode(), timeout, finish); err != nil {
		g.sent = nil
		g.answered(call, Answer{})
	}
}

func (g *gathering) answered(call *gathered, a Answer) {
	got, err := wire.DecodeLookupsAnswer(a.Body, len(call.reads))
	for i, r := range call.reads {
		one, its := wire.LookupResult{}, a
		if a.Status == "200" && err == nil {
			one = got.Results[i]
		}
		switch one.Outcome {
		case wire.LookupAlone:
			g.ask(call.by, r)
			continue
		case wire.LookupFailed:
			its = Answer{Status: "503"}
		}
		call.by.host.Within(r.stream, func() { r.gathered(one.Answer, its, err) })
	}
}

// ask asks by itself for what can't come with others.
func (g *gathering) ask(p *Plugin, r *read) {
	if r.phase != paused {
		return
	}
	q := r.query(p, 0)
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

// takeBack lets those gather again whose answers are lost with a plugin that ends.
func (g *gathering) takeBack(p *Plugin) {
	if g.sent != nil && g.sent.by == p {
		g.waiting, g.sent = append(g.waiting, g.sent.reads...), nil
	}
	g.again.takeBack(p, func(r *read) { g.waiting = append(g.waiting, r) })
}

// gathered goes on with what came of the read's lookup, as one of several in a call.
func (r *read) gathered(answer wire.LookupAnswer, a Answer, malformed error) {
	r.plugin.report(r.permit, a)
	if r.phase == paused {
		r.goOn(r.judged(answer, a, malformed))
	}
}
