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
	queue []store
	bytes int
	calls int
}

type store struct {
	frame   []byte
	metrics *cacheMetrics
}

// post takes a store, or drops it where the bound is reached.
func (o *outbox) post(p *Plugin, s store) {
	if o.bytes+len(s.frame) > maxOutboxBytes {
		p.host.Add(s.metrics.errors, 1)
		return
	}
	o.bytes += len(s.frame)
	o.queue = append(o.queue, s)
	o.state.wake()
}

func (o *outbox) run(p *Plugin) {
	for len(o.queue) > 0 && o.calls < maxOutboxCalls {
		s := o.queue[0]
		o.queue[0] = store{}
		o.queue = o.queue[1:]
		o.send(p, s)
	}
}

func (o *outbox) send(p *Plugin, s store) {
	o.calls++
	finish := func(a Answer) {
		o.calls--
		o.bytes -= len(s.frame)
		if _, err := wire.DecodeAck(a.Body); a.Status != "200" || err != nil {
			p.host.Add(s.metrics.errors, 1)
		} else {
			p.host.Add(s.metrics.stores, 1)
		}
		if len(o.queue) > 0 {
			o.state.wake()
		}
	}
	if err := p.host.Call(wire.PathStore, s.frame, rootTimeout, finish); err != nil {
		finish(Answer{})
	}
}
