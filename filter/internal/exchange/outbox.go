package exchange

import (
	"slices"

	"chatcache/redisbridge/wire"
)

const (
	maxOutboxBytes = 16 << 20
	maxOutboxCalls = 32 // under way at a time; maxAlone of them are left to small stores
)

// outbox holds what ends a fetch, stores with their pieces and releases, on its way to the bridge. A lost one
// costs a miss, or a wait, so it is neither retried nor kept beyond a bound. Stores gather like lookups, see gathering: where
// some calls are under way the next ones wait for one of them to be answered, and go together.
type outbox struct {
	state  *State
	small  []*parcel // stores that may go together, in order
	queue  []*parcel // everything else
	most   int       // calls with small stores under way before the next ones gather
	sent   underWay[*shipment]
	stores int // of those under way, the ones with small stores
	bytes  int
}

// parcel is a store, a piece of one, or a release.
type parcel struct {
	path    string
	frame   []byte
	metrics *cacheMetrics
	done    func(acknowledged bool) // called once, whatever becomes of it; may be nil
}

// shipment is a call with one parcel, or with several stores.
type shipment struct{ parcels []*parcel }

func (s *parcel) finish(acknowledged bool) {
	if s.done != nil {
		s.done(acknowledged)
	}
}

// gathers tells whether the parcel may go with others.
func (s *parcel) gathers() bool {
	return s.path == wire.PathStore && len(s.frame) <= wire.MaxStoredTogether/wire.MaxStores
}

// post takes a parcel, or drops it where the bound is reached.
func (o *outbox) post(p *Plugin, s *parcel) {
	if o.bytes+len(s.frame) > maxOutboxBytes {
		s.metrics.count(p.host, wire.CountErrors, &s.metrics.errors)
		s.finish(false)
		return
	}
	o.bytes += len(s.frame)
	if s.gathers() {
		o.small = append(o.small, s)
	} else {
		o.queue = append(o.queue, s)
	}
	o.state.wake()
}

func (o *outbox) run(p *Plugin) {
	for len(o.sent) < maxOutboxCalls {
		d := o.next()
		if d == nil {
			return // an answer is followed by the next run
		}
		o.send(p, d)
	}
}

// next takes what is to be sent next: something else than small stores, which doesn't wait for anything, or one of these or
// several; nil if there is nothing, or enough stores are under way.
func (o *outbox) next() *shipment {
	if len(o.queue) > 0 && len(o.sent)-o.stores < maxOutboxCalls-maxAlone {
		s := o.queue[0]
		o.queue[0] = nil
		o.queue = o.queue[1:]
		return &shipment{[]*parcel{s}}
	}
	alone := max(o.most, 1) - o.stores // so many may still go
	if len(o.small) == 0 || alone <= 0 {
		return nil
	}
	n := 1
	if len(o.small) > alone {
		n = min(len(o.small), wire.MaxStores)
	}
	d := &shipment{slices.Clone(o.small[:n])}
	clear(o.small[:n])
	o.small = o.small[n:]
	return d
}

func (o *outbox) send(p *Plugin, d *shipment) {
	o.sent[d] = p
	o.stores += d.stores()
	finish := func(a Answer) {
		if !o.sent.land(p, d) {
			return
		}
		o.stores -= d.stores()
		acknowledged := d.acknowledged(a)
		for i, s := range d.parcels {
			o.landed(p, s, acknowledged[i])
		}
		if len(o.queue)+len(o.small) > 0 {
			o.state.wake()
		}
	}
	path, frame := d.call()
	if err := p.host.Call(path, frame, rootTimeout, finish); err != nil {
		finish(Answer{})
	}
}

// landed ends what became of a parcel.
func (o *outbox) landed(p *Plugin, s *parcel, acknowledged bool) {
	o.bytes -= len(s.frame)
	switch {
	case !acknowledged:
		s.metrics.count(p.host, wire.CountErrors, &s.metrics.errors)
	case s.path == wire.PathStore, s.path == wire.PathCommit:
		s.metrics.count(p.host, wire.CountStores, &s.metrics.stores)
	}
	s.finish(acknowledged)
}

// stores is 1 for a call with small stores, otherwise 0.
func (d *shipment) stores() int {
	if d.parcels[0].gathers() {
		return 1
	}
	return 0
}

// call gives the path and the frame.
func (d *shipment) call() (path string, frame []byte) {
	if len(d.parcels) == 1 {
		return d.parcels[0].path, d.parcels[0].frame
	}
	var m wire.StoresRequest
	for _, s := range d.parcels {
		m.Stores = append(m.Stores, s.frame)
	}
	return wire.PathStores, m.Encode()
}

// acknowledged tells of each parcel whether the bridge has done what it asks for.
func (d *shipment) acknowledged(a Answer) []bool {
	if len(d.parcels) == 1 {
		return []bool{a.acknowledges()}
	}
	m, err := wire.DecodeStoresAnswer(a.Body, len(d.parcels))
	if a.Status != "200" || err != nil {
		return make([]bool, len(d.parcels))
	}
	return m.Stored
}

// takeBack forgets the parcels whose answers are lost with a plugin that ends.
func (o *outbox) takeBack(p *Plugin) {
	o.sent.takeBack(p, func(d *shipment) {
		o.stores -= d.stores()
		for _, s := range d.parcels {
			o.bytes -= len(s.frame)
			s.finish(false)
		}
	})
}
