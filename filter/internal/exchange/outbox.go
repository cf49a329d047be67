package exchange

import "chatcache/redisbridge/wire"

const (
	maxOutboxBytes = 16 << 20
	maxOutboxCalls = 32 // under way at a time
)

// outbox holds what ends a fetch, stores with their pieces and releases, on its way to the bridge. A lost one
// costs a miss, or a wait, so it is neither retried nor kept beyond a bound.
type outbox struct {
	state *State
	queue []*parcel
	sent  underWay[*parcel]
	bytes int
}

// parcel is a store, a piece of one, or a release.
type parcel struct {
	path    string
	frame   []byte
	metrics *cacheMetrics
	done    func(acknowledged bool) // called once, whatever becomes of it; may be nil
}

func (s *parcel) finish(acknowledged bool) {
	if s.done != nil {
		s.done(acknowledged)
	}
}

// post takes a parcel, or drops it where the bound is reached.
func (o *outbox) post(p *Plugin, s *parcel) {
	if o.bytes+len(s.frame) > maxOutboxBytes {
		s.metrics.count(p.host, wire.CountErrors, &s.metrics.errors)
		s.finish(false)
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

func (o *outbox) send(p *Plugin, s *parcel) {
	o.sent[s] = p
	finish := func(a Answer) {
		if !o.sent.land(p, s) {
			return
		}
		o.bytes -= len(s.frame)
		switch {
		case !a.acknowledges():
			s.metrics.count(p.host, wire.CountErrors, &s.metrics.errors)
		case s.path == wire.PathStore, s.path == wire.PathCommit:
			s.metrics.count(p.host, wire.CountStores, &s.metrics.stores)
		}
		s.finish(a.acknowledges())
		if len(o.queue) > 0 {
			o.state.wake()
		}
	}
	if err := p.host.Call(s.path, s.frame, rootTimeout, finish); err != nil {
		finish(Answer{})
	}
}

// takeBack forgets the parcels whose answers are lost with a plugin that ends.
func (o *outbox) takeBack(p *Plugin) {
	o.sent.takeBack(p, func(s *parcel) {
		o.bytes -= len(s.frame)
		s.finish(false)
	})
}
