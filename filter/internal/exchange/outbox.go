package exchange

import "chatcache/redisbridge/wire"

const (
	maxOutboxBytes = 16 << 20
	maxOutboxCalls = 32 // under way at a time
)

// outbox holds entries on their way to the bridge. Nobody waits for a store,
// and a lost one costs a miss, so it is neither retried nor kept beyond a bound.
type outbox struct {
	state *State
	queue []*store
	sent  map[*store]*Plugin // under way, and whose call it is
	bytes int
}

type store struct {
	frame   []byte
	metrics *cacheMetrics
}

// post takes a store, or drops it where the bound is reached.
func (o *outbox) post(p *Plugin, s *store) {
	if o.bytes+len(s.frame) > maxOutboxBytes {
		p.host.Add(s.metrics.errors, 1)
		return
	}
	o.bytes += len(s.frame)
	o.queue = append(o.queue, s)
	o.state.wake()
}

func (o *outbox) run(p *Plugin) {
	for len(o.queue) > 0 && len(o.sent) < maxOutboxCalls {
		s := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		o.send(p, s)
	}
}

func (o *outbox) send(p *Plugin, s *store) {
	o.sent[s] = p
	finish := func(a Answer) {
		if o.sent[s] != p {
			return // taken back
		}
		o.forget(s)
		if a.acknowledges() {
			p.host.Add(s.metrics.stores, 1)
		} else {
			p.host.Add(s.metrics.errors, 1)
		}
		if len(o.queue) > 0 {
			o.state.wake()
		}
	}
	if err := p.host.Call(wire.PathStore, s.frame, rootTimeout, finish); err != nil {
		finish(Answer{})
	}
}

func (o *outbox) forget(s *store) {
	delete(o.sent, s)
	o.bytes -= len(s.frame)
}

// takeBack forgets the stores whose answers are lost with a plugin that ends.
func (o *outbox) takeBack(p *Plugin) {
	for s, by := range o.sent {
		if by == p {
			o.forget(s)
		}
	}
}
