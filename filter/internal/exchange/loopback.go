package exchange

import (
	"time"

	"chatcache/filter/internal/httpcache"
)

const loopbackTimeout = 15 * time.Second

// loopback are the requests that a VM sends through a listener of its own proxy: so routes, rewrites and
// authorization apply to them, and the filter stores what they bring like any other response, with every check.
type loopback struct {
	state *State
	queue []*ownRequest
	sent  underWay[*ownRequest]
}

// ownRequest is one of them. ended is called once, in the root context, with the response's status; "" without one.
type ownRequest struct {
	fields httpcache.Fields
	ended  func(p *Plugin, status string)
}

func (l *loopback) ask(r *ownRequest) {
	l.queue = append(l.queue, r)
	l.state.wake()
}

func (l *loopback) run(p *Plugin) {
	queue := l.queue
	l.queue = nil
	for _, r := range queue {
		l.send(p, r)
	}
}

func (l *loopback) send(p *Plugin, r *ownRequest) {
	if p.Policy.Loopback == "" {
		r.ended(p, "") // the policy has changed
		return
	}
	l.sent[r] = p
	finish := func(status string) {
		if l.sent.land(p, r) {
			r.ended(p, status)
		}
	}
	if err := p.host.Fetch(p.Policy.Loopback, r.fields, loopbackTimeout, finish); err != nil {
		finish("")
	}
}

// takeBack ends those whose answers are lost with a plugin that ends.
func (l *loopback) takeBack(p *Plugin) {
	l.sent.takeBack(p, func(r *ownRequest) { r.ended(p, "") })
}
