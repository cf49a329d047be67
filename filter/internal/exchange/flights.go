package exchange

import (
	"chatcache/filter/internal/httpcache"
	"chatcache/redisbridge/wire"
)

// Bounds of what waits in one VM. A read beyond them asks the bridge by itself, without the
// fetch lease.
const (
	maxFlights = 4096
	maxWaiters = 1024 // of one flight
	maxWaiting = 4096 // of all
	maxHeld    = 256  // rounds that wait at the bridge at a time
	// maxLetGo is how many reads are answered or let go in one run, and as many again by what has gathered. Envoy does that after the
	// run's callback, each inside of the one before, on one stack. 250 went well (measured in 1.40); this
	// stays far below, whatever other filters add.
	maxLetGo = 16
)

// flights are the fetches that this VM has under way for more than one read's sake.
type flights struct {
	state   *State
	current map[string]*flight // those that reads join, by key in Redis
	watched []*flight          // those that reads wait in
	decided []decision         // about reads that are still held, in order

	arrivals uint64 // of reads that waited
	waiting  int    // reads
	held     int    // rounds that wait at the bridge
}

// decision is what becomes of a read that has waited.
type decision struct {
	read *read
	// found answers it, if it can be used; otherwise the read goes to the origin, with the
	// bypass or with ticket and fence.
	found  *found
	stale  *found // what was found and can't be used unless the origin confirms it
	late   bool   // the read came after the lookup that found it was sent
	bypass httpcache.Reason
	ticket wire.Ticket
	fence  fence
}

// board tells whether the read waits for a fetch that is under way. Otherwise it is to
// ask the bridge: as the leader of a new flight, or alone, beyond the bounds or while one is released.
func (fs *flights) board(r *read, now int64) (waits bool) {
	f := fs.current[r.redisKey]
	switch {
	case f == nil && len(fs.current) >= maxFlights:
		return false
	case f == nil, !f.serves(now), f.leader != nil && f.leader.refreshOf != "" && r.refreshOf == "":
		// another one: what is refreshed answers clients at once
	case f.releasing, len(f.waiters) >= maxWaiters, fs.waiting >= maxWaiting:
		return false
	default:
		f.wait(r, len(f.waiters))
		return true
	}
	f = &flight{state: fs.state, key: r.redisKey, fetch: r.fetchID}
	if f.fetch == "" {
		f.fetch = fs.state.newID()
	}
	fs.current[f.key] = f
	f.lead(r, now)
	return false
}

// lead makes the read the leader.
func (f *flight) lead(r *read, now int64) {
	f.leader, f.asked, r.flight = r, 0, f
	f.serving = now + int64(r.plugin.fetchLease())
}

// serves tells whether a read that comes now is to wait in the flight.
func (f *flight) serves(now int64) bool {
	return f.leader == nil || now < f.serving && f.state.slots.Unmoved(f.leader.fence.mark, f.leader.fence.slots)
}

func (fs *flights) forget(f *flight) {
	if fs.current[f.key] == f {
		delete(fs.current, f.key)
	}
}

// watch makes run look after a flight's waiters.
func (fs *flights) watch(f *flight) {
	if !f.watched {
		f.watched = true
		fs.watched = append(fs.watched, f)
	}
}

func (fs *flights) run(p *Plugin, now int64) {
	fs.beginRounds(p, now)
	fs.letGo(p, now, maxLetGo)
}

// beginRounds begins those that are due, after it has let go who has waited long enough.
func (fs *flights) beginRounds(p *Plugin, now int64) {
	still := fs.watched[:0]
	for _, f := range fs.watched {
		f.expire(now)
		if f.due && f.round == nil && len(f.waiters) > 0 {
			f.begin(p, now)
		}
		if f.watched = len(f.waiters) > 0 || f.round != nil; f.watched {
			still = append(still, f)
		}
	}
	clear(fs.watched[len(still):])
	fs.watched = still
}

// letGo carries out so many of the decisions at most, each in the context of its stream.
func (fs *flights) letGo(p *Plugin, now int64, most int) {
	for range min(len(fs.decided), most) {
		d := fs.decided[0]
		fs.decided[0] = decision{}
		fs.decided = fs.decided[1:]
		p.host.Within(d.read.stream, func() { d.read.carryOut(d, now) })
	}
	if len(fs.decided) > 0 {
		fs.state.wake()
	}
}

// carryOut answers the read or lets it go, unless its stream has been answered by the
// proxy or has gone meanwhile.
func (r *read) carryOut(d decision, now int64) {
	if r.phase != paused || d.found != nil && r.answer(*d.found, now) && r.phase == replied {
		return
	}
	r.bypass, r.ticket, r.fence, r.late = d.bypass, d.ticket, d.fence, d.late
	r.offer(d.stale, now)
	r.forward(now)
}

// takeBack makes rounds due again whose answers are lost with a plugin that ends.
func (fs *flights) takeBack(p *Plugin) {
	for _, f := range fs.watched {
		if f.round != nil && f.round.by == p {
			f.landRound()
			f.due = true // where everybody has left meanwhile, the run ends it
		}
	}
}
