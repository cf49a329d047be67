package exchange

import (
	"time"

	"chatcache/redisbridge/wire"
)

// openWrites are the writes of this VM whose suspension the bridge has
// acknowledged and whose response has not ended. A stream may outlast the
// deadline (a message that is streamed for a minute): each is renewed when half of
// its deadline has passed since its present term was asked for:
//
//  1. a suspension is asked for at 0 s; the script runs at 0.1 s, for 15 s
//  2. the proxy stands still (the machine, a signal)
//  3. at 15.1 s the deadline passes, as a raise; what the origin answers from now on is stored
//  4. the proxy goes on at 16 s, and finds the acknowledgement
//
// Were the write forwarded now as a suspended one, what was stored since 3 would outlive its commit.
// So an acknowledgement counts while no renewal is due, and otherwise is none.
type openWrites struct {
	state *State
	open  map[string]*openWrite
	next  int64 // no renewal is due before
}

type openWrite struct {
	id       string
	groups   []string
	deadline time.Duration
	also     time.Duration // raise once more, that long after its end
	renewAt  int64
}

// began notes that the present term was asked for at that time: it isn't over before that
// and the deadline.
func (o *openWrite) began(asked int64) { o.renewAt = asked + int64(o.deadline/2) }

func (w *openWrites) add(o *openWrite) {
	w.open[o.id] = o
	if len(w.open) == 1 || o.renewAt < w.next {
		w.next = o.renewAt
	}
}

func (w *openWrites) remove(id string) { delete(w.open, id) }

func (w *openWrites) run(p *Plugin, now int64) {
	if len(w.open) == 0 || now < w.next {
		return
	}
	w.next = now + int64(time.Hour)
	for _, o := range w.open {
		if now >= o.renewAt {
			w.renew(p, o, now)
		}
		w.next = min(w.next, o.renewAt)
	}
}

// renew asks for a new term, and asks again well before the present one ends
// when that isn't acknowledged.
func (w *openWrites) renew(p *Plugin, o *openWrite, now int64) {
	frame := p.suspension(o.id, o.groups, o.deadline, o.also)
	o.renewAt = now + int64(o.deadline/8)
	acknowledged := func(a Answer) {
		if !a.acknowledges() {
			p.count(metricRenewals)
			return
		}
		o.began(now)
	}
	if err := p.host.Call(wire.PathSuspend, frame, rootTimeout, acknowledged); err != nil {
		p.count(metricRenewals)
	}
}
